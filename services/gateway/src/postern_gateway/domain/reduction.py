"""How an event changes a database and its operations: pure, so that a redelivery can be reasoned about (semantics
13-18).

Every function takes the state read in the projector's transaction and returns the changed copy. ``Situation``
holds what belongs together: the database, the operations that can matter, and the commands that follow.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from postern_common.contracts.events import (
    DatabaseApplied,
    DatabaseApplyFailed,
    DatabaseObservation,
    DatabaseReceived,
    DatabaseRemoved,
)
from postern_common.contracts.goals import parse_goal
from postern_common.contracts.reasons import FINAL_REASONS, Reason
from postern_common.contracts.states import DatabaseState, OperationStatus, OperationType, Phase
from postern_gateway.domain.operations import deadline_error, fail, note_reason, record_phase, succeed, supersede
from postern_gateway.domain.projection import Intent, project
from postern_gateway.domain.quantities import parse_bytes
from postern_gateway.domain.records import (
    SYSTEM,
    DatabaseRecord,
    LastObserved,
    OperationError,
    OperationRecord,
    actor_text,
)
from postern_gateway.domain.writes import raise_generation


@dataclass(frozen=True, slots=True)
class Situation:
    """A database with the operations that can matter, oldest generation first.

    ``undo`` is the operation of a system change made on the way; its command is the caller's to send.
    """

    database: DatabaseRecord
    operations: tuple[OperationRecord, ...]
    undo: OperationRecord | None = None
    undo_resize: bool = field(default=False)

    def with_operation(self, operation: OperationRecord) -> "Situation":
        """The same with ``operation`` in the place of the one with its id."""
        return replace(self, operations=tuple(operation if o.id == operation.id else o for o in self.operations))

    def each_open(self, change: Callable[[OperationRecord], OperationRecord]) -> "Situation":
        """Apply ``change`` to every operation that can still change."""
        return replace(self, operations=tuple(change(o) if o.status.is_open else o for o in self.operations))


def reduce_received(situation: Situation, event: DatabaseReceived, at: datetime) -> Situation:
    """The provisioner owns the command now."""
    return situation.each_open(lambda o: record_phase(o, Phase.RECEIVED, at) if o.id == event.operation_id else o)


def reduce_applied(situation: Situation, event: DatabaseApplied, at: datetime) -> Situation:
    """All objects are the desired ones at the event's generation, and so at every lower one."""
    database = situation.database
    volumes = [o.storage for o in situation.operations if o.generation == event.generation]
    if event.generation == database.generation:
        volumes.append(parse_bytes(database.desired.storage))
    database = replace(
        database,
        applied_generation=max(database.applied_generation, event.generation),
        largest_storage=max([database.largest_storage, *volumes]),
    )
    changed = replace(situation, database=database).each_open(
        lambda o: record_phase(o, Phase.APPLIED, at) if _is_covered(o, event.generation) else o
    )
    return settle(changed, at)


def _is_covered(operation: OperationRecord, generation: int) -> bool:
    return operation.generation <= generation and operation.type is not OperationType.DELETE


def reduce_apply_failed(situation: Situation, event: DatabaseApplyFailed, at: datetime) -> Situation:
    """Retryable: the reason is kept for the deadline. Otherwise the operation fails at once with the code."""
    if event.retryable:
        reason = f"{event.code}: {event.detail}"
        return situation.each_open(lambda o: note_reason(o, reason) if o.id == event.operation_id else o)
    error = OperationError(event.code, event.detail[:1000], retryable=False)
    failed = situation.each_open(
        lambda o: fail(record_phase(o, Phase.RECEIVED, at), error, at) if o.id == event.operation_id else o
    )
    if event.code == Reason.VOLUME_EXPANSION_REFUSED and event.generation == situation.database.generation:
        # the class was asked before anything was applied: no way out of a stuck cluster is needed
        failed = _undo_resize(failed, at, stuck=False)
    return settle(failed, at)


def reduce_removed(situation: Situation, event: DatabaseRemoved, at: datetime) -> Situation:
    """No object of it was found any more; half of what a delete needs (semantics 15)."""
    database = situation.database
    if database.delete_generation is None:
        return situation
    existed = event.existed or bool(database.existed)
    changed = replace(situation, database=replace(database, existed=existed)).each_open(
        lambda o: record_phase(o, Phase.APPLIED, at) if o.type is OperationType.DELETE else o
    )
    return settle(changed, at)


