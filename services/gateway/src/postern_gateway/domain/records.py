"""What the gateway knows: projects, desired databases with their last observation, operations, keys.

Frozen; a decision returns a changed copy, and only the storage layer turns either into rows.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from postern_common.contracts.commands import DesiredState
from postern_common.contracts.events import ActionActor, Observation
from postern_common.contracts.states import DatabaseState, OperationStatus, OperationType, Phase

SYSTEM = ActionActor(kind="system", name="gateway")


def actor_text(actor: ActionActor) -> str:
    """``kind:name``, the form of every ``created_by``."""
    return f"{actor.kind}:{actor.name}"


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """A project; its name is never reused (semantics 1)."""

    id: UUID
    name: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class LastObserved:
    """The newest observation that was applied; ``generation`` is that of the annotation it was read with."""

    revision: int
    state: DatabaseState
    reason: str
    message: str
    generation: int
    observed_generation: int
    observation: Observation


@dataclass(frozen=True, slots=True)
class DatabaseRecord:
    """One database: what is asked, what was last seen, and the state projected from both (semantics 12).

    ``largest_storage`` is the largest volume ever applied, in bytes (semantics 22). ``existed`` is what the event
    ``removed`` said; None while none came (semantics 15).
    """

    id: UUID
    project_id: UUID
    project: str
    name: str
    cluster_name: str
    revision: int
    generation: int
    desired: DesiredState
    labels: dict[str, str]
    deletion_protection: bool
    largest_storage: int
    operation_id: UUID
    state: DatabaseState
    state_reason: str
    state_message: str
    state_since: datetime
    created_at: datetime
    updated_at: datetime
    created_by: str
    observed: LastObserved | None = None
    ever_ready: bool = False
    applied_generation: int = 0
    delete_generation: int | None = None
    existed: bool | None = None
    deleted_at: datetime | None = None

    @property
    def is_deleting(self) -> bool:
        """Whether a delete was asked: every other write is refused from then on."""
        return self.delete_generation is not None

    @property
    def observed_generation(self) -> int:
        """The highest generation proven to be there; 0 before the first observation."""
        return 0 if self.observed is None else self.observed.observed_generation


@dataclass(frozen=True, slots=True)
class OperationError:
    """Why an operation failed. ``retryable`` says that the same request may succeed later."""

    code: str
    detail: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """One long write. ``goal`` is what must be observed at ``generation`` (semantics 13); ``storage`` in bytes is the
    volume its generation asks for; ``last_reason`` is the newest cause of delay, told when the deadline passes."""

    id: UUID
    type: OperationType
    project_id: UUID
    project: str
    database_id: UUID
    database: str
    generation: int
    status: OperationStatus
    goal: str
    deadline: datetime
    storage: int
    created_by: str
    created_at: datetime
    phases: tuple[tuple[Phase, datetime], ...]
    error: OperationError | None = None
    last_reason: str | None = None
    finished_at: datetime | None = None
    trace_id: str | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """A credential of a project. Only the hash of its secret is known."""

    id: UUID
    project_id: UUID
    project: str
    name: str
    role: str
    permissions: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    secret_hash: bytes = field(default=b"", repr=False)
