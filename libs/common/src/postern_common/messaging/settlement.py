"""The settle table: what happens to a delivery, by the class of the error (design/messages.md, consuming).

========================  ==========================================================================
handler returned          ack
``PermanentError``        reason into ``dead_letters``, then reject without requeue (poison included)
``DependencyDownError``   held, and the whole consumer waits: one delivery tries again until the
                          dependency is back. Never requeued: every requeue counts as a delivery
                          against the queue's limit, and healthy messages would be dead-lettered
``TransientError``        tried again three times, then requeued after a pause
any other exception       logged, requeued after a pause that grows with its deliveries
cancelled                 left unsettled: the broker delivers it again
========================  ==========================================================================

Independent of the broker's client, so that the fake broker behaves the same.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

import msgspec
from prometheus_client import Counter, Histogram

from postern_common.contracts.cloudevent import CloudEvent, decode
from postern_common.errors import DependencyDownError, PermanentError, PoisonError, TransientError
from postern_common.logging import get_logger
from postern_common.messaging.propagation import processing
from postern_common.runtime.backoff import backoff, delay_for
from postern_common.runtime.crashpoint import crashpoint

logger = get_logger(__name__)

TRANSIENT_TRIES: Final = 3
TRANSIENT_PAUSE: Final = (0.05, 0.2)

_settled = Counter("postern_messages_settled", "Deliveries by queue and outcome", ("queue", "outcome"))
_duration = Histogram("messaging_process_duration_seconds", "Time a message was worked on", ("queue",))

Handler = Callable[[CloudEvent], Awaitable[None]]


class Delivery(Protocol):
    """A message that the broker has handed to us and that is settled exactly once, or never."""

    @property
    def body(self) -> bytes:
        """The bytes as received."""
        ...

    @property
    def message_id(self) -> str:
        """The transport's id, for a message that cannot be decoded."""
        ...

    @property
    def delivery_count(self) -> int:
        """How often it was delivered before."""
        ...

    async def ack(self, *, multiple: bool = False) -> None:
        """Done with it, or with all up to this one."""
        ...

    async def reject(self, *, requeue: bool) -> None:
        """Back to the queue, or dead-lettered."""
        ...


class _Identity(msgspec.Struct):
    id: str = ""
    source: str = ""


def identify(delivery: Delivery) -> tuple[str, str]:
    """Source and id of a message that is no CloudEvent of ours, as far as it tells; else the transport's id."""
    try:
        identity = msgspec.json.decode(delivery.body, type=_Identity)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return "", delivery.message_id
    return identity.source, identity.id or delivery.message_id


class DeadLetters(Protocol):
    """Where reasons are recorded; ``postern_common.persistence.DeadLetterStore`` is one."""

    async def record(self, *, queue: str, source: str, id: str, reason: str, detail: str) -> None:  # noqa: A002
        """Store why a message was dead-lettered."""
        ...


class DependencyGate:
    """While a dependency is down nobody calls it but one who tries; all others wait until that one succeeds."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._open = asyncio.Event()
        self._open.set()

    @property
    def is_closed(self) -> bool:
        """Whether the dependency is down."""
        return not self._open.is_set()

    async def call(self, action: Callable[[], Awaitable[None]]) -> None:
        """Run ``action``, again and again while it raises ``DependencyDownError``; other errors pass."""
        while True:
            await self._open.wait()
            try:
                return await action()
            except DependencyDownError as error:
                if self._open.is_set():
                    return await self._try_until_up(action, error)

    async def _try_until_up(self, action: Callable[[], Awaitable[None]], error: DependencyDownError) -> None:
        self._open.clear()
        logger.warning("consumer_paused", queue=self._queue, code=error.code, detail=error.detail)
        delays = backoff()
        try:
            while True:
                await asyncio.sleep(max(next(delays), error.retry_after or 0.0))
                try:
                    return await action()
                except DependencyDownError as again:
                    error = again
        finally:
            self._open.set()
            logger.info("consumer_resumed", queue=self._queue)


class SubjectLocks:
    """One message of a subject at a time, in the order in which they asked."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, subject: str) -> AsyncIterator[None]:
        """Wait for one's turn; asyncio's locks are first in, first out."""
        lock, users = self._locks.get(subject, (asyncio.Lock(), 0))
        self._locks[subject] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[subject]
            if users == 1:
                del self._locks[subject]
            else:
                self._locks[subject] = (lock, users - 1)


class Settlement:
    """Works on deliveries of one queue and settles each by the table."""

    def __init__(self, *, queue: str, handler: Handler, dead_letters: DeadLetters) -> None:
        self._queue = queue
        self._handler = handler
        self._dead_letters = dead_letters
        self._gate = DependencyGate(queue)
        self._locks = SubjectLocks()
        self._stopping = False

    @property
    def is_paused(self) -> bool:
        """Whether everything waits for a dependency that is down."""
        return self._gate.is_closed

    def stop(self) -> None:
        """Begin no more deliveries; what is under way ends."""
        self._stopping = True

    async def settle(self, delivery: Delivery) -> None:
        """Work on one delivery and settle it. Raises only when the settling itself fails (the channel is gone)."""
        try:
            event = decode(delivery.body)
        except PoisonError as error:
            await self._dead_letter(delivery, None, error)
            return
        async with self._locks.hold(event.subject):
            if self._stopping:
                return
            with processing(event, self._queue), _duration.labels(self._queue).time():
                await self._work(delivery, event)

    async def _work(self, delivery: Delivery, event: CloudEvent) -> None:
        try:
            await self._handle(event)
        except PermanentError as error:
            await self._dead_letter(delivery, event, error)
        except TransientError as error:
            logger.warning("message_requeued", code=error.code, detail=error.detail)
            await self._requeue(delivery, error.retry_after)
        except Exception:
            logger.exception("message_handler_failed", deliveries=delivery.delivery_count + 1)
            await self._requeue(delivery, None)
        else:
            crashpoint("before_ack")
            await delivery.ack()
            _settled.labels(self._queue, "done").inc()

    async def _handle(self, event: CloudEvent) -> None:
        for attempt in range(1, TRANSIENT_TRIES + 1):
            try:
                await self._gate.call(lambda: self._handler(event))
            except TransientError as error:
                if attempt == TRANSIENT_TRIES or error.retry_after is not None:
                    raise
                await asyncio.sleep(random.uniform(*TRANSIENT_PAUSE))
            else:
                return

    async def _requeue(self, delivery: Delivery, retry_after: float | None) -> None:
        await asyncio.sleep(retry_after if retry_after is not None else delay_for(delivery.delivery_count))
        await delivery.reject(requeue=True)
        _settled.labels(self._queue, "requeued").inc()

    async def _dead_letter(self, delivery: Delivery, event: CloudEvent | None, error: PermanentError) -> None:
        source, identifier = (event.source, str(event.id)) if event is not None else identify(delivery)
        await self._gate.call(
            lambda: self._dead_letters.record(
                queue=self._queue, source=source, id=identifier, reason=error.code, detail=error.detail
            )
        )
        logger.error("message_dead_lettered", queue=self._queue, code=error.code, detail=error.detail)
        await delivery.reject(requeue=False)
        _settled.labels(self._queue, "dead_lettered").inc()
