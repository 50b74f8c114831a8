"""The relay: publishes outbox rows in order and marks them sent once the broker has confirmed (design/messages.md).

Order per subject under failure: of one subject at most one row is in flight, the next one leaves only after the confirm
of the one before; different subjects travel at the same time. That holds across exchanges: a command written behind its
ledger copy leaves only when the broker has the copy, so that no effect stands in the ledger before its cause
(docs/adr/0011). No transaction is open across the network.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.contracts.broker import EVENTS_EXCHANGE
from postern_common.contracts.outgoing import OutgoingMessage
from postern_common.errors import DependencyDownError, PermanentError, PosternError, TransientError
from postern_common.logging import get_logger
from postern_common.persistence.outbox_rows import (
    FailedRow,
    OnSent,
    OutboxBacklog,
    OutboxRow,
    OutboxRows,
    SentMessage,
)
from postern_common.runtime.backoff import backoff, delay_for
from postern_common.runtime.crashpoint import crashpoint
from postern_common.runtime.polling import BUSY_SECONDS, IDLE_SECONDS
from postern_common.runtime.wakeup import Wakeup
from postern_common.telemetry import links_to, start_span

__all__ = ["OutboxBacklog", "Relay", "SentMessage"]

logger = get_logger(__name__)

LEASE_SECONDS: Final = 15.0
RENEW_SECONDS: Final = 5.0
STANDBY_SECONDS: Final = 1.0
BATCH_ROWS: Final = 100
LEASE_MARGIN_SECONDS: Final = 6.0
"""No publish begins so close to the lease's end: it may take 5 s until its outcome is known."""
MAX_UNKNOWN_ATTEMPTS: Final = 8
BACKLOG_SECONDS: Final = 15.0

_relayed = Counter("postern_outbox_relayed", "Outbox rows published and marked sent", ("source",))
_failures = Counter("postern_outbox_publish_failures", "Publishes that failed", ("source", "reason"))
_pending = Gauge("postern_outbox_pending", "Unsent outbox rows", ("source",))
_oldest = Gauge("postern_outbox_oldest_age_seconds", "Age of the oldest unsent outbox row", ("source",))
_parked = Gauge("postern_outbox_parked", "Outbox rows that wait for a person", ("source",))


class MessagePublisher(Protocol):
    """What the relay needs of the broker. Returning means: the broker has the message."""

    async def publish(self, message: OutgoingMessage) -> None:
        """Raises ``DependencyDownError`` (outcome unknown), ``TransientError`` (not now), ``PermanentError``."""
        ...


@dataclass(slots=True)
class _Outcome:
    sent: list[OutboxRow] = field(default_factory=list)
    failed: list[FailedRow] = field(default_factory=list)
    interrupted: TransientError | None = None
    """Broker or database went away; what is neither sent nor failed is tried again, uncounted."""