def reduce_observation(situation: Situation, event: DatabaseObservation, at: datetime) -> Situation:
    """What the watcher saw; a smaller or equal revision is ignored, deliveries come back out of order (semantics
    17).
    """
    database = situation.database
    if database.observed is not None and event.revision <= database.observed.revision:
        return situation
    observed = LastObserved(
        revision=event.revision,
        state=event.to_state,
        reason=event.reason,
        message=event.message[:2000],
        generation=event.generation,
        # a generation that was never asked for was written by somebody else: it proves nothing about later ones
        observed_generation=max(min(event.observed_generation, database.generation), database.observed_generation),
        observation=event.observed,
    )
    # volumes can have grown for a generation that was overtaken before its ``applied``; what was asked for counts, not
    # the capacity: a storage system may round it up
    volume = _bytes_or_none(event.observed.storage) or 0
    grown = [o.storage for o in situation.operations if o.storage <= volume]
    changed = replace(
        situation,
        database=replace(
            database,
            observed=observed,
            ever_ready=database.ever_ready or event.to_state is DatabaseState.READY,
            largest_storage=max([database.largest_storage, *grown]),
        ),
    )
    if event.reason == Reason.VOLUME_EXPANSION_REFUSED:
        changed = _refuse_resize(changed, observed, at)
    return settle(changed, at)


def expire(situation: Situation, now: datetime) -> Situation:
    """Fail every operation past its deadline with the last reason that is known."""
    state_reason = f"{situation.database.state_reason}: {situation.database.state_message}"
    expired = situation.each_open(lambda o: fail(o, deadline_error(o, state_reason), now) if o.deadline <= now else o)
    return settle(expired, now)


def settle(situation: Situation, at: datetime) -> Situation:
    """Complete or fail what can be, then project the state; the database's revision moves with what is visible."""
    database = situation.database
    gone = database.deleted_at is None and _is_gone(database)
    if gone:
        database = replace(database, deleted_at=at)
        situation = replace(situation, database=database).each_open(
            lambda o: succeed(o, at) if o.type is OperationType.DELETE else supersede(o, at)
        )
    else:
        situation = situation.each_open(lambda o: _complete(o, database, at))
    return replace(situation, database=_project(situation, at))


def _complete(operation: OperationRecord, database: DatabaseRecord, at: datetime) -> OperationRecord:
    seen = database.observed
    if seen is None or operation.type is OperationType.DELETE:
        return operation
    if seen.state is DatabaseState.FAILED and seen.reason in FINAL_REASONS and seen.generation >= operation.generation:
        return fail(operation, OperationError(seen.reason, seen.message or seen.reason, retryable=False), at)
    reached = seen.observed_generation >= operation.generation and parse_goal(operation.goal).is_met_by(
        seen.state, seen.observation.primary
    )
    if reached and database.applied_generation >= operation.generation:
        return succeed(operation, at)
    return operation


def _is_gone(database: DatabaseRecord) -> bool:
    if database.delete_generation is None or database.existed is None:
        return False
    seen = database.observed
    return not database.existed or seen is None or seen.state is DatabaseState.DELETED


def _project(situation: Situation, at: datetime) -> DatabaseRecord:
    before = situation.database
    newest = newest_that_counts(situation.operations)
    intent = Intent(before.generation, before.is_deleting, before.ever_ready, before.deleted_at)
    projection = project(intent, before.observed, newest)
    moved = projection.state is not before.state
    return replace(
        before,
        state=projection.state,
        state_reason=projection.reason,
        state_message=projection.message,
        state_since=at if moved else before.state_since,
    )


def newest_that_counts(operations: tuple[OperationRecord, ...]) -> OperationRecord | None:
    """The newest operation that is not a failed switchover."""
    counting = [
        o for o in operations if not (o.type is OperationType.SWITCHOVER and o.status is OperationStatus.FAILED)
    ]
    return max(counting, key=lambda o: o.generation, default=None)


def _refuse_resize(situation: Situation, seen: LastObserved, at: datetime) -> Situation:
    error = OperationError(seen.reason, seen.message or "the storage class cannot grow volumes", retryable=False)
    failed = situation.each_open(
        lambda o: (
            fail(o, error, at)
            if o.type is OperationType.UPDATE and o.generation <= max(seen.generation, seen.observed_generation)
            else o
        )
    )
    return _undo_resize(failed, at, stuck=True)


def _undo_resize(situation: Situation, at: datetime, *, stuck: bool) -> Situation:
    """Set the desired storage back as a new generation of the system's, once: only while desired > what is (semantics
    18).
    """
    database = situation.database
    if database.is_deleting:
        return situation
    actual = None if database.observed is None else database.observed.observation.storage
    size = _bytes_or_none(actual)
    if size is None or actual is None or size >= parse_bytes(database.desired.storage):
        return situation
    desired = database.desired.model_copy(update={"storage": actual})
    changed, undo = raise_generation(
        replace(database, largest_storage=size),
        kind=OperationType.UNDO_RESIZE,
        desired=desired,
        created_by=actor_text(SYSTEM),
        now=at,
        trace_id=None,
    )
    superseded = situation.each_open(lambda o: supersede(o, at))
    return replace(
        superseded, database=changed, operations=(*superseded.operations, undo), undo=undo, undo_resize=stuck
    )


def _bytes_or_none(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_bytes(text)
    except ValueError:
        return None
