"""The keyed queue: one at a time for each key, nothing asked for is lost, and one bad key stops no other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.support.polling import eventually

from postern_common.errors import TransientError
from postern_devcluster.operator.queue import KeyedQueue


@contextlib.asynccontextmanager
async def working(work: Callable[[str], Awaitable[float | None]]) -> AsyncIterator[KeyedQueue[str]]:
    queue: KeyedQueue[str] = KeyedQueue(work)
    async with asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(queue.run_worker()) for _ in range(3)]
        yield queue
        for worker in workers:
            worker.cancel()


async def test_a_key_asked_for_while_in_work_comes_again_and_never_twice_at_once() -> None:
    release, running, most, done = asyncio.Event(), 0, 0, 0

    async def work(_key: str) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        done += 1

    async with working(work) as queue:
        queue.add("a")
        await eventually(lambda: running == 1)
        queue.add("a")
        queue.add("a")
        release.set()
        await eventually(lambda: done == 2)
    assert most == 1


async def test_different_keys_are_worked_on_at_the_same_time() -> None:
    meeting = asyncio.Barrier(2)
    met: list[str] = []

    async def work(key: str) -> None:
        await meeting.wait()
        met.append(key)

    async with working(work) as queue:
        queue.add("a")
        queue.add("b")
        await eventually(lambda: sorted(met) == ["a", "b"])


async def test_an_interrupt_cuts_off_what_waits_for_ever() -> None:
    attempts = 0

    async def work(_key: str) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await asyncio.Event().wait()

    async with working(work) as queue:
        queue.add("a")
        await eventually(lambda: attempts == 1)
        queue.interrupt("a")
        await eventually(lambda: attempts == 2)


async def test_failed_work_is_tried_again_and_stops_nobody_else() -> None:
    attempts: dict[str, int] = {}

    async def work(key: str) -> None:
        attempts[key] = attempts.get(key, 0) + 1
        if key == "transient" and attempts[key] == 1:
            raise TransientError("down", "later")
        if key == "surprising" and attempts[key] == 1:
            raise KeyError("spec")

    async with working(work) as queue:
        for key in ("transient", "surprising", "good"):
            queue.add(key)
        await eventually(lambda: attempts == {"transient": 2, "surprising": 2, "good": 1})
