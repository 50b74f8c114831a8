"""Columns of the two big tables and how records become rows: the statements are built from these, so they cannot
part.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from postern_common.contracts.commands import DesiredState
from postern_common.contracts.events import Observation
from postern_common.contracts.states import DatabaseState, OperationStatus, OperationType, Phase
from postern_gateway.domain.quantities import parse_bytes, parse_millicores
from postern_gateway.domain.records import DatabaseRecord, LastObserved, OperationError, OperationRecord

DATABASE_COLUMNS: Final[dict[str, str]] = {
    "id": "uuid",
    "project_id": "uuid",
    "name": "text",
    "cluster_name": "text",
    "revision": "bigint",
    "generation": "bigint",
    "desired": "jsonb",
    "labels": "jsonb",
    "deletion_protection": "boolean",
    "instances": "integer",
    "cpu_millis": "bigint",
    "memory_bytes": "bigint",
    "storage_bytes": "bigint",
    "largest_storage": "bigint",
    "operation_id": "uuid",
    "applied_generation": "bigint",
    "ever_ready": "boolean",
    "observed_revision": "bigint",
    "observed_state": "text",
    "observed_reason": "text",
    "observed_message": "text",
    "observed_annotation_generation": "bigint",
    "observed_generation": "bigint",
    "observed": "jsonb",
    "delete_generation": "bigint",
    "existed": "boolean",
    "state": "text",
    "state_reason": "text",
    "state_message": "text",
    "state_since": "timestamptz",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "created_by": "text",
    "deleted_at": "timestamptz",
}
_FIXED: Final = frozenset({"id", "project_id", "name", "cluster_name", "created_at", "created_by"})
OPERATION_COLUMNS: Final[dict[str, str]] = {
    "id": "uuid",
    "project_id": "uuid",
    "database_id": "uuid",
    "database": "text",
    "type": "text",
    "generation": "bigint",
    "status": "text",
    "goal": "text",
    "storage_bytes": "bigint",
    "deadline": "timestamptz",
    "phases": "jsonb",
    "error": "jsonb",
    "last_reason": "text",
    "trace_id": "text",
    "revision": "bigint",
    "created_at": "timestamptz",
    "created_by": "text",
    "finished_at": "timestamptz",
}

_ENCODER = msgspec.json.Encoder()
_Phases = tuple[tuple[Phase, datetime], ...]


def insert_values(columns: Mapping[str, str], prefix: str) -> tuple[str, str]:
    """Column list and value list of an INSERT; parameters are named ``<prefix><column>`` and cast explicitly."""
    values = ", ".join(f"CAST(:{prefix}{name} AS {kind})" for name, kind in columns.items())
    return ", ".join(columns), values


def update_list(columns: Mapping[str, str], prefix: str) -> str:
    """The SET list of an UPDATE, without what never changes."""
    return ", ".join(
        f"{name} = CAST(:{prefix}{name} AS {kind})" for name, kind in columns.items() if name not in _FIXED
    )


def database_values(record: DatabaseRecord, prefix: str = "d_") -> dict[str, Any]:
    """Parameters for the columns above."""
    seen, desired = record.observed, record.desired
    row: dict[str, Any] = {
        "id": record.id,
        "project_id": record.project_id,
        "name": record.name,
        "cluster_name": record.cluster_name,
        "revision": record.revision,
        "generation": record.generation,
        "desired": desired.model_dump_json(),
        "labels": to_json(record.labels),
        "deletion_protection": record.deletion_protection,
        "instances": desired.instances,
        "cpu_millis": parse_millicores(desired.cpu),
        "memory_bytes": parse_bytes(desired.memory),
        "storage_bytes": parse_bytes(desired.storage),
        "largest_storage": record.largest_storage,
        "operation_id": record.operation_id,
        "applied_generation": record.applied_generation,
        "ever_ready": record.ever_ready,
        "observed_revision": None if seen is None else seen.revision,
        "observed_state": None if seen is None else seen.state.value,
        "observed_reason": None if seen is None else seen.reason,
        "observed_message": None if seen is None else seen.message,
        "observed_annotation_generation": None if seen is None else seen.generation,
        "observed_generation": None if seen is None else seen.observed_generation,
        "observed": None if seen is None else seen.observation.model_dump_json(),
        "delete_generation": record.delete_generation,
        "existed": record.existed,
        "state": record.state.value,
        "state_reason": str(record.state_reason),
        "state_message": record.state_message,
        "state_since": record.state_since,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "created_by": record.created_by,
        "deleted_at": record.deleted_at,
    }
    return {f"{prefix}{name}": value for name, value in row.items()}


def operation_values(record: OperationRecord, prefix: str = "o_") -> dict[str, Any]:
    """Parameters for the columns above."""
    row: dict[str, Any] = {
        "id": record.id,
        "project_id": record.project_id,
        "database_id": record.database_id,
        "database": record.database,
        "type": record.type.value,
        "generation": record.generation,
        "status": record.status.value,
        "goal": record.goal,
        "storage_bytes": record.storage,
        "deadline": record.deadline,
        "phases": to_json(record.phases),
        "error": None if record.error is None else to_json(record.error),
        "last_reason": record.last_reason,
        "trace_id": record.trace_id,
        "revision": record.revision,
        "created_at": record.created_at,
        "created_by": record.created_by,
        "finished_at": record.finished_at,
    }
    return {f"{prefix}{name}": value for name, value in row.items()}


def to_json(value: Any) -> str:
    """Text for a jsonb parameter."""
    return _ENCODER.encode(value).decode()


def plain_uuid(value: Any) -> UUID:
    """asyncpg's UUID is a subclass that encoders do not know."""
    return UUID(int=value.int)


