"""The relay's SQL: leases, due rows, stamps and outcomes of one service's outbox. The relay decides, this translates.

Every statement that changes a row carries the epochs of the leases: a relay that lost a shard without noticing changes
nothing (semantics 28).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from postern_common.contracts.broker import EVENTS_EXCHANGE
from postern_common.persistence.transactions import open_transaction

_EPOCHS: Final = "unnest(CAST(:shards AS smallint[]), CAST(:epochs AS bigint[])) AS e (shard, epoch)"

OnSent = Callable[[AsyncConnection, Sequence["SentMessage"]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An unsent row. ``attempts`` are those that failed before."""

    position: int
    shard: int
    subject: str
    exchange: str
    routing_key: str
    event_id: UUID
    type: str
    operation_id: UUID | None
    traceparent: str | None
    body: bytes
    source_sequence: int | None
    attempts: int


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message that the broker has confirmed, as told to ``on_sent``."""

    event_id: UUID
    type: str
    subject: str
    operation_id: UUID | None
    exchange: str


@dataclass(frozen=True, slots=True)
class FailedRow:
    """What becomes of a row that could not be sent: tried again in ``delay`` seconds, or parked with a reason."""

    position: int
    delay: float
    parked_reason: str | None


@dataclass(frozen=True, slots=True)
class OutboxBacklog:
    """Unsent rows (parked ones included), the age of the oldest in seconds, and how many are parked."""

    count: int
    oldest_seconds: float
    parked: int


class OutboxRows:
    """Access to the outbox and its shards' leases for one relay (``owner``)."""

    def __init__(self, engine: AsyncEngine, schema: str, *, owner: str, ttl: float) -> None:
        self._engine = engine
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._owner = owner
        self._ttl = ttl
        self._sql = _Statements(schema)

    async def acquire(self) -> dict[int, int]:
        """Take every free shard and renew those held; returns shard → epoch."""
        async with open_transaction(self._single) as connection:
            rows = await connection.execute(self._sql.acquire, {"owner": self._owner, "ttl": self._ttl})
            return {row.shard: row.epoch for row in rows}

    async def release(self) -> None:
        """Give all shards back."""
        async with open_transaction(self._single, seconds=2.0) as connection:
            await connection.execute(self._sql.release, {"owner": self._owner})

    async def claim(self, epochs: Mapping[int, int], limit: int) -> list[OutboxRow]:
        """The oldest rows to send now, in order; none of a subject that a failed or parked row blocks.

        In the same statement rows for the ledger's exchange get their place in the source's sequence, durably: what is
        sent again carries the same one. Such a row without a place is one of a shard that another relay holds by now.
        """
        async with open_transaction(self._single) as connection:
            rows = await connection.execute(self._sql.claim, {"limit": limit, **_split(epochs)})
            return [OutboxRow(*row) for row in rows]

    async def mark_sent(self, rows: Sequence[OutboxRow], epochs: Mapping[int, int], on_sent: OnSent | None) -> int:
        """Mark rows sent and tell ``on_sent`` in the same transaction; returns how many were still ours."""
        by_position = {row.position: row for row in rows}
        engine = self._single if on_sent is None else self._engine
        async with open_transaction(engine) as connection:
            marked = await connection.scalars(self._sql.mark_sent, {"positions": list(by_position), **_split(epochs)})
            sent = [by_position[position] for position in sorted(marked)]
            if on_sent is not None and sent:
                await on_sent(
                    connection, [SentMessage(r.event_id, r.type, r.subject, r.operation_id, r.exchange) for r in sent]
                )
            return len(sent)

    async def mark_failed(self, rows: Sequence[FailedRow], epochs: Mapping[int, int]) -> None:
        """Count a failed attempt and say when the next one is, if there is one."""
        async with open_transaction(self._single) as connection:
            await connection.execute(
                self._sql.mark_failed,
                {
                    "positions": [row.position for row in rows],
                    "delays": [row.delay for row in rows],
                    "reasons": [row.parked_reason for row in rows],
                    **_split(epochs),
                },
            )

    async def backlog(self) -> OutboxBacklog:
        """Count what is unsent."""
        async with open_transaction(self._single) as connection:
            row = (await connection.execute(self._sql.backlog)).one()
            return OutboxBacklog(row.unsent, float(row.oldest), row.parked)


