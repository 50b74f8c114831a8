"""Targets: the newest desired generation of every database, one row each, kept as a tombstone after a delete."""
# ruff: noqa: S608 - the texts are constants of this package, every value is bound

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from postern_common.contracts.commands import DesiredState
from postern_common.persistence import open_transaction
from postern_provisioner.domain.target import DatabaseIdentity, Target
from postern_provisioner.storage.rows import COLUMNS, target_of

REPAIR_SECONDS = 5.0
"""Between two repairs of one database: another manager that fights for a field must not make a hot loop."""

_RAISE = text("""
INSERT INTO provisioner.targets AS t (
    database_id, project_id, project, name, cluster_name, namespace, generation, operation_id, goal, desired, tombstone,
    undo_resize, pending_switchover, causation_id, traceparent, tracestate, received_at, next_attempt_at)
VALUES (
    :database_id, :project_id, :project, :name, :cluster_name, :namespace, :generation, :operation_id, :goal,
    CAST(:desired AS jsonb), :tombstone, :undo_resize, :pending_switchover, :causation_id, :traceparent, :tracestate,
    clock_timestamp(), clock_timestamp())
ON CONFLICT (database_id) DO UPDATE SET
    generation = excluded.generation, operation_id = excluded.operation_id, goal = excluded.goal,
    desired = coalesce(excluded.desired, t.desired), tombstone = excluded.tombstone,
    undo_resize = excluded.undo_resize OR (t.undo_resize AND t.applied_generation < t.generation),
    pending_switchover = excluded.pending_switchover, causation_id = excluded.causation_id,
    traceparent = excluded.traceparent, tracestate = excluded.tracestate, received_at = excluded.received_at,
    attempts = 0, failures = 0, last_error_code = NULL, failed_generation = NULL,
    next_attempt_at = excluded.next_attempt_at
WHERE t.generation < excluded.generation AND (excluded.tombstone OR NOT t.tombstone)
""")
_FIND = text(f"SELECT {COLUMNS} FROM provisioner.targets t WHERE t.database_id = ANY(CAST(:ids AS uuid[]))")
_SETTLED_AFTER = text(
    f"SELECT {COLUMNS} FROM provisioner.targets t WHERE t.database_id > :after AND NOT t.tombstone"
    " AND t.applied_generation = t.generation ORDER BY t.database_id LIMIT :limit"
)
_RECHECK = text(
    "UPDATE provisioner.targets SET repaired_at = clock_timestamp(),"
    " next_attempt_at = greatest(clock_timestamp(), repaired_at + make_interval(secs => :pause))"
    " WHERE database_id = ANY(CAST(:ids AS uuid[])) AND next_attempt_at IS NULL"
    " AND failed_generation IS DISTINCT FROM generation"
)
_SWEEP = text(
    "UPDATE provisioner.targets SET next_attempt_at = clock_timestamp()"
    " WHERE next_attempt_at IS NULL AND applied_generation < generation"
    " AND failed_generation IS DISTINCT FROM generation"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGeneration:
    """What a command makes of a target. ``desired`` is None in a delete, which keeps the last one."""

    identity: DatabaseIdentity
    generation: int
    operation_id: UUID
    goal: str
    desired: DesiredState | None = None
    is_tombstone: bool = False
    undo_resize: bool = False
    pending_switchover: str | None = None
    causation_id: UUID | None = None
    traceparent: str | None = None
    tracestate: str | None = None


class TargetStore:
    """Targets as commands, signals, the resync and the internal API see them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def raise_generation(self, connection: AsyncConnection, new: NewGeneration) -> bool:
        """Store a newer generation and make it due. False: an equal or newer one is there, or the database is deleted.

        An undo of a resize that was not applied yet stays asked for; a switchover that is pending is cleared.
        """
        identity = new.identity
        result = await connection.execute(
            _RAISE,
            {
                "database_id": identity.database_id,
                "project_id": identity.project_id,
                "project": identity.project,
                "name": identity.name,
                "cluster_name": identity.cluster_name,
                "namespace": identity.namespace,
                "generation": new.generation,
                "operation_id": new.operation_id,
                "goal": new.goal,
                "desired": None if new.desired is None else new.desired.model_dump_json(),
                "tombstone": new.is_tombstone,
                "undo_resize": new.undo_resize,
                "pending_switchover": new.pending_switchover,
                "causation_id": new.causation_id,
                "traceparent": new.traceparent,
                "tracestate": new.tracestate,
            },
        )
        return result.rowcount == 1

    async def find(self, database_id: UUID) -> Target | None:
        """The target of one database."""
        return (await self.find_many([database_id])).get(database_id)

    async def find_many(self, ids: Sequence[UUID]) -> dict[UUID, Target]:
        """The targets of several databases; unknown ones are left out."""
        async with open_transaction(self._engine) as connection:
            rows = (await connection.execute(_FIND, {"ids": list(ids)})).all()
        return {row.database_id: target_of(row) for row in rows}

    async def settled_after(self, after: UUID, *, limit: int) -> list[Target]:
        """Targets whose objects should all be there, in the order of their ids, a page at a time."""
        async with open_transaction(self._engine) as connection:
            rows = (await connection.execute(_SETTLED_AFTER, {"after": after, "limit": limit})).all()
        return [target_of(row) for row in rows]

    async def request_recheck(self, connection: AsyncConnection, ids: Sequence[UUID]) -> int:
        """Make targets due for a comparison with what is, unless they are due anyway or have failed for good."""
        result = await connection.execute(_RECHECK, {"ids": list(ids), "pause": REPAIR_SECONDS})
        return result.rowcount

    async def sweep(self) -> int:
        """Make due what should be and is not: a repair, normally of nothing."""
        async with open_transaction(self._engine) as connection:
            return (await connection.execute(_SWEEP)).rowcount
