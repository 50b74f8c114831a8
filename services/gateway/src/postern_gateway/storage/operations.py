# ruff: noqa: S608 - statements are built from column names of ours; values are always parameters
"""Rows of ``operations``: read for clients, changed by the projector, the sweeps and the relay."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from postern_common.contracts.broker import COMMANDS_EXCHANGE
from postern_common.contracts.cloudevent import CloudEvent, decode
from postern_common.persistence import SentMessage
from postern_gateway.domain.operations import REEMIT_AFTER
from postern_gateway.domain.records import OperationRecord
from postern_gateway.storage.columns import OPERATION_COLUMNS, insert_values, operation_values, read_operation

_NAMES, _VALUES = insert_values(OPERATION_COLUMNS, "o_")
_INSERT = text(f"INSERT INTO gateway.operations ({_NAMES}, command) VALUES ({_VALUES}, CAST(:command AS bytea))")
_READ = text("SELECT * FROM gateway.operations WHERE project_id = :project_id AND id = :id")
# what can matter to an event: the open ones, the one it names, the one of its generation, and the two newest that are
# no
# failed switchover (a switchover that fails in this very event must leave the one before it)
_RELEVANT = text(
    """
    SELECT * FROM gateway.operations WHERE database_id = :database_id AND (
        status IN ('pending', 'running') OR id = CAST(:id AS uuid) OR generation = CAST(:generation AS bigint)
        OR id IN (SELECT id FROM gateway.operations WHERE database_id = :database_id
                  AND NOT (type = 'switchover' AND status = 'failed') ORDER BY generation DESC LIMIT 2))
    ORDER BY id FOR UPDATE
    """
)
_SAVE = text(
    """
    UPDATE gateway.operations SET status = :o_status, phases = CAST(:o_phases AS jsonb),
        error = CAST(:o_error AS jsonb),
        last_reason = :o_last_reason, revision = :o_revision, finished_at = :o_finished_at,
        command = CASE WHEN :keep_command THEN command END
    WHERE id = :o_id
    """
)
_PUBLISHED = text(
    """
    UPDATE gateway.operations AS o SET
        command_sent_at = CASE WHEN o.command IS NOT NULL THEN clock_timestamp() END,
        phases = CASE WHEN jsonb_array_length(o.phases) = 1 THEN o.phases || CAST(:phase AS jsonb) ELSE o.phases END,
        revision = o.revision + CASE WHEN jsonb_array_length(o.phases) = 1 THEN 1 ELSE 0 END
    FROM (SELECT id FROM gateway.operations WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE) AS locked
    WHERE o.id = locked.id AND o.status IN ('pending', 'running')
    """
)
_FINISHED = text(
    "SELECT id FROM gateway.operations WHERE id = ANY(CAST(:ids AS uuid[])) AND status NOT IN ('pending', 'running')"
)
_EXPIRED = text(
    "SELECT DISTINCT database_id FROM (SELECT database_id FROM gateway.operations WHERE status IN"
    " ('pending', 'running') AND deadline < clock_timestamp() ORDER BY deadline LIMIT :limit) AS o"
)
_UNRECEIVED = text(
    """
    SELECT id, command FROM gateway.operations
    WHERE command IS NOT NULL AND command_sent_at IS NOT NULL AND status IN ('pending', 'running')
        AND command_sent_at < clock_timestamp() - CAST(:after AS interval)
    ORDER BY command_sent_at LIMIT :limit FOR UPDATE SKIP LOCKED
    """
)
_EMITTED_AGAIN = text("UPDATE gateway.operations SET command_sent_at = NULL WHERE id = ANY(CAST(:ids AS uuid[]))")


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """What a list of operations shows."""

    project_id: UUID
    project: str
    database_ids: tuple[UUID, ...] | None = None
    statuses: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    since: datetime | None = None
    position: UUID | None = None
    ascending: bool = False


class OperationStore:
    """Every method works inside the caller's transaction."""

    async def find(
        self, connection: AsyncConnection, project_id: UUID, project: str, operation_id: UUID
    ) -> OperationRecord | None:
        """One operation of the project; those of deleted databases stay readable (semantics 22)."""
        row = (await connection.execute(_READ, {"project_id": project_id, "id": operation_id})).one_or_none()
        return None if row is None else read_operation(row, project)

    async def list(self, connection: AsyncConnection, chosen: OperationFilter, limit: int) -> Sequence[OperationRecord]:
        """Up to ``limit`` operations by id, newest first unless ascending."""
        where, values = ["project_id = :project_id"], {"project_id": chosen.project_id, "limit": limit}
        conditions: Final[dict[str, tuple[str, Any]]] = {
            "database_ids": ("database_id = ANY(CAST(:database_ids AS uuid[]))", chosen.database_ids),
            "statuses": ("status = ANY(CAST(:statuses AS text[]))", list(chosen.statuses) or None),
            "types": ("type = ANY(CAST(:types AS text[]))", list(chosen.types) or None),
            "since": ("created_at >= :since", chosen.since),
            "position": (f"id {'>' if chosen.ascending else '<'} :position", chosen.position),
        }
        for name, (condition, value) in conditions.items():
            if value is not None:
                where.append(condition)
                values[name] = list(value) if isinstance(value, tuple) else value
        order = "ASC" if chosen.ascending else "DESC"
        statement = f"SELECT * FROM gateway.operations WHERE {' AND '.join(where)} ORDER BY id {order} LIMIT :limit"
        return [read_operation(row, chosen.project) for row in await connection.execute(text(statement), values)]

    async def lock_relevant(
        self, connection: AsyncConnection, database_id: UUID, project: str, operation_id: UUID | None, generation: int
    ) -> tuple[OperationRecord, ...]:
        """The operations that an event of ``operation_id`` at ``generation`` can move, locked, oldest first."""
        rows = await connection.execute(
            _RELEVANT, {"database_id": database_id, "id": operation_id, "generation": generation}
        )
        return tuple(sorted((read_operation(row, project) for row in rows), key=lambda o: o.generation))

    async def insert(self, connection: AsyncConnection, operation: OperationRecord, command: bytes) -> None:
        """A system operation with its command."""
        await connection.execute(_INSERT, operation_values(operation) | {"command": command})

    async def save(self, connection: AsyncConnection, operation: OperationRecord, *, keep_command: bool) -> None:
        """Store what can change. The command is kept only until it was received: for re-emission."""
        values = operation_values(operation)
        wanted = ("status", "phases", "error", "last_reason", "revision", "finished_at", "id")
        await connection.execute(
            _SAVE, {f"o_{name}": values[f"o_{name}"] for name in wanted} | {"keep_command": keep_command}
        )