def read_database(row: Any) -> DatabaseRecord:
    """A row of ``databases`` joined with its project's name; the driver has decoded its JSON."""
    seen = None
    if row.observed_revision is not None:
        seen = LastObserved(
            revision=row.observed_revision,
            state=DatabaseState(row.observed_state),
            reason=row.observed_reason,
            message=row.observed_message,
            generation=row.observed_annotation_generation,
            observed_generation=row.observed_generation,
            observation=Observation.model_validate(row.observed),
        )
    return DatabaseRecord(
        id=plain_uuid(row.id),
        project_id=plain_uuid(row.project_id),
        project=row.project,
        name=row.name,
        cluster_name=row.cluster_name,
        revision=row.revision,
        generation=row.generation,
        desired=DesiredState.model_validate(row.desired),
        labels=row.labels,
        deletion_protection=row.deletion_protection,
        largest_storage=row.largest_storage,
        operation_id=plain_uuid(row.operation_id),
        state=DatabaseState(row.state),
        state_reason=row.state_reason,
        state_message=row.state_message,
        state_since=row.state_since,
        created_at=row.created_at,
        updated_at=row.updated_at,
        created_by=row.created_by,
        observed=seen,
        ever_ready=row.ever_ready,
        applied_generation=row.applied_generation,
        delete_generation=row.delete_generation,
        existed=row.existed,
        deleted_at=row.deleted_at,
    )


def read_operation(row: Any, project: str) -> OperationRecord:
    """A row of ``operations`` of the project called ``project``."""
    return OperationRecord(
        id=plain_uuid(row.id),
        type=OperationType(row.type),
        project_id=plain_uuid(row.project_id),
        project=project,
        database_id=plain_uuid(row.database_id),
        database=row.database,
        generation=row.generation,
        status=OperationStatus(row.status),
        goal=row.goal,
        deadline=row.deadline,
        storage=row.storage_bytes,
        created_by=row.created_by,
        created_at=row.created_at,
        phases=msgspec.convert(row.phases, _Phases),
        error=None if row.error is None else OperationError(**row.error),
        last_reason=row.last_reason,
        finished_at=row.finished_at,
        trace_id=row.trace_id,
        revision=row.revision,
    )
