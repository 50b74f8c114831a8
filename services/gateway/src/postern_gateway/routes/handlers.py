"""The handlers: parse, call one service, translate."""

import re
from dataclasses import replace
from uuid import UUID

from starlette.responses import Response

from postern_common.contracts.identifiers import is_valid_name
from postern_common.contracts.states import DatabaseState, OperationStatus, OperationType
from postern_common.errors import Violation
from postern_gateway.domain.problems import invalid, refuse
from postern_gateway.domain.representations import Identity
from postern_gateway.domain.requests import CreateApiKey, CreateDatabase, CreateProject, PatchDatabase
from postern_gateway.routes.call import Call, preferred_wait
from postern_gateway.routes.streaming import PipedStream
from postern_gateway.services.calls import Answer, answer_document
from postern_gateway.services.reading import PageRequest

_SEQUENCE = re.compile(r"[0-9]{1,18}")
_LABEL = re.compile(r"[A-Za-z0-9._/-]{1,63}=[A-Za-z0-9._-]{0,63}")
STATES = [state.value for state in DatabaseState]
STATUSES = [status.value for status in OperationStatus]
TYPES = [kind.value for kind in OperationType]


async def read_me(call: Call) -> Answer:
    """Who the credential is."""
    principal = call.principal
    role = "administrator" if principal.is_administrator else str(principal.role)
    return answer_document(
        Identity(
            kind="administrator" if principal.is_administrator else "api_key",
            name=principal.actor.name,
            credential_id=principal.actor.credential_id,
            project=principal.project,
            role=role,
            permissions=sorted(principal.permissions),
            expires_at=principal.expires_at,
        )
    )


async def read_catalogue(call: Call) -> Answer:
    """The catalogue."""
    return call.services.catalogue


async def list_projects(call: Call) -> Answer:
    """Projects that the caller may see."""
    return await call.services.projects.list(call.principal, call.page())


async def create_project(call: Call) -> Answer:
    """A new project."""
    body, _ = call.parse(CreateProject)
    return await call.services.projects.create(call.caller, call.idempotency_key(), body)


async def read_project(call: Call) -> Answer:
    """One project."""
    return call.services.projects.show(call.project)


async def list_databases(call: Call) -> Answer:
    """Databases of the project."""
    labels = []
    for label in call.values("label"):
        if _LABEL.fullmatch(label) is None:
            raise invalid(Violation("label", "invalid_value", "must be key=value"))
        key, _, value = label.partition("=")
        labels.append((key, value))
    states = call.choices("state", STATES)
    return await call.services.reading.list_databases(call.project, call.page(), states, labels)


async def create_database(call: Call) -> Answer:
    """A new database."""
    body, _ = call.parse(CreateDatabase)
    return await call.services.databases.create(call.write(), body)


async def read_database(call: Call) -> Answer:
    """One database."""
    return await call.services.reading.database(call.project, call.name())


async def patch_database(call: Call) -> Answer:
    """Change a database."""
    name = call.name()
    body, given = call.parse(PatchDatabase)
    return await call.services.databases.patch(call.write(), name, body, given)


async def delete_database(call: Call) -> Answer:
    """Remove a database."""
    call.refuse_body()
    return await call.services.databases.delete(call.write(), call.name())


async def act_on_database(call: Call) -> Answer:
    """Restart, reload, switchover, hibernate, resume: the path's last segment says which."""
    call.refuse_body()
    kind = OperationType(call.endpoint.path.rpartition("/")[2])
    return await call.services.databases.act(call.write(), call.name(), kind)


async def read_connection(call: Call) -> Answer:
    """Addresses of a database."""
    database = await call.services.reading.record(call.project, call.name())
    return await call.services.access.connection(database)


async def read_credentials(call: Call) -> Answer:
    """Credentials of a database."""
    database = await call.services.reading.record(call.project, call.name())
    return await call.services.access.credentials(call.caller, call.project, database)


async def list_operations(call: Call) -> Answer:
    """Operations of the project."""
    return await call.services.reading.list_operations(
        call.project,
        call.page(),
        databases=_names(call),
        statuses=call.choices("status", STATUSES),
        types=call.choices("type", TYPES),
        since=call.time("since"),
    )


async def read_operation(call: Call) -> Answer:
    """One operation; with ``Prefer: wait`` as soon as it has ended."""
    operation_id, wait = call.id(), preferred_wait(call.request)
    answer = await call.services.reading.operation(call.project, operation_id)
    if wait and answer.waits_for is not None:
        await call.services.waits.wait(operation_id, wait)
        answer = await call.services.reading.operation(call.project, operation_id)
        answer.headers["Preference-Applied"] = f"wait={wait:g}"
    return replace(answer, waits_for=None)


async def read_events(call: Call) -> Answer | Response:
    """The project's events: a page, or a stream with ``Accept: text/event-stream``."""
    streams = "text/event-stream" in call.request.headers.get("accept", "")
    after = call.value("after")
    if streams and call.request.headers.get("last-event-id"):
        after = call.request.headers["last-event-id"]  # a reconnecting client repeats its URL: the header is newer
    if after is not None and _SEQUENCE.fullmatch(after) is None:
        pointer = "Last-Event-ID" if after != call.value("after") else "after"
        raise invalid(Violation(pointer, "invalid_cursor", "must be a sequence of this stream, a whole number"))
    types = _event_types(call)
    databases: list[UUID] = await call.services.reading.ids_of_names(call.project, _names(call))
    events = call.services.events
    if not streams:
        return await events.page(
            call.principal, call.project, after=after, limit=call.limit(), types=types, databases=databases
        )
    return PipedStream(
        lambda: events.stream(call.principal, call.project, after=after, types=types, databases=databases),
        closing=events.closing,
        revalidate=lambda: call.services.authenticator.authenticate(call.request.headers.get("authorization")),
        expires_at=call.principal.expires_at,
    )


async def read_audit(call: Call) -> Answer:
    """Who did what."""
    cursor = call.value("cursor")
    if cursor is not None and _SEQUENCE.fullmatch(cursor) is None:
        raise invalid(Violation("cursor", "invalid_cursor", "not a cursor of this list"))
    return await call.services.events.audit_page(call.project, cursor=cursor, limit=call.limit(), order=call.order())


async def list_api_keys(call: Call) -> Answer:
    """Keys of the project."""
    page: PageRequest = call.page()
    return await call.services.api_keys.list(call.project, page)


async def create_api_key(call: Call) -> Answer:
    """A new key, shown once."""
    body, _ = call.parse(CreateApiKey)
    return await call.services.api_keys.create(call.write(), body)


async def delete_api_key(call: Call) -> Answer:
    """Revoke a key."""
    call.refuse_body()
    return await call.services.api_keys.delete(call.write(), call.id())


def _names(call: Call) -> list[str]:
    names = call.values("database")
    if len(names) > 20:
        raise invalid(Violation("database", "invalid_value", "may be given 20 times"))
    if not all(is_valid_name(name) for name in names):
        raise refuse("not_found", f"project {call.project.name} never had such a database")
    return names


def _event_types(call: Call) -> list[str]:
    types = call.values("type")
    if len(types) > 20 or any(re.fullmatch(r"[a-z0-9._]{1,100}", kind) is None for kind in types):
        raise invalid(
            Violation("type", "invalid_value", "must be a type such as dev.postern.database.state_changed.v1")
        )
    return types
