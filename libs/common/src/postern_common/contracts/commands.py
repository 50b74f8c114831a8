"""Commands: what the gateway asks of the provisioner (imperative names)."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from postern_common.contracts.payload import Payload


class DesiredState(Payload):
    """Everything the provisioner needs to build a database's objects; resolved at acceptance, never looked up later."""

    plan: str
    version: int
    """PostgreSQL major."""
    instances: int
    cpu: str
    """Kubernetes quantity, for example ``500m``."""
    memory: str
    storage: str
    storage_class: str | None = None
    parameters: dict[str, str] = Field(default_factory=dict)
    allowed_cidrs: tuple[str, ...] | None = None
    """CIDRs that may connect; ``None`` is everyone."""
    hibernated: bool = False
    restarted_at: datetime | None = None
    reloaded_at: datetime | None = None


class DatabaseCommand(Payload):
    """What every command carries (semantics 4)."""

    database_id: UUID
    project_id: UUID
    project: str
    name: str
    cluster_name: str
    generation: int
    operation_id: UUID


class ApplyDatabase(DatabaseCommand):
    """Make the cluster's objects the desired ones at ``generation``."""

    goal: str
    desired: DesiredState
    undo_resize: bool = False


class DeleteDatabase(DatabaseCommand):
    """Remove every object of the database."""

    goal: str = "deleted"


class SwitchoverDatabase(DatabaseCommand):
    """Move the primary away from ``expected_primary``; carries the whole desired state like an apply (semantics 5)."""

    goal: str
    desired: DesiredState
    expected_primary: str
