"""Consumers: one call per message (``Consumer``) or per batch (``BatchConsumer``), settled by the settle table.

``queue.consume`` with a callback, never the iterator, never ``message.process()``: that one rejects a message whose
handler was cancelled.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from postern_common.contracts.cloudevent import CloudEvent, decode
from postern_common.errors import PoisonError, TransientError
from postern_common.logging import get_logger
from postern_common.messaging.errors import AMQP_ERRORS
from postern_common.messaging.propagation import processing_batch
from postern_common.messaging.settlement import DeadLetters, Delivery, Handler, Settlement, identify
from postern_common.runtime.backoff import backoff
from postern_common.runtime.crashpoint import crashpoint
from postern_common.runtime.tasks import TaskOwner

logger = get_logger(__name__)

CANCEL_SECONDS: Final = 3.0

BatchHandler = Callable[[list[CloudEvent]], Awaitable[None]]


class Intake(Protocol):
    """A subscription that is kept alive; see ``postern_common.messaging.subscription.Subscription``."""

    async def run(self) -> None:
        """Subscribe and watch, until cancelled."""
        ...

    async def stop(self) -> None:
        """Take no more deliveries; those at hand can still be settled."""
        ...

    def renew(self) -> None:
        """Drop the channel with all unsettled deliveries and subscribe again."""
        ...


class Broker(Protocol):
    """What a consumer needs of a connection: ``BrokerConnection``, or the fake of ``postern_common.testing``."""

    def subscription(
        self,
        *,
        queue: str,
        prefetch: int,
        on_message: Callable[[Delivery], None],
        on_lost: Callable[[], Awaitable[None]],
    ) -> Intake:
        """A subscription whose ``run`` is the caller's to run."""
        ...


class Consumer:
    """Calls ``handler`` once per message: messages of one subject in order, up to ``prefetch`` at the same time.

    The handler runs inside the message's trace and log context. Its errors are settled by the table in ``settlement``.
    """

    def __init__(
        self,
        *,
        connection: Broker,
        queue: str,
        handler: Handler,
        dead_letters: DeadLetters,
        prefetch: int = 32,
    ) -> None:
        self._queue = queue
        self._settlement = Settlement(queue=queue, handler=handler, dead_letters=dead_letters)
        self._tasks = _DeliveryTasks()
        self._subscription = connection.subscription(
            queue=queue, prefetch=prefetch, on_message=self._begin, on_lost=self._tasks.cancel
        )

    async def run(self) -> None:
        """Consume for ever; a task of the process. Cancelled: what is under way is cancelled and left unsettled."""
        await self._subscription.run()

    async def drain(self) -> None:
        """Stop consuming and wait for what is under way; give it to ``Service.drain``."""
        self._settlement.stop()
        await self._subscription.stop()
        if self._settlement.is_paused:
            await self._tasks.cancel()
        await self._tasks.wait()

    def _begin(self, delivery: Delivery) -> None:
        self._tasks.spawn(self._settle(delivery), name=f"{self._queue}-{delivery.message_id}")

    async def _settle(self, delivery: Delivery) -> None:
        try:
            await self._settlement.settle(delivery)
        except AMQP_ERRORS as error:
            logger.info("message_not_settled", queue=self._queue, error=type(error).__name__)


class _DeliveryTasks:
    """The deliveries under way on the present channel."""

    def __init__(self) -> None:
        self._owner = TaskOwner()
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, None], *, name: str) -> None:
        task = self._owner.spawn(coroutine, name=name, finite=True)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait(self) -> None:
        """Until all have ended; the caller brings the deadline."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """Cancel all: their channel is gone, the broker delivers them again."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_SECONDS)


