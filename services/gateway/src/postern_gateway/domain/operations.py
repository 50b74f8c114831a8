"""The life of an operation: phases in canonical order, deadlines, and how it ends (semantics 13-16)."""

from dataclasses import replace
from datetime import datetime, timedelta

from postern_common.contracts.states import PHASE_ORDER, OperationStatus, OperationType, Phase
from postern_gateway.domain.records import OperationError, OperationRecord

_CHANGE_DEADLINE = timedelta(minutes=15)
_ACTION_DEADLINE = timedelta(minutes=10)
_CHANGES = frozenset({OperationType.CREATE, OperationType.UPDATE, OperationType.UNDO_RESIZE})
REEMIT_AFTER = timedelta(seconds=60)
"""A command sent but not ``received`` for this long is emitted again (semantics 14)."""

PROGRESS = {
    Phase.ACCEPTED: 5,
    Phase.PUBLISHED: 10,
    Phase.RECEIVED: 20,
    Phase.APPLIED: 40,
    Phase.OBSERVED: 95,
    Phase.DONE: 100,
}
"""Percent done once a phase is reached."""


def deadline_of(kind: OperationType) -> timedelta:
    """How long an operation may take: changes 15 minutes, actions and deletes 10 (semantics 16)."""
    return _CHANGE_DEADLINE if kind in _CHANGES else _ACTION_DEADLINE


def progress_of(operation: OperationRecord) -> int:
    """Percent done, 0-100, from the last phase."""
    return PROGRESS[operation.phases[-1][0]] if operation.phases else 0


def record_phase(operation: OperationRecord, phase: Phase, at: datetime) -> OperationRecord:
    """Record ``phase`` and any earlier one that is missing, with the same time (semantics 14).

    A phase that is there already, or lies before the last one recorded, changes nothing.
    """
    reached = PHASE_ORDER.index(operation.phases[-1][0]) if operation.phases else -1
    added = tuple((missing, at) for missing in PHASE_ORDER[reached + 1 : PHASE_ORDER.index(phase) + 1])
    if not added:
        return operation
    status = operation.status
    if status is OperationStatus.PENDING and PHASE_ORDER.index(phase) >= PHASE_ORDER.index(Phase.RECEIVED):
        status = OperationStatus.RUNNING
    return replace(operation, phases=operation.phases + added, status=status, revision=operation.revision + 1)


def succeed(operation: OperationRecord, at: datetime) -> OperationRecord:
    """The goal was reached. Closed operations stay as they are."""
    if not operation.status.is_open:
        return operation
    done = record_phase(operation, Phase.DONE, at)
    return replace(done, status=OperationStatus.SUCCEEDED, finished_at=at, revision=operation.revision + 1)


def fail(operation: OperationRecord, error: OperationError, at: datetime) -> OperationRecord:
    """The goal will not be reached. Closed operations stay as they are; no phase is invented."""
    if not operation.status.is_open:
        return operation
    return replace(
        operation, status=OperationStatus.FAILED, error=error, finished_at=at, revision=operation.revision + 1
    )


def supersede(operation: OperationRecord, at: datetime) -> OperationRecord:
    """A newer generation took over."""
    if not operation.status.is_open:
        return operation
    return replace(operation, status=OperationStatus.SUPERSEDED, finished_at=at, revision=operation.revision + 1)


def note_reason(operation: OperationRecord, reason: str) -> OperationRecord:
    """Keep the newest cause of delay; it is told when the deadline passes."""
    if not operation.status.is_open or operation.last_reason == reason:
        return operation
    return replace(operation, last_reason=reason[:1000], revision=operation.revision + 1)


def deadline_error(operation: OperationRecord, state_reason: str) -> OperationError:
    """The failure of an operation past its deadline, with the last reason that is known."""
    minutes = int((operation.deadline - operation.created_at).total_seconds() // 60)
    last = operation.last_reason or state_reason
    return OperationError(
        "deadline_exceeded", f"not done within {minutes} minutes; last known reason: {last}", retryable=True
    )
