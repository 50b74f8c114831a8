"""Decisions of the writes: what a create, patch, delete or action makes of a database, or why it is refused.

Pure, and used by dry runs and real writes alike, so that both say the same.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from postern_common.contracts.commands import (
    ApplyDatabase,
    DatabaseCommand,
    DeleteDatabase,
    DesiredState,
    SwitchoverDatabase,
)
from postern_common.contracts.goals import DELETED, HIBERNATED, READY, Goal
from postern_common.contracts.identifiers import cluster_name, new_id
from postern_common.contracts.reasons import Reason
from postern_common.contracts.states import DatabaseState, OperationStatus, OperationType, Phase
from postern_common.errors import ClientError
from postern_gateway.domain.operations import deadline_of
from postern_gateway.domain.problems import refuse
from postern_gateway.domain.projection import Intent, project
from postern_gateway.domain.quantities import parse_bytes
from postern_gateway.domain.records import DatabaseRecord, OperationRecord, ProjectRecord

_SERVING = (DatabaseState.READY, DatabaseState.DEGRADED)


@dataclass(frozen=True, slots=True)
class Change:
    """The outcome of a decision.

    ``operation`` is None where nothing needs to be done in the cluster. ``accepted`` is whether the answer is 202.
    ``diff`` maps members to ``[old, new]``. ``expected_primary`` belongs to a switchover.
    """

    database: DatabaseRecord
    operation: OperationRecord | None = None
    accepted: bool = False
    diff: dict[str, Any] = field(default_factory=dict)
    expected_primary: str | None = None


def new_database(
    *,
    project: ProjectRecord,
    name: str,
    desired: DesiredState,
    labels: dict[str, str],
    deletion_protection: bool,
    created_by: str,
    now: datetime,
    trace_id: str | None,
) -> Change:
    """A database of generation 1 and its create operation."""
    database_id = new_id()
    operation = _operation(
        OperationType.CREATE,
        READY,
        (project.id, project.name),
        (database_id, name),
        1,
        desired,
        created_by,
        now,
        trace_id,
    )
    database = DatabaseRecord(
        id=database_id,
        project_id=project.id,
        project=project.name,
        name=name,
        cluster_name=cluster_name(name, database_id),
        revision=1,
        generation=1,
        desired=desired,
        labels=labels,
        deletion_protection=deletion_protection,
        largest_storage=parse_bytes(desired.storage),
        operation_id=operation.id,
        state=DatabaseState.REQUESTED,
        state_reason=Reason.CREATING,
        state_message="accepted; not seen in the cluster yet",
        state_since=now,
        created_at=now,
        updated_at=now,
        created_by=created_by,
    )
    diff = {"name": [None, name]} | {
        member: [None, value] for member, value in desired.model_dump(mode="json", exclude_defaults=True).items()
    }
    return Change(database, operation, accepted=True, diff=diff)


def patch_database(
    database: DatabaseRecord,
    *,
    desired: DesiredState,
    labels: dict[str, str],
    deletion_protection: bool,
    created_by: str,
    now: datetime,
    trace_id: str | None,
) -> Change:
    """Raise the generation where the cluster must change; members of the gateway's own change in place (semantics
    6).
    """
    refuse_if_deleting(database)
    diff = diff_desired(database.desired, desired)
    own: dict[str, Any] = {}
    if labels != database.labels:
        own["labels"] = [database.labels, labels]
    if deletion_protection != database.deletion_protection:
        own["deletion_protection"] = [database.deletion_protection, deletion_protection]
    if not diff and not own:
        return Change(database)
    changed = replace(database, labels=labels, deletion_protection=deletion_protection)
    if not diff:
        changed = replace(changed, revision=database.revision + 1, updated_at=now)
        return Change(changed, diff=own)
    changed, operation = raise_generation(
        changed, kind=OperationType.UPDATE, desired=desired, created_by=created_by, now=now, trace_id=trace_id
    )
    return Change(changed, operation, accepted=True, diff=diff | own)


def delete_database(
    database: DatabaseRecord, newest: OperationRecord, *, created_by: str, now: datetime, trace_id: str | None
) -> Change:
    """Ask for the removal; while it is on its way the open operation answers, after a failed one a new (semantics
    15).
    """
    if database.is_deleting and newest.type is OperationType.DELETE and newest.status.is_open:
        return Change(database, accepted=True)
    if database.deletion_protection and not database.is_deleting:
        raise refuse(
            "deletion_protected", f"database {database.name} is protected; set deletion_protection to false first"
        )
    generation = database.generation + 1
    changed, operation = raise_generation(
        replace(database, delete_generation=generation),
        kind=OperationType.DELETE,
        desired=database.desired,
        created_by=created_by,
        now=now,
        trace_id=trace_id,
        goal=DELETED,
    )
    return Change(changed, operation, accepted=True, diff={"state": [database.state, changed.state]})


def act_on_database(
    database: DatabaseRecord,
    newest: OperationRecord,
    kind: OperationType,
    *,
    created_by: str,
    now: datetime,
    trace_id: str | None,
) -> Change:
    """Restart, reload, switchover, hibernate or resume. Raises ``ClientError`` 409 where the state does not allow
    it.
    """
    refuse_if_deleting(database)
    if kind in (OperationType.HIBERNATE, OperationType.RESUME):
        return _set_hibernated(database, newest, kind, created_by=created_by, now=now, trace_id=trace_id)
    if kind is OperationType.SWITCHOVER and database.desired.instances < 2:
        raise refuse("no_replica", "a switchover needs a second instance; this database has one")
    if database.state not in _SERVING:
        raise refuse("invalid_state", f"{kind} needs state ready or degraded; the database is {database.state}")
    desired, goal, primary = database.desired, READY, None
    if kind is OperationType.RESTART:
        desired = desired.model_copy(update={"restarted_at": now})
    elif kind is OperationType.RELOAD:
        desired = desired.model_copy(update={"reloaded_at": now})
    else:
        primary = database.observed.observation.primary if database.observed is not None else None
        if primary is None:
            raise refuse("invalid_state", "the primary is not known yet; try again in a moment")
        goal = Goal(DatabaseState.READY, primary)
    changed, operation = raise_generation(
        database, kind=kind, desired=desired, created_by=created_by, now=now, trace_id=trace_id, goal=goal
    )
    diff = diff_desired(database.desired, desired) if primary is None else {"primary": [primary, None]}
    return Change(changed, operation, accepted=True, diff=diff, expected_primary=primary)


def _set_hibernated(
    database: DatabaseRecord,
    newest: OperationRecord,
    kind: OperationType,
    *,
    created_by: str,
    now: datetime,
    trace_id: str | None,
) -> Change:
    if database.state_reason == Reason.VANISHED:
        # only a change that says what the database shall be makes a new, empty cluster (docs/adr/0017)
        raise refuse("invalid_state", f"{kind} needs a cluster: {database.state_message}")
    wanted = kind is OperationType.HIBERNATE
    # a change made while asleep has the same goal as the hibernation that it superseded; a switchover has no part in it
    failed = newest.status is OperationStatus.FAILED and newest.type is not OperationType.SWITCHOVER
    if database.desired.hibernated is wanted and not failed:
        return Change(database)
    desired = database.desired.model_copy(update={"hibernated": wanted})
    changed, operation = raise_generation(
        database, kind=kind, desired=desired, created_by=created_by, now=now, trace_id=trace_id
    )
    # after a failed one the database answers 200 with its new operation (semantics 16)
    repeated = database.desired.hibernated is wanted
    return Change(changed, operation, accepted=not repeated, diff=diff_desired(database.desired, desired))


def raise_generation(
    database: DatabaseRecord,
    *,
    kind: OperationType,
    desired: DesiredState,
    created_by: str,
    now: datetime,
    trace_id: str | None,
    goal: Goal | None = None,
) -> tuple[DatabaseRecord, OperationRecord]:
    """A new generation of ``database`` and the operation that brings it about; the state follows at once."""
    generation = database.generation + 1
    if goal is None:
        goal = HIBERNATED if desired.hibernated else READY
    operation = _operation(
        kind,
        goal,
        (database.project_id, database.project),
        (database.id, database.name),
        generation,
        desired,
        created_by,
        now,
        trace_id,
    )
    intent = Intent(generation, database.is_deleting, database.ever_ready, database.deleted_at)
    state = project(intent, database.observed, operation)
    changed = replace(
        database,
        revision=database.revision + 1,
        generation=generation,
        desired=desired,
        operation_id=operation.id,
        updated_at=now,
        state=state.state,
        state_reason=state.reason,
        state_message=state.message,
        state_since=now if state.state is not database.state else database.state_since,
    )
    return changed, operation


def _operation(  # noqa: PLR0917 - one private constructor of a wide record
    kind: OperationType,
    goal: Goal,
    project: tuple[UUID, str],
    database: tuple[UUID, str],
    generation: int,
    desired: DesiredState,
    created_by: str,
    now: datetime,
    trace_id: str | None,
) -> OperationRecord:
    return OperationRecord(
        id=new_id(),
        type=kind,
        project_id=project[0],
        project=project[1],
        database_id=database[0],
        database=database[1],
        generation=generation,
        status=OperationStatus.PENDING,
        goal=str(goal),
        deadline=now + deadline_of(kind),
        storage=parse_bytes(desired.storage),
        created_by=created_by,
        created_at=now,
        phases=((Phase.ACCEPTED, now),),
        trace_id=trace_id,
    )


def refuse_if_deleting(database: DatabaseRecord) -> None:
    """Raises 409 ``database_deleting`` for every write but DELETE (semantics 15)."""
    if database.is_deleting:
        raise refuse("database_deleting", f"database {database.name} is being deleted")


def refuse_taken_name(database: DatabaseRecord) -> ClientError:
    """The answer to a create whose name is taken: the name is free only once everything of its holder is gone."""
    if database.is_deleting:
        return refuse("database_deleting", f"the database that was called {database.name} is still being deleted")
    return refuse("database_exists", f"a database called {database.name} exists in project {database.project}")


def diff_desired(before: DesiredState, after: DesiredState) -> dict[str, Any]:
    """Members that differ, each as ``[old, new]`` in their JSON form."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {member: [old[member], new[member]] for member in old if old[member] != new[member]}


def build_command(
    database: DatabaseRecord,
    operation: OperationRecord,
    *,
    expected_primary: str | None = None,
    undo_resize: bool = False,
) -> DatabaseCommand:
    """The command that carries ``operation`` to the provisioner."""
    common: dict[str, Any] = {
        "database_id": database.id,
        "project_id": database.project_id,
        "project": database.project,
        "name": database.name,
        "cluster_name": database.cluster_name,
        "generation": operation.generation,
        "operation_id": operation.id,
        "goal": operation.goal,
    }
    if operation.type is OperationType.DELETE:
        return DeleteDatabase(**common)
    if expected_primary is not None:
        return SwitchoverDatabase(desired=database.desired, expected_primary=expected_primary, **common)
    return ApplyDatabase(desired=database.desired, undo_resize=undo_resize, **common)