class Relay:
    """The relay of one service's outbox. Several may run (one a process): leases share out the shards.

    ``wakeup`` is the outbox's; ``owner`` must be unique per process; ``on_sent`` runs in the transaction of mark-sent.
    """

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        schema: str,
        source: str,
        publisher: MessagePublisher,
        wakeup: Wakeup,
        owner: str,
        on_sent: OnSent | None = None,
    ) -> None:
        self._rows = OutboxRows(engine, schema, owner=owner, ttl=LEASE_SECONDS)
        self._source = source
        self._publisher = publisher
        self._wakeup = wakeup
        self._on_sent = on_sent
        self._epochs: dict[int, int] = {}
        self._held_until = 0.0
        self._renew_at = 0.0
        self._measure_at = 0.0

    async def run(self) -> None:
        """Relay for ever; a task of the process. Gives its leases back when cancelled."""
        delays = backoff()
        pause = BUSY_SECONDS
        try:
            while True:
                try:
                    busy = await self._step()
                except TransientError as error:
                    delay = max(next(delays), error.retry_after or 0.0)
                    logger.warning("relay_paused", code=error.code, detail=error.detail, seconds=round(delay, 2))
                    await asyncio.sleep(delay)
                    continue
                delays = backoff()
                if busy:
                    pause = BUSY_SECONDS
                    continue
                idle = IDLE_SECONDS if self._epochs else STANDBY_SECONDS
                woken = await self._wakeup.wait(pause)
                pause = BUSY_SECONDS if woken else min(pause * 2, idle)
        finally:
            await self._release()

    async def pending(self) -> OutboxBacklog:
        """What is unsent; raises ``DependencyDownError`` when the database does not answer."""
        return await self._rows.backlog()

    async def _step(self) -> bool:
        """One round; true when there may be more to send at once."""
        now = time.monotonic()
        if now >= self._renew_at:
            await self._renew(now)
        if now >= self._measure_at:
            self._measure_at = now + BACKLOG_SECONDS
            await self._measure()
        if not self._epochs:
            return False
        rows = await self._rows.claim(self._epochs, BATCH_ROWS)
        if not rows:
            return False
        links = links_to([row.traceparent for row in rows])
        with start_span(f"send {self._source}", kind=SpanKind.PRODUCER, links=links, batch_size=len(rows)):
            outcome = await self._publish(rows)
            await self._settle(outcome)
        if outcome.interrupted is not None:
            raise outcome.interrupted
        return True

    async def _renew(self, now: float) -> None:
        epochs = await self._rows.acquire()
        if epochs.keys() != self._epochs.keys():
            logger.info("relay_shards_changed", source=self._source, shards=sorted(epochs))
        self._epochs = epochs
        self._held_until = now + LEASE_SECONDS
        self._renew_at = now + (RENEW_SECONDS if epochs else STANDBY_SECONDS)

    async def _measure(self) -> None:
        backlog = await self._rows.backlog()
        _pending.labels(self._source).set(backlog.count)
        _oldest.labels(self._source).set(backlog.oldest_seconds)
        _parked.labels(self._source).set(backlog.parked)

    async def _publish(self, rows: Sequence[OutboxRow]) -> _Outcome:
        """Send each subject's rows in order, all subjects at the same time."""
        outcome = _Outcome()
        if any(_is_unplaced(row) for row in rows):
            self._lost_shards()
        async with asyncio.TaskGroup() as group:
            for chain in _chains(rows):
                group.create_task(self._publish_chain(chain, outcome))
        return outcome

    async def _publish_chain(self, chain: Sequence[OutboxRow], outcome: _Outcome) -> None:
        for row in chain:
            if outcome.interrupted is not None or time.monotonic() > self._held_until - LEASE_MARGIN_SECONDS:
                return
            if _is_unplaced(row):
                return  # another relay has this shard now
            try:
                await self._publisher.publish(_message(row))
            except DependencyDownError as error:
                outcome.interrupted = error
                _failures.labels(self._source, error.code).inc()
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, it must block its subject only
                outcome.failed.append(self._failure(row, error))
                return
            crashpoint("after_confirm")
            outcome.sent.append(row)

    def _failure(self, row: OutboxRow, error: Exception) -> FailedRow:
        code = error.code if isinstance(error, PosternError) else "unexpected_error"
        detail = error.detail if isinstance(error, PosternError) else type(error).__name__
        _failures.labels(self._source, code).inc()
        refused = isinstance(error, PermanentError)
        unknown = not isinstance(error, PosternError)
        parked = refused or (unknown and row.attempts + 1 >= MAX_UNKNOWN_ATTEMPTS)
        logger.error(
            "outbox_row_parked" if parked else "outbox_publish_failed",
            message_id=str(row.event_id),
            type=row.type,
            subject=row.subject,
            attempts=row.attempts + 1,
            code=code,
            detail=detail,
            exc_info=error if unknown else None,
        )
        return FailedRow(row.position, delay_for(row.attempts), f"{code}: {detail}" if parked else None)

    async def _settle(self, outcome: _Outcome) -> None:
        if outcome.failed:
            await self._rows.mark_failed(outcome.failed, self._epochs)
        if outcome.sent:
            marked = await self._rows.mark_sent(outcome.sent, self._epochs, self._on_sent)
            _relayed.labels(self._source).inc(marked)
            if marked < len(outcome.sent):
                self._lost_shards()

    def _lost_shards(self) -> None:
        logger.warning("relay_lease_lost", source=self._source)
        self._renew_at = 0.0

    async def _release(self) -> None:
        with contextlib.suppress(PosternError, asyncio.CancelledError):
            await self._rows.release()


def _chains(rows: Sequence[OutboxRow]) -> list[list[OutboxRow]]:
    chains: dict[str, list[OutboxRow]] = {}
    for row in rows:
        chains.setdefault(row.subject, []).append(row)
    return list(chains.values())


def _is_unplaced(row: OutboxRow) -> bool:
    return row.exchange == EVENTS_EXCHANGE and row.source_sequence is None


def _message(row: OutboxRow) -> OutgoingMessage:
    body = row.body
    if row.source_sequence is not None:
        body = body[:-1] + b',"sourceshard":%d,"sourcesequence":%d}' % (row.shard, row.source_sequence)
    return OutgoingMessage(row.exchange, row.routing_key, body, row.event_id, row.type, row.attempts + 1)
