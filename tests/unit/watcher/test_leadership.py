"""One leads, and stops the moment that another may."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from postern_common.errors import DependencyDownError, PermanentError
from postern_watcher.services import leadership
from postern_watcher.services.leadership import LeadershipService


class FakeLease:
    """Answers from a script, then the same for ever."""

    def __init__(self, *answers: int | Exception | None) -> None:
        self._answers = list(answers)
        self.asked = 0
        self.released = 0

    async def acquire(self) -> int | None:
        self.asked += 1
        await asyncio.sleep(0)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def release(self) -> None:
        self.released += 1


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time does not matter to these tests."""
    monkeypatch.setattr(leadership, "RENEW_SECONDS", 0.001)
    monkeypatch.setattr(leadership, "STANDBY_SECONDS", 0.001)
    monkeypatch.setattr(leadership, "delay_for", lambda _: 0.0)


async def lead(lease: FakeLease, work: Callable[[int], Awaitable[None]], until: asyncio.Event) -> LeadershipService:
    service = LeadershipService(lease, work)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(service.run())
        async with asyncio.timeout(5):
            await until.wait()
        task.cancel()
    return service


async def test_a_standby_works_only_after_it_was_elected() -> None:
    began: list[int] = []
    done = asyncio.Event()

    async def work(epoch: int) -> None:
        began.append(epoch)
        done.set()
        await asyncio.Event().wait()

    lease = FakeLease(None, None, 7)
    service = await lead(lease, work, done)
    assert began == [7]
    assert lease.asked >= 3
    await service.release()
    assert lease.released == 1


@pytest.mark.parametrize("after", [None, 8], ids=["another holds it", "it was another's meanwhile"])
async def test_work_ends_when_the_lease_is_lost(after: int | None) -> None:
    ended = asyncio.Event()

    async def work(epoch: int) -> None:
        if epoch == 7:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
        await asyncio.Event().wait()

    await lead(FakeLease(7, 7, after), work, ended)


async def test_a_database_that_does_not_answer_does_not_end_the_work() -> None:
    beginnings: list[int] = []
    renewed = asyncio.Event()

    class Unsteady(FakeLease):
        async def acquire(self) -> int | None:  # type: ignore[explicit-override]
            if self.asked > 5:
                renewed.set()
            return await FakeLease.acquire(self)

    async def work(epoch: int) -> None:
        beginnings.append(epoch)
        await asyncio.Event().wait()

    down = DependencyDownError("database_unavailable", "no")
    await lead(Unsteady(7, down, down, 7), work, renewed)
    assert beginnings == [7]


async def test_work_that_broke_off_begins_again() -> None:
    beginnings: list[int] = []
    again = asyncio.Event()

    async def work(epoch: int) -> None:
        beginnings.append(epoch)
        if len(beginnings) == 2:
            again.set()
        raise DependencyDownError("database_unavailable", "no")

    await lead(FakeLease(7), work, again)
    assert beginnings[:2] == [7, 7]


async def test_a_fault_of_the_work_itself_is_not_hidden() -> None:
    async def work(_: int) -> None:
        raise KeyError("bug")

    service = LeadershipService(FakeLease(7), work)
    with pytest.raises(ExceptionGroup) as caught:
        await service.run()
    assert caught.group_contains(KeyError)


async def test_a_sign_of_another_leader_makes_the_lease_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leadership, "RENEW_SECONDS", 60)
    ended = asyncio.Event()
    lease = FakeLease(7, None)

    async def work(_: int) -> None:
        service.doubt()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    service = LeadershipService(lease, work)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(service.run())
        async with asyncio.timeout(5):
            await ended.wait()
        task.cancel()
    assert lease.asked >= 2


async def test_one_who_never_led_has_nothing_to_give_back() -> None:
    lease = FakeLease(PermanentError("x", "y"))
    await LeadershipService(lease, lambda _: asyncio.sleep(0)).release()
    assert lease.released == 0
