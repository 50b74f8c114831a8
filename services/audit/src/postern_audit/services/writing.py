"""Who writes: one elected process consumes ``audit.ledger``; the others only read.

The lease decides who should; the epoch, compared under the lock on the ledger's head, decides who can. A process that
was elected, paused and replaced finds out at its first batch and steps down.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import structlog

from postern_audit import metrics
from postern_audit.services.appending import AppendingService
from postern_audit.storage.ledger_writer import FencedError
from postern_common.contracts.cloudevent import CloudEvent
from postern_common.errors import TransientError

logger = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 6.0
"""Short: after a crash nobody writes until it ends. Safety does not depend on it."""
RENEW_SECONDS: Final = 2.0


class Lease(Protocol):
    """What the election needs of the lease's row."""

    async def acquire(self) -> int | None:
        """The epoch, or None while another holds the lease."""
        ...

    async def release(self) -> None:
        """Give it back."""
        ...


class Runnable(Protocol):
    """A consumer that was told its handler."""

    async def run(self) -> None:
        """Consume for ever."""
        ...


Handler = Callable[[list[CloudEvent]], Awaitable[None]]


class WritingService:
    """Runs the election; while elected, the consumer and the writer's other duties (checkpoints, partitions)."""

    def __init__(
        self,
        *,
        lease: Lease,
        appending: AppendingService,
        consumer: Callable[[Handler], Runnable],
        duties: Sequence[Callable[[], Awaitable[None]]] = (),
        renew: float = RENEW_SECONDS,
        ttl: float = LEASE_SECONDS,
    ) -> None:
        self._lease = lease
        self._appending = appending
        self._consumer = consumer
        self._duties = tuple(duties)
        self._renew = renew
        self._ttl = ttl
        self._fenced = asyncio.Event()
        self._stop = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> None:
        """Stand for election for ever; a task of the process."""
        while not self._stop.is_set():
            epoch = await self._acquire()
            if epoch is not None:
                await self._write(epoch)
            await _first_of([self._stop], timeout=self._renew)
        await asyncio.Event().wait()  # stopped: the process ends this task

    async def stop(self) -> None:
        """Stop consuming and give the lease back, so that another process writes at once."""
        self._stop.set()
        await self._idle.wait()
        try:
            await self._lease.release()
        except TransientError as error:
            logger.warning("ledger_lease_not_released", code=error.code)

    async def _acquire(self) -> int | None:
        try:
            return await self._lease.acquire()
        except TransientError as error:
            logger.warning("ledger_election_failed", code=error.code)
            return None

    async def _write(self, epoch: int) -> None:
        """Consume until the lease is lost, another writer fenced this one, or the process stops."""
        logger.info("ledger_writer_elected", epoch=epoch)
        metrics.IS_WRITER.set(1)
        self._fenced.clear()
        self._idle.clear()

        async def handle(events: list[CloudEvent]) -> None:
            try:
                await self._appending.append(events, epoch=epoch)
            except FencedError:
                self._fenced.set()
                raise

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._consumer(handle).run(), name="ledger-consumer")]
                tasks += [group.create_task(_await(duty), name="ledger-duty") for duty in self._duties]
                await self._hold(epoch)
                for task in tasks:
                    task.cancel()
        finally:
            metrics.IS_WRITER.set(0)
            self._idle.set()
            logger.info("ledger_writer_stepped_down", epoch=epoch)

    async def _hold(self, epoch: int) -> None:
        """Renew the lease until it is another's, or could be."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._ttl
        while not await _first_of([self._fenced, self._stop], timeout=self._renew):
            try:
                if await self._lease.acquire() != epoch:
                    return
                until = loop.time() + self._ttl
            except TransientError as error:
                logger.warning("ledger_lease_not_renewed", code=error.code)
                if loop.time() >= until:
                    return


async def _await(duty: Callable[[], Awaitable[None]]) -> None:
    await duty()


async def _first_of(events: Sequence[asyncio.Event], *, timeout: float) -> bool:
    """Whether one of the events was set within ``timeout`` seconds."""
    tasks = {asyncio.get_running_loop().create_task(event.wait()) for event in events}
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for task in tasks:
            task.cancel()
