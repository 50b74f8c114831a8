"""Vocabulary of states and operations, as the API, the events and the tables spell them."""

from enum import StrEnum


class DatabaseState(StrEnum):
    """What a database is. Only the watcher's observations and the gateway's own intent move it."""

    REQUESTED = "requested"
    PROVISIONING = "provisioning"
    READY = "ready"
    UPDATING = "updating"
    DEGRADED = "degraded"
    FAILING_OVER = "failing_over"
    RESTARTING = "restarting"
    UPGRADING = "upgrading"
    HIBERNATING = "hibernating"
    HIBERNATED = "hibernated"
    RESUMING = "resuming"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    DELETING = "deleting"
    DELETED = "deleted"


class OperationStatus(StrEnum):
    """Where an operation stands. Everything but the first two is final."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """Whether the operation can still change."""
        return self in (OperationStatus.PENDING, OperationStatus.RUNNING)


class OperationType(StrEnum):
    """What was asked."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RESTART = "restart"
    SWITCHOVER = "switchover"
    HIBERNATE = "hibernate"
    RESUME = "resume"
    RELOAD = "reload"
    UNDO_RESIZE = "undo_resize"


class Phase(StrEnum):
    """Milestones of an operation, in canonical order (semantics 14)."""

    ACCEPTED = "accepted"
    PUBLISHED = "published"
    RECEIVED = "received"
    APPLIED = "applied"
    OBSERVED = "observed"
    DONE = "done"


PHASE_ORDER: tuple[Phase, ...] = tuple(Phase)