async def mark_published(connection: AsyncConnection, sent: Sequence[SentMessage]) -> None:
    """The relay's hook: phase ``published`` in the transaction of its mark-sent (semantics 14).

    Locks in the order of ids, and no database row: the projector locks a database first, so neither waits for the other
    in a circle.
    """
    ids = [m.operation_id for m in sent if m.exchange == COMMANDS_EXCHANGE and m.operation_id is not None]
    if ids:
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        await connection.execute(_PUBLISHED, {"ids": ids, "phase": f'[["published", "{at}"]]'})


async def read_finished(connection: AsyncConnection, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Those of ``ids`` that have ended."""
    return [UUID(int=row.id.int) for row in await connection.execute(_FINISHED, {"ids": list(ids)})]


async def find_expired(connection: AsyncConnection, limit: int) -> Sequence[UUID]:
    """Databases with an open operation past its deadline; reads an index of open operations only."""
    return [UUID(int=row.database_id.int) for row in await connection.execute(_EXPIRED, {"limit": limit})]


async def take_unreceived(connection: AsyncConnection, limit: int) -> Sequence[CloudEvent]:
    """Commands that were sent and not ``received`` for 60 s; they count as unsent again until the relay sends them."""
    rows = (await connection.execute(_UNRECEIVED, {"after": REEMIT_AFTER, "limit": limit})).all()
    if rows:
        await connection.execute(_EMITTED_AGAIN, {"ids": [row.id for row in rows]})
    return [decode(row.command) for row in rows]
