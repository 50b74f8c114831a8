"""A target: what a database's objects shall be, as the newest command says. Pure data and the questions it answers."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from postern_common.contracts.commands import DesiredState


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseIdentity:
    """Who the database is; never changes after its first command."""

    database_id: UUID
    project_id: UUID
    project: str
    name: str
    cluster_name: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target as it was claimed. ``desired`` is None only for a database whose first command was a delete."""

    identity: DatabaseIdentity
    generation: int
    applied_generation: int
    operation_id: UUID
    goal: str
    desired: DesiredState | None
    is_tombstone: bool = False
    removed: bool = False
    existed: bool = False
    undo_resize: bool = False
    pending_switchover: str | None = None
    """The pod that must stop being primary (``expected_primary``)."""
    image: str | None = None
    """Image of the running cluster; kept when the default for its major changes."""
    causation_id: UUID | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    attempts: int = 0
    """Failures in a row that count (semantics 29)."""
    failures: int = 0
    """Failures in a row of any class: they stretch the delay."""
    last_error_code: str | None = None
    received_at: datetime
    """When the newest generation was received, by the database's clock."""
    age_seconds: float = 0.0
    """Seconds since ``received_at`` when it was claimed, by the database's clock."""

    @property
    def is_applied(self) -> bool:
        """Whether this claim only looks for drift: the generation was reported before."""
        return self.applied_generation >= self.generation

    @property
    def needs_no_lookup(self) -> bool:
        """Whether nothing but the Cluster itself can be there: the first attempt of the first apply."""
        return self.applied_generation == 0 and not self.existed and self.failures == 0
