"""Wake-ups, polls and delays."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from postern_common.errors import DependencyDownError
from postern_common.runtime import RowPoller, TaskOwner, Wakeup, backoff, delay_for, wait_for


class Row:
    """A number in a database that is not there."""

    def __init__(self) -> None:
        self.value = 0
        self.reads = 0
        self.down = False

    async def read(self) -> int:
        self.reads += 1
        if self.down:
            raise DependencyDownError("database_unavailable", "down")
        return self.value


@pytest.fixture
async def owner() -> AsyncIterator[TaskOwner]:
    made = TaskOwner()
    yield made
    await made.close(1.0)


async def test_a_signal_set_before_the_wait_is_not_lost_and_counts_once() -> None:
    wakeup = Wakeup()
    wakeup.set()
    wakeup.set()
    assert await wakeup.wait(0.0) is True
    assert await wakeup.wait(0.0) is False


async def test_nobody_waiting_means_no_query(owner: TaskOwner) -> None:
    row = Row()
    owner.spawn(RowPoller(row.read, busy=0.0, idle=0.001).run(), name="poller")
    await asyncio.sleep(0.01)
    assert row.reads == 0


async def test_everybody_who_waits_sees_the_change_through_one_poller(owner: TaskOwner) -> None:
    row = Row()
    poller = RowPoller(row.read, busy=0.001, idle=0.002)
    owner.spawn(poller.run(), name="poller")
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(poller.changed(0, 5.0)) for _ in range(50)]
        await asyncio.sleep(0.005)
        row.value = 7
    assert [task.result() for task in waiting] == [7] * 50


async def test_a_wait_that_sees_no_change_ends_in_time(owner: TaskOwner) -> None:
    poller = RowPoller(Row().read, busy=0.001, idle=0.002)
    owner.spawn(poller.run(), name="poller")
    assert await poller.changed(0, 0.01) == 0


async def test_the_poller_survives_a_database_that_is_down(owner: TaskOwner) -> None:
    row = Row()
    row.down = True
    poller = RowPoller(row.read, busy=0.001, idle=0.001)
    owner.spawn(poller.run(), name="poller")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(poller.changed(0, 5.0))
        await asyncio.sleep(0.01)
        row.down, row.value = False, 1
    assert waiting.result() == 1


async def test_a_condition_is_looked_at_again_when_something_moved(owner: TaskOwner) -> None:
    row = Row()
    poller = RowPoller(row.read, busy=0.001, idle=0.001)
    owner.spawn(poller.run(), name="poller")

    async def condition() -> str | None:
        row.value += 1
        return "there" if row.value > 3 else None

    assert await wait_for(condition, poller=poller, timeout=5.0) == "there"


async def test_a_condition_that_stays_false_gives_nothing_after_the_time() -> None:
    async def condition() -> str | None:
        return None

    assert await wait_for(condition, poller=RowPoller(Row().read), timeout=0.01) is None


def test_delays_double_up_to_the_ceiling_and_are_jittered() -> None:
    for _ in range(50):
        delays = list(itertools.islice(backoff(), 12))
        assert all(0 <= delay <= min(0.2 * 2**number, 15.0) for number, delay in enumerate(delays))
    assert all(7.5 <= delay_for(1000) <= 15.0 for _ in range(50))
    assert delay_for(0) <= 0.2
