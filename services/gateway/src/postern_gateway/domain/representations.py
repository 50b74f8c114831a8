"""Response bodies: what clients see, and nothing that is not listed here. OpenAPI's response schemas are made from
these.

msgspec structs, because a create encodes one on the hot path.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from postern_common.contracts.states import DatabaseState, OperationStatus, OperationType, Phase
from postern_gateway.domain.operations import progress_of
from postern_gateway.domain.records import ApiKeyRecord, DatabaseRecord, OperationRecord, ProjectRecord


class PhaseEntry(msgspec.Struct, frozen=True):
    """A milestone of an operation and when it was reached."""

    name: Phase
    at: datetime


class OperationFailure(msgspec.Struct, frozen=True):
    """Why an operation failed; ``retryable``: the same request may succeed later."""

    code: str
    detail: str
    retryable: bool


class Operation(msgspec.Struct, frozen=True):
    """A long write. It always ends: past its deadline it fails with ``deadline_exceeded``."""

    id: UUID
    type: OperationType
    project: str
    database: str
    database_id: UUID
    generation: int
    status: OperationStatus
    phases: list[PhaseEntry]
    progress: Annotated[int, Meta(ge=0, le=100, description="percent done")]
    error: OperationFailure | None
    deadline: datetime
    created_by: str
    created_at: datetime
    finished_at: datetime | None
    trace_id: str | None


class Observed(msgspec.Struct, frozen=True):
    """What is, beside what was asked. null is unknown, not zero."""

    instances: int | None
    ready_instances: int | None
    primary: str | None
    version: int | None
    storage: str | None
    image: str | None


class Database(msgspec.Struct, frozen=True):
    """A database: what is asked, and under ``observed`` what is. ``operation`` is the newest."""

    id: UUID
    project: str
    name: str
    plan: str
    version: int
    instances: int
    cpu: str
    memory: str
    storage: str
    storage_class: str | None
    parameters: dict[str, str]
    allowed_cidrs: list[str] | None
    labels: dict[str, str]
    deletion_protection: bool
    hibernated: bool
    generation: int
    observed_generation: int
    state: DatabaseState
    state_reason: Annotated[str, Meta(description="stable code")]
    state_message: Annotated[str, Meta(description="for people")]
    state_since: datetime
    observed: Observed | None
    operation: Operation
    created_at: datetime
    updated_at: datetime
    created_by: str


class Project(msgspec.Struct, frozen=True):
    """A project."""

    id: UUID
    name: str
    created_at: datetime
    created_by: str


class ApiKey(msgspec.Struct, frozen=True):
    """A credential. ``key`` is there once, in the answer to its creation; null in a replay, for it is stored
    nowhere.
    """

    id: UUID
    name: str
    role: Literal["viewer", "editor", "owner"]
    permissions: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    key: str | msgspec.UnsetType | None = msgspec.UNSET


class StorageChange(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """Volume size of each instance."""

    before: str
    after: str


class Usage(msgspec.Struct, frozen=True):
    """What the project's databases take together; hibernated ones keep their volumes only."""

    databases: int
    instances: int
    cpu_millis: int
    memory_bytes: int
    storage_bytes: int


class Rejection(msgspec.Struct, frozen=True):
    """Why the write would be refused; ``pointer`` where one member is the cause."""

    code: str
    detail: str
    pointer: str | None = None


class Impact(msgspec.Struct, frozen=True):
    """What a write would do."""

    restarts: Annotated[bool, Meta(description="instances restart one after the other")]
    downtime: Literal["none", "seconds", "until_resumed", "permanent"]
    failover: Annotated[bool, Meta(description="the primary moves")]
    storage_change: StorageChange | None
    quota_after: Annotated[Usage, Meta(description="the project's totals afterwards")]
    rejected: Annotated[list[Rejection], Meta(description="why it would be refused now; empty: it would be accepted")]


class DryRun(msgspec.Struct, frozen=True):
    """The answer to ``dry_run=true``: nothing was changed. ``changes`` maps a member to its old and new value."""

    dry_run: Literal[True]
    impact: Impact
    changes: dict[str, list[Any]]


class Endpoint(msgspec.Struct, frozen=True):
    """An address to connect to."""

    role: Literal["primary", "replicas", "any"]
    scope: Literal["cluster", "external"]
    host: str
    port: int


