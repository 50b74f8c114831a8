"""Every task is owned: an unexpected exit stops the process, and nothing outlives it."""

import asyncio

import pytest

from postern_common.runtime import TaskExitedError, TaskOwner


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def _returns() -> int:
    return 1


async def _fails() -> None:
    raise ZeroDivisionError


async def test_a_stop_cancels_and_awaits_every_task() -> None:
    owner, stop = TaskOwner(), asyncio.Event()
    task = owner.spawn(_for_ever(), name="work")
    stop.set()
    await owner.run_until(stop)
    assert task.cancelled()


async def test_a_task_that_fails_stops_the_others_and_is_named_as_the_cause() -> None:
    owner = TaskOwner()
    other = owner.spawn(_for_ever(), name="other")
    owner.spawn(_fails(), name="broken")
    with pytest.raises(TaskExitedError) as caught:
        await owner.run_until(asyncio.Event())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert other.cancelled()


async def test_a_task_that_returns_is_unexpected_unless_it_is_finite() -> None:
    owner, stop = TaskOwner(), asyncio.Event()
    task = owner.spawn(_returns(), name="short", finite=True)
    assert await task == 1
    owner.spawn(_returns(), name="long")
    with pytest.raises(TaskExitedError, match="long"):
        await owner.run_until(stop)


async def test_a_finite_task_that_fails_stops_the_process_too() -> None:
    owner = TaskOwner()
    owner.spawn(_fails(), name="short", finite=True)
    with pytest.raises(TaskExitedError):
        await owner.run_until(asyncio.Event())


async def test_a_cancelled_task_is_no_failure() -> None:
    owner, stop = TaskOwner(), asyncio.Event()
    owner.spawn(_for_ever(), name="cancelled").cancel()
    await asyncio.sleep(0)
    stop.set()
    await owner.run_until(stop)


async def test_a_task_that_ignores_its_cancellation_does_not_hold_up_the_end() -> None:
    owner, release = TaskOwner(), asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    task = owner.spawn(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    await owner.close(0.01)
    assert not task.done()
    release.set()
    await task
