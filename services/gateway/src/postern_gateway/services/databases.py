"""Databases: create, read, change, delete, act. One transaction per write: row, operation, key, command, action."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from postern_common.contracts.broker import EVENTS_EXCHANGE
from postern_common.contracts.cloudevent import CloudEvent, build_event, encode
from postern_common.contracts.events import ActionActor
from postern_common.contracts.states import OperationType
from postern_common.errors import ClientError
from postern_common.persistence import UnitOfWork
from postern_common.telemetry import current_trace_id, current_traceparent
from postern_gateway.domain.access import Right, needed
from postern_gateway.domain.catalogue import Offer
from postern_gateway.domain.etags import check_if_match, database_etag
from postern_gateway.domain.impact import build_impact, build_rejected
from postern_gateway.domain.problems import invalid, refuse
from postern_gateway.domain.records import DatabaseRecord, OperationRecord, actor_text
from postern_gateway.domain.representations import DryRun, Impact
from postern_gateway.domain.requests import CreateDatabase, PatchDatabase
from postern_gateway.domain.validation import resolve_create, resolve_patch
from postern_gateway.domain.writes import (
    Change,
    act_on_database,
    build_command,
    delete_database,
    new_database,
    patch_database,
    refuse_if_deleting,
    refuse_taken_name,
)
from postern_gateway.services.calls import Answer, WriteCall, answer_database, answer_document
from postern_gateway.services.idempotent import IdempotentWrites, to_store
from postern_gateway.services.recording import SOURCE, build_action
from postern_gateway.storage.databases import ClusterNameTakenError, DatabaseStore
from postern_gateway.storage.idempotency import insert_key

_NAME_ATTEMPTS = 3

Decide = Callable[[DatabaseRecord, OperationRecord], Change]


def utc_now() -> datetime:
    """Now, as the tables keep it."""
    return datetime.now(UTC)


class DatabaseService:
    """Every write of a database. Each method answers, or raises ``ClientError``."""

    def __init__(self, *, writes: IdempotentWrites, store: DatabaseStore, offer: Offer) -> None:
        self._writes = writes
        self._store = store
        self._offer = offer

    async def create(self, call: WriteCall, body: CreateDatabase) -> Answer:
        """202 with the database. Raises 422, or 409 ``database_exists`` or ``database_deleting``."""
        desired, protection = resolve_create(self._offer, body)

        async def work(unit: UnitOfWork) -> Answer:
            change = new_database(
                project=call.project,
                name=body.name,
                desired=desired,
                labels=body.labels,
                deletion_protection=protection,
                **self._authorship(call),
            )
            if call.dry_run:
                return await self._dry_create(unit, call, change)
            return await self._insert(unit, call, change)

        for _ in range(_NAME_ATTEMPTS):
            try:
                return await self._writes.run(call.key, work)
            except ClusterNameTakenError:
                continue  # six hex digits of a new id collide once in 16 million: the next id has others
        raise ClusterNameTakenError("cluster_name_taken", f"{_NAME_ATTEMPTS} ids in a row collided")

    async def patch(self, call: WriteCall, name: str, body: PatchDatabase, given: frozenset[str]) -> Answer:
        """202 with the database, 200 where the cluster need not change. Raises 403, 404, 409, 412 or 422."""

        def decide(database: DatabaseRecord, _: OperationRecord) -> Change:
            refuse_if_deleting(database)
            desired, labels, protection, shrink = resolve_patch(self._offer, database, body, given)
            if protection != database.deletion_protection:
                require(call, Right.PROTECT)
            if shrink:
                raise invalid(*shrink)
            return patch_database(
                database,
                desired=desired,
                labels=labels,
                deletion_protection=protection,
                **self._authorship(call),
            )

        return await self._change(call, name, decide)

    async def delete(self, call: WriteCall, name: str) -> Answer:
        """202 with the database on its way out, again while it is. Raises 404, 409 ``deletion_protected`` or 412."""

        def decide(database: DatabaseRecord, newest: OperationRecord) -> Change:
            return delete_database(database, newest, **self._authorship(call))

        return await self._change(call, name, decide)

    async def act(self, call: WriteCall, name: str, kind: OperationType) -> Answer:
        """202 with the database. Raises 404, 409 ``invalid_state``, ``no_replica`` or ``database_deleting``, or 412."""

        def decide(database: DatabaseRecord, newest: OperationRecord) -> Change:
            return act_on_database(database, newest, kind, **self._authorship(call))

        return await self._change(call, name, decide)

    def _authorship(self, call: WriteCall) -> dict[str, Any]:
        actor: ActionActor = call.caller.principal.actor
        return {"created_by": actor_text(actor), "now": utc_now(), "trace_id": current_trace_id()}

    async def _insert(self, unit: UnitOfWork, call: WriteCall, change: Change) -> Answer:
        database, operation = change.database, _present(change.operation)
        answer = answer_database(202, database, operation)
        command = build_command_event(database, operation, change)
        written = await self._store.insert(
            unit.connection, database, operation, encode(command), to_store(call.key, answer)
        )
        if not written:
            await self._raise_taken(unit, call, database.name)
        publish_command(unit, command)
        self._publish_action(unit, call, change, answer.status, created=database.name)
        return answer

    async def _raise_taken(self, unit: UnitOfWork, call: WriteCall, name: str) -> None:
        found = await self._store.find(unit.connection, call.project.id, name)
        if found is None:  # its holder became a tombstone in between: the caller may try again
            raise refuse("database_deleting", f"the database that was called {name} has just gone; try again")
        raise refuse_taken_name(found[0])

    async def _change(self, call: WriteCall, name: str, decide: Decide) -> Answer:
        async def work(unit: UnitOfWork) -> Answer:
            found = await self._store.find(unit.connection, call.project.id, name, lock=not call.dry_run)
            if found is None:
                raise refuse("not_found", f"project {call.project.name} has no database {name}")
            before, newest = found
            check_if_match(call.if_match, database_etag(before, newest))
            if call.dry_run:
                return await self._dry_change(unit, call, before, newest, decide)
            return await self._save(unit, call, before, newest, decide(before, newest))

        return await self._writes.run(call.key, work)

    async def _save(
        self, unit: UnitOfWork, call: WriteCall, before: DatabaseRecord, newest: OperationRecord, change: Change
    ) -> Answer:
        operation = change.operation or newest
        answer = answer_database(202 if change.accepted else 200, change.database, operation)
        stored = to_store(call.key, answer)
        if change.operation is not None:
            command = build_command_event(change.database, change.operation, change)
            await self._store.change(unit.connection, change.database, change.operation, encode(command), stored)
            publish_command(unit, command)
        elif change.database != before:
            await self._store.change(unit.connection, change.database, None, None, stored)
        elif stored is not None:
            await insert_key(unit.connection, *stored)
        self._publish_action(
            unit, call, change, answer.status, operation=operation if operation.status.is_open else None
        )
        return answer

    def _publish_action(
        self,
        unit: UnitOfWork,
        call: WriteCall,
        change: Change,
        status: int,
        *,
        operation: OperationRecord | None = None,
        created: str | None = None,
    ) -> None:
        operation = change.operation or operation
        unit.publish(
            build_action(
                call.caller,
                call.project,
                outcome="accepted",
                status=status,
                subject=change.database.id,
                operation_id=None if operation is None else operation.id,
                diff=change.diff,
                created=created,
            )
        )

    async def _dry_create(self, unit: UnitOfWork, call: WriteCall, change: Change) -> Answer:
        usage = await self._store.usage(unit.connection, call.project.id)
        holder = await self._store.find(unit.connection, call.project.id, change.database.name)
        if holder is not None:
            return self._answer_dry(unit, call, None, build_rejected(refuse_taken_name(holder[0]), usage), {})
        impact = build_impact(self._offer, None, change, usage)
        return self._answer_dry(unit, call, None, impact, change.diff)

    async def _dry_change(
        self, unit: UnitOfWork, call: WriteCall, before: DatabaseRecord, newest: OperationRecord, decide: Decide
    ) -> Answer:
        usage = await self._store.usage(unit.connection, call.project.id)
        try:
            change = decide(before, newest)
        except ClientError as error:
            # what the present state forbids is the answer to the question; what can never be valid is a fault in it
            if error.status != 409 and error.code != "storage_shrink":
                raise
            return self._answer_dry(unit, call, before, build_rejected(error, usage), {})
        impact = build_impact(self._offer, before, change, usage)
        return self._answer_dry(unit, call, before, impact, change.diff)

    def _answer_dry(
        self, unit: UnitOfWork, call: WriteCall, before: DatabaseRecord | None, impact: Impact, diff: dict[str, Any]
    ) -> Answer:
        subject = None if before is None else before.id
        unit.publish(build_action(call.caller, call.project, outcome="dry_run", status=200, subject=subject, diff=diff))
        return answer_document(DryRun(dry_run=True, impact=impact, changes=diff))


def require(call: WriteCall, right: Right) -> None:
    """Raises 403 unless the caller has ``right`` in the call's project; for rights that the body asks for."""
    if not call.caller.principal.may(right, call.project.id):
        raise refuse("forbidden", f"this needs {needed(right)}")


def build_command_event(database: DatabaseRecord, operation: OperationRecord, change: Change) -> CloudEvent:
    """The command of an operation as a message."""
    payload = build_command(database, operation, expected_primary=change.expected_primary)
    traceparent, tracestate = current_traceparent()
    return build_event(
        payload,
        source=SOURCE,
        subject=str(database.id),
        project=database.project,
        project_id=database.project_id,
        operation_id=operation.id,
        traceparent=traceparent,
        tracestate=tracestate,
        now=operation.created_at,
    )


def publish_command(unit: UnitOfWork, command: CloudEvent) -> None:
    """To the ledger, and then the same event with the same id to the provisioner (semantics 25, docs/adr/0011)."""
    unit.publish(command, exchange=EVENTS_EXCHANGE)
    unit.publish(command)


def _present(operation: OperationRecord | None) -> OperationRecord:
    if operation is None:
        raise ValueError("a new database has an operation")
    return operation
