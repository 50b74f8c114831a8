"""How a row of ``provisioner.targets`` becomes a ``Target``; shared by the stores that read them."""

from typing import Any

from sqlalchemy import Row

from postern_common.contracts.commands import DesiredState
from postern_provisioner.domain.target import DatabaseIdentity, Target

COLUMNS = (
    "t.database_id, t.project_id, t.project, t.name, t.cluster_name, t.namespace, t.generation, t.applied_generation,"
    " t.operation_id, t.goal, t.desired::text AS desired, t.tombstone, t.existed, t.removed_at, t.undo_resize,"
    " t.pending_switchover, t.image, t.causation_id, t.traceparent, t.tracestate, t.received_at, t.attempts,"
    " t.failures, t.last_error_code, extract(epoch FROM clock_timestamp() - t.received_at)::float8 AS age_seconds"
)


def target_of(row: Row[Any]) -> Target:
    """The target in a row that has ``COLUMNS``."""
    return Target(
        identity=DatabaseIdentity(
            database_id=row.database_id,
            project_id=row.project_id,
            project=row.project,
            name=row.name,
            cluster_name=row.cluster_name,
            namespace=row.namespace,
        ),
        generation=row.generation,
        applied_generation=row.applied_generation,
        operation_id=row.operation_id,
        goal=row.goal,
        desired=None if row.desired is None else DesiredState.model_validate_json(row.desired),
        is_tombstone=row.tombstone,
        removed=row.removed_at is not None,
        existed=row.existed,
        undo_resize=row.undo_resize,
        pending_switchover=row.pending_switchover,
        image=row.image,
        causation_id=row.causation_id,
        traceparent=row.traceparent,
        tracestate=row.tracestate,
        received_at=row.received_at,
        age_seconds=row.age_seconds,
        attempts=row.attempts,
        failures=row.failures,
        last_error_code=row.last_error_code,
    )
