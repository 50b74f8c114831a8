"""Commands and targets for the provisioner's tests, with every default that a test does not care about."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from postern_common.contracts.cloudevent import CloudEvent, build_event
from postern_common.contracts.commands import ApplyDatabase, DeleteDatabase, DesiredState, SwitchoverDatabase
from postern_common.contracts.identifiers import cluster_name, new_id
from postern_common.contracts.payload import Payload
from postern_provisioner.domain.target import DatabaseIdentity, Target

PROJECT_ID = UUID("0190a000-0000-7000-8000-00000000aaaa")
DATABASE_ID = UUID("0190a000-0000-7000-8000-000000abc123")
CLUSTER = "orders-abc123"
NAMESPACE = "postern-acme"


def desired(**changes: Any) -> DesiredState:
    values: dict[str, Any] = {
        "plan": "standard-1",
        "version": 17,
        "instances": 2,
        "cpu": "500m",
        "memory": "1Gi",
        "storage": "10Gi",
        "storage_class": "standard",
        "parameters": {"max_connections": "100"},
    }
    return DesiredState(**{**values, **changes})


def target(**changes: Any) -> Target:
    values: dict[str, Any] = {
        "identity": DatabaseIdentity(
            database_id=DATABASE_ID,
            project_id=PROJECT_ID,
            project="acme",
            name="orders",
            cluster_name=CLUSTER,
            namespace=NAMESPACE,
        ),
        "generation": 3,
        "applied_generation": 2,
        "operation_id": UUID("0190a000-0000-7000-8000-00000000cccc"),
        "goal": "ready",
        "desired": desired(),
        "received_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Target(**{**values, **changes})


def _base(database_id: UUID, generation: int) -> dict[str, Any]:
    return {
        "database_id": database_id,
        "project_id": PROJECT_ID,
        "project": "acme",
        "name": "orders",
        "cluster_name": cluster_name("orders", database_id),
        "generation": generation,
        "operation_id": new_id(),
    }


def apply_command(database_id: UUID, generation: int = 1, *, undo_resize: bool = False, **changes: Any) -> CloudEvent:
    command = ApplyDatabase(
        **_base(database_id, generation), goal="ready", desired=desired(**changes), undo_resize=undo_resize
    )
    return as_event(command, database_id)


def switchover_command(database_id: UUID, generation: int, *, expected_primary: str) -> CloudEvent:
    command = SwitchoverDatabase(
        **_base(database_id, generation),
        goal=f"ready;primary!={expected_primary}",
        desired=desired(),
        expected_primary=expected_primary,
    )
    return as_event(command, database_id)


def delete_command(database_id: UUID, generation: int) -> CloudEvent:
    return as_event(DeleteDatabase(**_base(database_id, generation)), database_id)


def as_event(payload: Payload, database_id: UUID) -> CloudEvent:
    return build_event(
        payload,
        source="/postern/gateway",
        subject=str(database_id),
        project="acme",
        project_id=PROJECT_ID,
        operation_id=getattr(payload, "operation_id", None),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