def _split(epochs: Mapping[int, int]) -> dict[str, list[int]]:
    return {"shards": list(epochs.keys()), "epochs": list(epochs.values())}


class _Statements:
    def __init__(self, schema: str) -> None:
        outbox, leases = f"{schema}.outbox", f"{schema}.relay_leases"
        self.acquire = text(
            f"UPDATE {leases} SET owner = :owner,"  # noqa: S608 - the schema is a constant of ours
            " epoch = epoch + CASE WHEN owner = :owner AND expires_at > clock_timestamp() THEN 0 ELSE 1 END,"
            " expires_at = clock_timestamp() + make_interval(secs => :ttl)"
            " WHERE owner = :owner OR expires_at <= clock_timestamp() RETURNING shard, epoch"
        )
        self.release = text(f"UPDATE {leases} SET expires_at = '-infinity' WHERE owner = :owner")  # noqa: S608
        self.claim = text(
            "WITH due AS MATERIALIZED (SELECT position, shard, subject, exchange, routing_key, event_id, type,"  # noqa: S608
            f" operation_id, traceparent, body, source_sequence, attempts FROM {outbox} WHERE sent_at IS NULL"
            " AND shard = ANY(CAST(:shards AS smallint[]))"
            f" AND subject NOT IN (SELECT b.subject FROM {outbox} b WHERE b.sent_at IS NULL"
            " AND (b.parked_reason IS NOT NULL OR b.next_attempt_at > clock_timestamp()))"
            " ORDER BY position LIMIT :limit),"
            " picked AS (SELECT position, shard, row_number() OVER (PARTITION BY shard ORDER BY position) AS place"
            f" FROM due WHERE source_sequence IS NULL AND exchange = '{EVENTS_EXCHANGE}'),"
            f" counted AS (UPDATE {leases} l SET next_sequence = l.next_sequence + c.number"
            f" FROM (SELECT shard, count(*) AS number FROM picked GROUP BY shard) c, {_EPOCHS}"
            " WHERE l.shard = c.shard AND e.shard = l.shard AND l.epoch = e.epoch"
            " RETURNING l.shard, l.next_sequence - c.number AS first),"
            f" stamped AS (UPDATE {outbox} o SET source_sequence = n.first + p.place - 1 FROM picked p, counted n"
            " WHERE n.shard = p.shard AND o.position = p.position RETURNING o.position, o.source_sequence)"
            " SELECT d.position, d.shard, d.subject, d.exchange, d.routing_key, d.event_id, d.type, d.operation_id,"
            " d.traceparent, d.body, coalesce(s.source_sequence, d.source_sequence), d.attempts"
            " FROM due d LEFT JOIN stamped s USING (position) ORDER BY d.position"
        )
        # Nobody waits for the disk here: what a crash of the server makes it forget is sent again, under the same id.
        self.mark_sent = text(
            f"UPDATE {outbox} o SET sent_at = clock_timestamp(), attempts = o.attempts + 1, next_attempt_at = NULL"  # noqa: S608
            f" FROM {leases} l, {_EPOCHS}, set_config('synchronous_commit', 'off', true)"
            " WHERE o.position = ANY(CAST(:positions AS bigint[])) AND o.sent_at IS NULL"
            " AND l.shard = o.shard AND e.shard = l.shard AND l.epoch = e.epoch RETURNING o.position"
        )
        self.mark_failed = text(
            f"UPDATE {outbox} o SET attempts = o.attempts + 1, parked_reason = f.reason,"  # noqa: S608
            " next_attempt_at = clock_timestamp() + make_interval(secs => f.delay)"
            " FROM unnest(CAST(:positions AS bigint[]), CAST(:delays AS double precision[]), CAST(:reasons AS text[]))"
            f" AS f (position, delay, reason), {leases} l, {_EPOCHS}"
            " WHERE o.position = f.position AND o.sent_at IS NULL"
            " AND l.shard = o.shard AND e.shard = l.shard AND l.epoch = e.epoch"
        )
        self.backlog = text(
            "SELECT count(*) AS unsent, count(parked_reason) AS parked,"  # noqa: S608
            " coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS oldest"
            f" FROM {outbox} WHERE sent_at IS NULL"
        )
