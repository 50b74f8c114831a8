"""Events: what happened (names in the past tense)."""

from typing import Any
from uuid import UUID

from pydantic import Field

from postern_common.contracts.payload import Payload
from postern_common.contracts.states import DatabaseState


class ObjectReference(Payload):
    """A Kubernetes object that was written or removed."""

    api_version: str
    kind: str
    name: str
    namespace: str | None = None


class DatabaseProgress(Payload):
    """What every event of the provisioner carries."""

    database_id: UUID
    project_id: UUID
    project: str
    name: str
    generation: int
    operation_id: UUID


class DatabaseReceived(DatabaseProgress):
    """The command is stored; from here on the provisioner owns it."""


class DatabaseApplied(DatabaseProgress):
    """All objects are the desired ones at ``generation``."""

    objects: tuple[ObjectReference, ...] = ()


class DatabaseApplyFailed(DatabaseProgress):
    """An apply was refused, or keeps failing. ``retryable`` says that the provisioner goes on trying by itself."""

    code: str
    detail: str
    retryable: bool


class DatabaseRemoved(DatabaseProgress):
    """No object of this database was found any more; ``existed`` is false when there never was one."""

    existed: bool
    objects: tuple[ObjectReference, ...] = ()


class Observation(Payload):
    """What is, beside what was asked. Absent values are unknown, not zero."""

    instances: int | None = None
    ready_instances: int | None = None
    primary: str | None = None
    version: int | None = None
    storage: str | None = None
    image: str | None = None


class DatabaseObservation(Payload):
    """Common data of the watcher's events (semantics 7).

    ``revision`` counts up by one per database, without a gap. On the wire the states are ``from`` and ``to``.
    """

    database_id: UUID
    project_id: UUID
    project: str
    name: str
    revision: int
    generation: int
    observed_generation: int
    from_state: DatabaseState | None = Field(alias="from")
    to_state: DatabaseState = Field(alias="to")
    reason: str
    message: str
    observed: Observation
    operation_id: UUID | None = None


class DatabaseStateChanged(DatabaseObservation):
    """State or reason differ from the last revision."""


class DatabaseObserved(DatabaseObservation):
    """Only observed generation, primary or instance counts differ; ``from_state`` equals ``to_state``."""


class ObjectDrifted(Payload):
    """An object of ours was edited or deleted by somebody else."""

    database_id: UUID
    project_id: UUID
    project: str
    name: str
    object: ObjectReference
    who: str
    what: str


class ActionActor(Payload):
    """Who acted. ``credential_id`` is an API key's id, or None for the bootstrap administrator and the system."""

    kind: str
    name: str
    credential_id: UUID | None = None


class ApiAction(Payload):
    """One recorded call of the API (semantics 33). ``diff`` maps a member to old and new value, secrets redacted."""

    actor: ActionActor
    address: str
    method: str
    route: str
    resource: str
    outcome: str
    """``accepted``, ``dry_run``, ``forbidden``, ``conflict``, ``precondition_failed`` or ``read``."""
    status: int
    request_id: str
    operation_id: UUID | None = None
    trace_id: str | None = None
    diff: dict[str, Any] = Field(default_factory=dict)
