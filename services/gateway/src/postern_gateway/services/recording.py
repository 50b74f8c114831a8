"""API actions for the ledger (semantics 33): what is recorded of a call, and how.

Accepted and dry-run mutations are recorded in their own transaction; refused ones (403, 409, 412) in one of their own,
because the refused one was rolled back. If that fails the caller gets 503, not the refusal: nothing goes unrecorded.
"""

from typing import Any, Final
from uuid import UUID

from postern_common.contracts.cloudevent import CloudEvent, build_event
from postern_common.contracts.events import ApiAction
from postern_common.contracts.identifiers import is_valid_name
from postern_common.errors import ClientError
from postern_common.persistence import UnitOfWorkFactory
from postern_common.telemetry import current_trace_id, current_traceparent
from postern_gateway.domain.records import ProjectRecord
from postern_gateway.services.calls import Caller
from postern_gateway.storage.databases import DatabaseStore

SOURCE: Final = "/postern/gateway"
_REFUSALS: Final = {403: "forbidden", 409: "conflict", 412: "precondition_failed"}
_SECRET: Final = ("password", "secret", "token", "key")
_REDACTED: Final = "[redacted]"


def redact(diff: dict[str, Any]) -> dict[str, Any]:
    """The diff with the values of members that sound secret replaced, at every depth."""
    return {name: _REDACTED if _is_secret(name) else _redact_value(value) for name, value in diff.items()}


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET)


def _redact_value(value: Any) -> Any:
    if isinstance(value, dict):
        return redact(value)
    if isinstance(value, list):
        return [_redact_value(item) for item in value]
    return value


def build_action(
    caller: Caller,
    project: ProjectRecord | None,
    *,
    outcome: str,
    status: int,
    subject: UUID | None = None,
    operation_id: UUID | None = None,
    diff: dict[str, Any] | None = None,
    created: str | None = None,
) -> CloudEvent:
    """The event of one call. ``subject`` is the database where there is one, else the project (semantics 28).

    ``created`` is the name that a POST to a collection made: the resource is then what was made, not where.
    """
    traceparent, tracestate = current_traceparent()
    principal = caller.principal
    project_id = principal.project_id if project is None else project.id
    fallback = project_id or principal.actor.credential_id or principal.actor.name
    action = ApiAction(
        actor=principal.actor,
        address=caller.address,
        method=caller.method,
        route=caller.route,
        resource=(caller.path if created is None else f"{caller.path}/{created}")[:500],
        outcome=outcome,
        status=status,
        request_id=caller.request_id,
        operation_id=operation_id,
        trace_id=current_trace_id(),
        diff=redact(diff or {}),
    )
    return build_event(
        action,
        source=SOURCE,
        subject=str(subject or fallback),
        project=principal.project if project is None else project.name,
        project_id=project_id,
        operation_id=operation_id,
        traceparent=traceparent,
        tracestate=tracestate,
    )


class RefusalRecorder:
    """Records refused calls in a transaction of their own."""

    def __init__(self, unit_of_work: UnitOfWorkFactory, databases: DatabaseStore) -> None:
        self._unit_of_work = unit_of_work
        self._databases = databases

    async def record(
        self, caller: Caller, project: ProjectRecord | None, error: ClientError, database: str | None = None
    ) -> None:
        """Leave exactly one action for a 403, 409 or 412, about ``database`` if the path names one; nothing for other
        errors.
        """
        outcome = _REFUSALS.get(error.status)
        if outcome is None:
            return
        async with self._unit_of_work() as unit:
            subject = None
            if project is not None and database is not None and is_valid_name(database):
                found = await self._databases.find(unit.connection, project.id, database)
                subject = None if found is None else found[0].id
            unit.publish(build_action(caller, project, outcome=outcome, status=error.status, subject=subject))
