"""The election: one consumes while it holds the lease, and steps down when it does not."""

import asyncio
from collections.abc import Sequence

import pytest

from postern_audit.services.writing import Handler, WritingService
from postern_audit.storage.ledger_writer import FencedError
from postern_common.contracts.cloudevent import CloudEvent
from postern_common.errors import DependencyDownError
from postern_common.runtime import TaskOwner


class Lease:
    """A lease whose answers a test sets: an epoch, None (another holds it) or an error."""

    def __init__(self, answer: int | Exception | None) -> None:
        self.answer = answer
        self.released = False

    async def acquire(self) -> int | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def release(self) -> None:
        self.released = True


class Appending:
    """Notes epochs, or fences."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.fenced = False

    async def append(self, events: Sequence[CloudEvent], *, epoch: int) -> int:
        if self.fenced:
            raise FencedError("writer_fenced", "another was elected")
        self.epochs.append(epoch)
        return len(events)


class Bench:
    """A writing service with consumers that run until they are cancelled."""

    def __init__(self, answer: int | Exception | None, *, ttl: float = 60.0) -> None:
        self.lease, self.appending = Lease(answer), Appending()
        self.handlers: list[Handler] = []
        self.consuming = 0
        self.duties = 0
        self.service = WritingService(
            lease=self.lease,
            appending=self.appending,  # type: ignore[arg-type]
            consumer=self._consumer,
            duties=[self._duty],
            renew=0.001,
            ttl=ttl,
        )

    def _consumer(self, handler: Handler) -> "Consumer":
        self.handlers.append(handler)
        return Consumer(self)

    async def _duty(self) -> None:
        self.duties += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.duties -= 1

    async def until(self, consuming: int) -> None:
        async with asyncio.timeout(2):
            while (self.consuming, self.duties) != (consuming, consuming):  # noqa: ASYNC110 - the bench has no signal
                await asyncio.sleep(0)


class Consumer:
    """Runs for ever."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def run(self) -> None:
        self._bench.consuming += 1
        try:
            await asyncio.Event().wait()
        finally:
            self._bench.consuming -= 1


async def test_only_the_holder_of_the_lease_consumes_with_its_epoch() -> None:
    bench, owner = Bench(None), TaskOwner()
    owner.spawn(bench.service.run(), name="writer")
    await asyncio.sleep(0.01)
    assert bench.handlers == []
    bench.lease.answer = 4
    await bench.until(1)
    await bench.handlers[0]([])
    assert bench.appending.epochs == [4]
    bench.lease.answer = None
    await bench.until(0)
    bench.lease.answer = 6
    await bench.until(1)
    await bench.handlers[1]([])
    assert bench.appending.epochs == [4, 6]
    await owner.close(1)


async def test_a_fenced_writer_steps_down_and_stands_again() -> None:
    bench, owner = Bench(4), TaskOwner()
    owner.spawn(bench.service.run(), name="writer")
    await bench.until(1)
    bench.appending.fenced = True
    bench.lease.answer = None
    with pytest.raises(FencedError):
        await bench.handlers[0]([])
    await bench.until(0)
    await owner.close(1)


async def test_a_database_that_does_not_answer_ends_the_writing_when_the_lease_could_be_another_s() -> None:
    bench, owner = Bench(4, ttl=0.02), TaskOwner()
    owner.spawn(bench.service.run(), name="writer")
    await bench.until(1)
    bench.lease.answer = DependencyDownError("database_unavailable", "down")
    await bench.until(0)
    bench.lease.answer = 4
    await bench.until(1)
    await owner.close(1)


async def test_a_stopping_process_gives_the_lease_back_after_its_last_batch() -> None:
    bench, owner = Bench(4), TaskOwner()
    owner.spawn(bench.service.run(), name="writer")
    await bench.until(1)
    async with asyncio.timeout(2):
        await bench.service.stop()
    assert bench.consuming == 0
    assert bench.lease.released
    await owner.close(1)
