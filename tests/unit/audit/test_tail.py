"""The live end: one reader, references to each listener, nobody waited for."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import pytest

from postern_audit.domain.chain import GENESIS, Head, append
from postern_audit.domain.entry import Draft, Entry
from postern_audit.services.tail import Closed, Tail
from postern_common.errors import DependencyDownError
from postern_common.runtime import TaskOwner, Wakeup


class Entries:
    """A ledger in memory that counts how often it is read, and may be down."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.reads = 0
        self.down = False

    def add(self, *projects: str | None) -> None:
        head = Head(self.entries[-1].position, self.entries[-1].hash) if self.entries else Head(0, GENESIS)
        newest = {entry.project: entry.sequence for entry in self.entries if entry.project and entry.sequence}
        drafts = [
            Draft(source="/s", id=UUID(int=n), type="t", subject="u", time="2026", data="{}", project=project)
            for n, project in enumerate(projects)
        ]
        self.entries += append(head, newest, drafts).entries

    async def newest_position(self) -> int:
        self._note()
        return len(self.entries)

    async def entries_after(self, position: int, *, limit: int) -> Sequence[Entry]:
        self._note()
        return self.entries[position : position + limit]

    def _note(self) -> None:
        self.reads += 1
        if self.down:
            raise DependencyDownError("database_unavailable", "down")


@pytest.fixture
def entries() -> Entries:
    return Entries()


@pytest.fixture
def wakeup() -> Wakeup:
    return Wakeup()


@pytest.fixture
async def tail(entries: Entries, wakeup: Wakeup) -> AsyncIterator[Tail]:
    owner = TaskOwner()
    tail = Tail(entries, wakeup, capacity=3)
    owner.spawn(tail.run(), name="tail")
    yield tail
    await owner.close(1)


async def test_every_listener_of_the_project_gets_the_same_line(entries: Entries, wakeup: Wakeup, tail: Tail) -> None:
    entries.add("acme", "acme")
    one, two, other = [await tail.subscribe(project) for project in ("acme", "acme", "beta")]
    entries.add("acme", None, "beta")
    wakeup.set()
    (line,) = await one.take(1)
    assert line.sequence == 3
    assert (await two.take(1))[0] is line
    assert [line.project for line in await other.take(1)] == ["beta"]


async def test_a_listener_that_does_not_keep_up_is_closed_and_the_others_are_not(
    entries: Entries, wakeup: Wakeup, tail: Tail
) -> None:
    told = asyncio.Event()
    slow, fast = await tail.subscribe("acme", on_slow=told.set), await tail.subscribe("acme")
    got = []
    for _ in range(5):
        entries.add("acme")
        wakeup.set()
        got += await fast.take(1)
    assert [line.sequence for line in got] == [1, 2, 3, 4, 5]
    assert slow.closed is Closed.SLOW
    assert told.is_set()
    assert await slow.take(1) == [], "what it held is let go"


async def test_without_listeners_the_database_is_left_alone(entries: Entries, wakeup: Wakeup, tail: Tail) -> None:
    subscription = await tail.subscribe("acme")
    tail.unsubscribe(subscription)
    tail.unsubscribe(subscription)
    for _ in range(5):
        wakeup.set()
        await asyncio.sleep(0)
    reads = entries.reads
    for _ in range(20):
        wakeup.set()
        await asyncio.sleep(0)
    assert entries.reads == reads
    entries.add("acme")
    again = await tail.subscribe("acme")
    entries.add("acme")
    wakeup.set()
    assert [line.sequence for line in await again.take(1)] == [2], "from the subscription on"


async def test_a_database_that_was_away_costs_no_entry(entries: Entries, wakeup: Wakeup, tail: Tail) -> None:
    subscription = await tail.subscribe("acme")
    entries.down = True
    entries.add("acme")
    wakeup.set()
    assert await subscription.take(0.01) == []
    entries.down = False
    entries.add("acme")
    wakeup.set()
    assert [line.sequence for line in await subscription.take(1)] == [1, 2]


async def test_a_stopping_process_ends_its_streams_and_takes_no_new_ones(tail: Tail) -> None:
    subscription = await tail.subscribe("acme")
    await tail.close()
    assert await subscription.take(10) == []
    assert subscription.closed is Closed.SHUTDOWN
    assert (await tail.subscribe("acme")).closed is Closed.SHUTDOWN