class BatchConsumer:
    """Calls ``handler`` with what has come, in order of delivery, without lingering; acks all after it returned.

    Single messages are never requeued: on any error the channel is dropped uncommitted and the unsettled come again,
    so that the order within a (source, subject) is kept (semantics 27).
    """

    def __init__(
        self,
        *,
        connection: Broker,
        queue: str,
        handler: BatchHandler,
        dead_letters: DeadLetters,
        prefetch: int = 200,
        accept: Callable[[CloudEvent], None] = lambda _event: None,
    ) -> None:
        """``accept`` raises ``PoisonError`` for a message that would fail its batch: it alone is dead-lettered."""
        self._queue = queue
        self._accept = accept
        self._handler = handler
        self._dead_letters = dead_letters
        self._arrived: list[Delivery] = []
        self._signal = asyncio.Event()
        self._generation = 0
        self._broken = -1
        self._stopping = False
        self._idle = asyncio.Event()
        self._subscription = connection.subscription(
            queue=queue, prefetch=prefetch, on_message=self._collect, on_lost=self._forget
        )

    async def run(self) -> None:
        """Consume for ever; a task of the process. Cancelled: the batch under way is left unsettled."""
        owner = TaskOwner()
        working = owner.spawn(self._work(), name=f"{self._queue}-batches")
        try:
            subscribed = owner.spawn(self._subscription.run(), name=f"{self._queue}-subscription", finite=True)
            done, _ = await asyncio.wait({working, subscribed}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await owner.close(CANCEL_SECONDS)

    async def drain(self) -> None:
        """Stop consuming and wait for the batch under way; give it to ``Service.drain``."""
        self._stopping = True
        await self._subscription.stop()
        await self._idle.wait()

    def _collect(self, delivery: Delivery) -> None:
        if self._broken == self._generation:
            return  # nothing may overtake what failed: all of this channel comes again
        self._arrived.append(delivery)
        self._signal.set()

    async def _forget(self) -> None:
        """The channel is gone: what was not settled comes again on the next one."""
        self._generation += 1
        self._arrived.clear()

    async def _work(self) -> None:
        delays = backoff()
        self._idle.set()
        while True:
            await self._signal.wait()
            self._signal.clear()
            batch, self._arrived = self._arrived, []
            if not batch or self._stopping:
                continue
            generation = self._generation
            self._idle.clear()
            try:
                await self._settle(batch, generation)
                delays = backoff()
            except Exception as error:  # noqa: BLE001 - every error has the same answer: drop the channel, come again
                await self._start_again(error, generation, next(delays))
            finally:
                self._idle.set()

    async def _settle(self, batch: Sequence[Delivery], generation: int) -> None:
        events: list[CloudEvent] = []
        last: Delivery | None = None
        for delivery in batch:
            try:
                event = decode(delivery.body)
                self._accept(event)
                events.append(event)
                last = delivery
            except PoisonError as error:
                await self._dead_letter(delivery, error)
        if last is None:
            return
        with processing_batch(events, self._queue):
            await self._handler(events)
        crashpoint("before_ack")
        if generation == self._generation:
            await last.ack(multiple=True)

    async def _dead_letter(self, delivery: Delivery, error: PoisonError) -> None:
        source, identifier = identify(delivery)
        await self._dead_letters.record(
            queue=self._queue, source=source, id=identifier, reason=error.code, detail=error.detail
        )
        logger.error("message_dead_lettered", queue=self._queue, code=error.code, detail=error.detail)
        await delivery.reject(requeue=False)

    async def _start_again(self, error: Exception, generation: int, delay: float) -> None:
        self._broken = generation
        if generation == self._generation:
            self._arrived.clear()
        if isinstance(error, TransientError):
            delay = max(delay, error.retry_after or 0.0)
            logger.warning("batch_dropped", queue=self._queue, code=error.code, detail=error.detail)
        elif isinstance(error, AMQP_ERRORS):
            logger.warning("batch_not_settled", queue=self._queue, error=type(error).__name__)
        else:
            logger.error("batch_handler_failed", queue=self._queue, exc_info=error)
        await asyncio.sleep(delay)
        if generation == self._generation:
            self._subscription.renew()