class Connection(msgspec.Struct, frozen=True):
    """How to connect, without a secret."""

    endpoints: list[Endpoint]
    dbname: str
    sslmode: str
    ca_certificate: str | None


class Credentials(msgspec.Struct, frozen=True):
    """The application role's credentials. Every read is audited before it is released."""

    username: str
    password: str
    dbname: str
    host: str
    port: int
    uri: str
    jdbc_uri: str


class Identity(msgspec.Struct, frozen=True):
    """Who the presented credential is."""

    kind: Literal["administrator", "api_key"]
    name: str
    credential_id: UUID | None
    project: str | None
    role: str
    permissions: list[str]
    expires_at: datetime | None


class PlanView(msgspec.Struct, frozen=True):
    """A plan of the catalogue."""

    name: str
    description: str
    cpu: str
    memory: str
    storage: str
    instances: int
    parameters: dict[str, str]
    deletion_protection: bool


class ParameterView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What values a parameter takes; ranges count ``unit``."""

    type: str
    restart: bool
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    also: list[float] = []
    values: list[str] = []
    pattern: str | None = None


class VersionView(msgspec.Struct, frozen=True):
    """A PostgreSQL major and its parameters."""

    major: int
    default: bool
    parameters: dict[str, ParameterView]


class StorageView(msgspec.Struct, frozen=True):
    """Limits of a volume."""

    minimum: str
    maximum: str


class CatalogueView(msgspec.Struct, frozen=True):
    """What may be asked for. Every plan goes with every version and every storage class, on 1 to 9 instances."""

    plans: list[PlanView]
    versions: list[VersionView]
    storage_classes: Annotated[
        list[str], Meta(description="empty: the cluster's classes are not listed, any name is taken")
    ]
    storage: StorageView
    instances: dict[str, int]


class Page(msgspec.Struct, frozen=True):
    """A page of a list; ``next_cursor`` is null on the last."""

    items: list[Any]
    next_cursor: str | None


def show_operation(record: OperationRecord) -> Operation:
    """The operation as clients see it."""
    error = record.error
    return Operation(
        id=record.id,
        type=record.type,
        project=record.project,
        database=record.database,
        database_id=record.database_id,
        generation=record.generation,
        status=record.status,
        phases=[PhaseEntry(name, at) for name, at in record.phases],
        progress=progress_of(record),
        error=None if error is None else OperationFailure(error.code, error.detail, error.retryable),
        deadline=record.deadline,
        created_by=record.created_by,
        created_at=record.created_at,
        finished_at=record.finished_at,
        trace_id=record.trace_id,
    )


def show_database(record: DatabaseRecord, operation: OperationRecord) -> Database:
    """The database as clients see it, with its newest operation."""
    desired = record.desired
    return Database(
        id=record.id,
        project=record.project,
        name=record.name,
        plan=desired.plan,
        version=desired.version,
        instances=desired.instances,
        cpu=desired.cpu,
        memory=desired.memory,
        storage=desired.storage,
        storage_class=desired.storage_class,
        parameters=desired.parameters,
        allowed_cidrs=None if desired.allowed_cidrs is None else list(desired.allowed_cidrs),
        labels=record.labels,
        deletion_protection=record.deletion_protection,
        hibernated=desired.hibernated,
        generation=record.generation,
        observed_generation=record.observed_generation,
        state=record.state,
        state_reason=str(record.state_reason),
        state_message=record.state_message,
        state_since=record.state_since,
        observed=_show_observed(record),
        operation=show_operation(operation),
        created_at=record.created_at,
        updated_at=record.updated_at,
        created_by=record.created_by,
    )


def _show_observed(record: DatabaseRecord) -> Observed | None:
    if record.observed is None:
        return None
    seen = record.observed.observation
    return Observed(seen.instances, seen.ready_instances, seen.primary, seen.version, seen.storage, seen.image)


def show_project(record: ProjectRecord) -> Project:
    """The project as clients see it."""
    return Project(record.id, record.name, record.created_at, record.created_by)


def show_api_key(record: ApiKeyRecord, key: str | msgspec.UnsetType | None = msgspec.UNSET) -> ApiKey:
    """The key as clients see it; ``key`` only in the answer to its creation."""
    return ApiKey(
        id=record.id,
        name=record.name,
        role=record.role,  # type: ignore[arg-type]  # the table's check constraint holds it
        permissions=list(record.permissions),
        created_at=record.created_at,
        created_by=record.created_by,
        expires_at=record.expires_at,
        key=key,
    )
