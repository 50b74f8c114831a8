"""The projector: events of the provisioner and the watcher move databases and operations (semantics 12-18).

One transaction per message with its inbox row. The database's row is locked before its operations, everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from postern_common.contracts.cloudevent import CloudEvent, build_event, encode
from postern_common.contracts.events import (
    DatabaseApplied,
    DatabaseApplyFailed,
    DatabaseObserved,
    DatabaseReceived,
    DatabaseRemoved,
    DatabaseStateChanged,
)
from postern_common.contracts.payload import Payload
from postern_common.contracts.registry import BY_TYPE
from postern_common.contracts.states import Phase
from postern_common.errors import PoisonError
from postern_common.logging import get_logger
from postern_common.persistence import Inbox, UnitOfWork, UnitOfWorkFactory
from postern_common.telemetry import current_traceparent
from postern_gateway.domain.records import DatabaseRecord, OperationRecord
from postern_gateway.domain.reduction import (
    Situation,
    expire,
    reduce_applied,
    reduce_apply_failed,
    reduce_observation,
    reduce_received,
    reduce_removed,
)
from postern_gateway.domain.writes import build_command
from postern_gateway.services.databases import publish_command
from postern_gateway.services.recording import SOURCE
from postern_gateway.storage.databases import DatabaseStore
from postern_gateway.storage.operations import OperationStore

logger = get_logger(__name__)

Reduce = Callable[[Situation, Any, datetime], Situation]
_REDUCERS: dict[type[Payload], Reduce] = {
    DatabaseReceived: reduce_received,
    DatabaseApplied: reduce_applied,
    DatabaseApplyFailed: reduce_apply_failed,
    DatabaseRemoved: reduce_removed,
    DatabaseStateChanged: reduce_observation,
    DatabaseObserved: reduce_observation,
}


@dataclass(frozen=True, slots=True)
class _Relevance:
    operation_id: UUID | None
    generation: int
    causation: CloudEvent | None = None


class ProjectionService:
    """Applies one event, or one deadline, to one database."""

    def __init__(
        self, *, unit_of_work: UnitOfWorkFactory, inbox: Inbox, databases: DatabaseStore, operations: OperationStore
    ) -> None:
        self._unit_of_work = unit_of_work
        self._inbox = inbox
        self._databases = databases
        self._operations = operations

    async def apply(self, event: CloudEvent) -> None:
        """Apply an event once; a redelivery, or an event about a database that is not ours, changes nothing.

        Raises ``PoisonError`` for a type that the queue should not carry.
        """
        model = BY_TYPE[event.type].model
        reduce = _REDUCERS.get(model)
        if reduce is None:
            raise PoisonError("unexpected_type", f"{event.type} is not for the projection")
        payload: Any = event.payload(model)
        async with self._unit_of_work() as unit:
            if not await self._inbox.insert(unit.connection, event):
                logger.info("event_seen_before")
                return
            relevance = _Relevance(payload.operation_id, payload.generation, event)
            await self._move(unit, payload.database_id, relevance, lambda s, at: reduce(s, payload, at))

    async def expire(self, database_id: UUID) -> None:
        """Fail the database's operations past their deadline."""
        async with self._unit_of_work() as unit:
            await self._move(unit, database_id, _Relevance(None, 0), expire)

    async def _move(
        self,
        unit: UnitOfWork,
        database_id: UUID,
        relevance: _Relevance,
        change: Callable[[Situation, datetime], Situation],
    ) -> None:
        found = await self._databases.find_by_id(unit.connection, database_id, lock=True)
        if found is None or found[0].deleted_at is not None:
            logger.info("event_without_database_ignored", database_id=str(database_id))
            return
        before = found[0]
        operations = await self._operations.lock_relevant(
            unit.connection, database_id, before.project, relevance.operation_id, relevance.generation
        )
        after = change(Situation(before, operations), datetime.now(UTC))
        await self._save(unit, Situation(before, operations), after, relevance.causation)

    async def _save(self, unit: UnitOfWork, before: Situation, after: Situation, causation: CloudEvent | None) -> None:
        old = {operation.id: operation for operation in before.operations}
        for operation in after.operations:
            if operation.id in old and operation != old[operation.id]:
                await self._operations.save(unit.connection, operation, keep_command=_is_unreceived(operation))
                _log_end(old[operation.id], operation)
        database = _revise(before.database, after.database)
        if after.undo is not None:
            command = _undo_event(database, after, causation)
            await self._operations.insert(unit.connection, after.undo, encode(command))
            publish_command(unit, command)
            logger.warning("resize_undone", database_id=str(database.id), operation_id=str(after.undo.id))
        if database != before.database:
            await self._databases.change(unit.connection, database, None, None, None)


def _revise(before: DatabaseRecord, after: DatabaseRecord) -> DatabaseRecord:
    """The revision moves with any visible change, and only then (semantics 20)."""
    same = _visible(before) == _visible(replace(after, revision=before.revision))
    if same:
        return replace(after, revision=before.revision)
    return replace(after, revision=before.revision + 1, updated_at=datetime.now(UTC))


def _visible(record: DatabaseRecord) -> DatabaseRecord:
    seen = record.observed
    hidden = (
        None if seen is None else replace(seen, revision=0, generation=0, state=record.state, reason="", message="")
    )
    return replace(record, applied_generation=0, largest_storage=0, existed=None, observed=hidden)


def _is_unreceived(operation: OperationRecord) -> bool:
    return operation.status.is_open and operation.phases[-1][0] in (Phase.ACCEPTED, Phase.PUBLISHED)


def _log_end(before: OperationRecord, after: OperationRecord) -> None:
    if before.status.is_open and not after.status.is_open:
        logger.info(
            "operation_ended",
            operation_id=str(after.id),
            operation_type=after.type.value,
            status=after.status.value,
            code=None if after.error is None else after.error.code,
            database_id=str(after.database_id),
        )


def _undo_event(database: DatabaseRecord, situation: Situation, causation: CloudEvent | None) -> CloudEvent:
    if situation.undo is None:
        raise ValueError("nothing to undo")
    traceparent, tracestate = current_traceparent()
    return build_event(
        build_command(database, situation.undo, undo_resize=situation.undo_resize),
        source=SOURCE,
        subject=str(database.id),
        project=database.project,
        project_id=database.project_id,
        operation_id=situation.undo.id,
        causation_id=None if causation is None else causation.id,
        traceparent=traceparent,
        tracestate=tracestate,
    )
