"""The API's ``state``: one pure function of what is asked, what was last seen and the newest operation (semantics
12).
"""

from dataclasses import dataclass
from datetime import datetime

from postern_common.contracts.reasons import Reason
from postern_common.contracts.states import DatabaseState, OperationStatus, OperationType
from postern_gateway.domain.records import LastObserved, OperationRecord

_TOLD_AS_SEEN = frozenset(
    {
        DatabaseState.FAILED,
        DatabaseState.UNAVAILABLE,
        DatabaseState.FAILING_OVER,
        DatabaseState.DEGRADED,
        DatabaseState.RESTARTING,
        DatabaseState.UPGRADING,
    }
)
_ASLEEP = frozenset({DatabaseState.HIBERNATING, DatabaseState.HIBERNATED, DatabaseState.RESUMING})
_CAUSES = frozenset(
    {
        Reason.OBJECTS_NOT_CREATED,
        Reason.IMAGE_PULL_FAILED,
        Reason.STORAGE_CLASS_MISSING,
        Reason.UNSCHEDULABLE,
        Reason.OUT_OF_MEMORY,
        Reason.INIT_FAILED,
        Reason.CRASH_LOOPING,
    }
)
"""What the watcher finds on pods, volumes and events: it says more than that something was asked for."""
_VANISHED = (
    "its cluster was deleted in Kubernetes by somebody else, and is not made anew by itself: it would be empty. DELETE"
    " the database, or change it with a PATCH: that makes a new cluster, which is empty unless the volumes are still"
    " there"
)
_UNDER_WAY = {
    OperationType.HIBERNATE: (DatabaseState.HIBERNATING, Reason.HIBERNATION_REQUESTED, "hibernation was asked for"),
    OperationType.RESUME: (DatabaseState.RESUMING, Reason.RESUME_REQUESTED, "resuming was asked for"),
    OperationType.RESTART: (DatabaseState.RESTARTING, Reason.RESTART_REQUESTED, "a restart was asked for"),
}


@dataclass(frozen=True, slots=True)
class Intent:
    """The part of the desired side that moves the state."""

    generation: int
    delete_asked: bool = False
    ever_ready: bool = False
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Projection:
    """State, stable reason code and words for people."""

    state: DatabaseState
    reason: str
    message: str


def project(desired: Intent, last_observed: LastObserved | None, newest: OperationRecord | None) -> Projection:
    """First match wins (semantics 12). ``newest`` is the newest operation that is not a failed switchover: a failed
    switchover changes only its operation, and must not hide an earlier failure either."""
    if desired.deleted_at is not None:
        return Projection(DatabaseState.DELETED, Reason.REMOVED, "everything of it is gone")
    if desired.delete_asked:
        return Projection(DatabaseState.DELETING, Reason.DELETION_REQUESTED, "deletion was asked for")
    if last_observed is None:
        return _never_observed(newest)
    seen = Projection(last_observed.state, last_observed.reason, last_observed.message)
    if last_observed.state in (DatabaseState.DELETING, DatabaseState.DELETED):
        return Projection(DatabaseState.UNAVAILABLE, Reason.VANISHED, _VANISHED)
    if last_observed.state in _TOLD_AS_SEEN:
        return seen
    if last_observed.observed_generation >= desired.generation or newest is None:
        return seen
    if newest.status.is_open:
        return _under_way(desired, seen, newest)
    if newest.status is OperationStatus.FAILED and newest.error is not None:
        return Projection(_after_failure(desired, seen.state), newest.error.code, newest.error.detail)
    return seen


def _after_failure(desired: Intent, seen: DatabaseState) -> DatabaseState:
    """``degraded`` says that it serves: what sleeps does not, and what was never ready never did (docs/adr/0012)."""
    if seen in _ASLEEP:
        return seen
    serves = desired.ever_ready and seen is not DatabaseState.PROVISIONING
    return DatabaseState.DEGRADED if serves else DatabaseState.FAILED


def _never_observed(newest: OperationRecord | None) -> Projection:
    error = newest.error if newest is not None and newest.status is OperationStatus.FAILED else None
    if error is None:
        return Projection(DatabaseState.REQUESTED, Reason.CREATING, "accepted; not seen in the cluster yet")
    state = DatabaseState.REQUESTED if error.retryable else DatabaseState.FAILED
    return Projection(state, error.code, error.detail)


def _under_way(desired: Intent, seen: Projection, newest: OperationRecord) -> Projection:
    if not desired.ever_ready:
        if seen.state is DatabaseState.PROVISIONING:
            return seen
        if seen.reason in _CAUSES:
            return Projection(DatabaseState.PROVISIONING, seen.reason, seen.message)
        return Projection(DatabaseState.PROVISIONING, Reason.CREATING, "being made")
    known = _UNDER_WAY.get(newest.type)
    if known is not None:
        state, reason, message = known
        # the watcher's words say more than ours once it is in the same state
        return seen if seen.state is state else Projection(state, reason, message)
    if seen.state in (DatabaseState.UPDATING, DatabaseState.PROVISIONING):  # the latter after its cluster vanished
        return seen
    return Projection(DatabaseState.UPDATING, Reason.APPLYING, f"generation {desired.generation} is on its way")
