"""Every route, with what the document says of it."""

from typing import Final

from postern_gateway.domain import representations as shown
from postern_gateway.domain.requests import CreateApiKey, CreateDatabase, CreateProject, PatchDatabase
from postern_gateway.routes import examples, handlers
from postern_gateway.routes.endpoint import CURSOR, DRY_RUN, LIMIT, ORDER, PAGE, Endpoint, Parameter, Reply

_P: Final = "/v1/projects/{project}"
_D: Final = f"{_P}/databases/{{name}}"
_WRITE_HEADERS: Final = ("Idempotency-Key", "If-Match", "Prefer")
_PATCH: Final = ("application/merge-patch+json", "application/json")
_WRITE_PROBLEMS: Final = (
    "malformed_request",
    "forbidden",
    "not_found",
    "request_in_progress",
    "precondition_failed",
    "payload_too_large",
    "validation_failed",
    "idempotency_key_reused",
)
_ACCEPTED: Final = Reply("Accepted; `operation` says how far it is", shown.Database, example=examples.DATABASE)
_DRY: Final = "What it would do, with `dry_run=true`; or the database, when there is nothing to wait for"

_ACCOUNT: Final = (
    Endpoint(
        "GET",
        "/v1/me",
        handlers.read_me,
        "account",
        "Who the credential is",
        replies={200: Reply("The identity", shown.Identity, example=examples.IDENTITY)},
    ),
    Endpoint(
        "GET",
        "/v1/catalog",
        handlers.read_catalogue,
        "catalog",
        "What may be asked for",
        "Plans, PostgreSQL versions with their parameters, storage classes and limits of this installation.",
        replies={200: Reply("The catalogue", shown.CatalogueView)},
    ),
)

_PROJECTS: Final = (
    Endpoint(
        "GET",
        "/v1/projects",
        handlers.list_projects,
        "projects",
        "List projects",
        query=PAGE,
        replies={200: Reply("The projects that the credential may see", shown.Project, page=True)},
        problems=("validation_failed",),
    ),
    Endpoint(
        "POST",
        "/v1/projects",
        handlers.create_project,
        "projects",
        "Create a project",
        "By the platform's administrator. Names are never reused.",
        headers=("Idempotency-Key",),
        body=CreateProject,
        body_example={"name": "acme"},
        replies={201: Reply("The project", shown.Project, example=examples.PROJECT)},
        problems=("project_exists", "unsupported_media_type", *_WRITE_PROBLEMS),
    ),
    Endpoint(
        "GET",
        _P,
        handlers.read_project,
        "projects",
        "Get a project",
        replies={200: Reply("The project", shown.Project, example=examples.PROJECT)},
        problems=("not_found",),
    ),
)

_DATABASES: Final = (
    Endpoint(
        "GET",
        f"{_P}/databases",
        handlers.list_databases,
        "databases",
        "List databases",
        query=(
            *PAGE,
            Parameter("state", "Only in these states", {"enum": handlers.STATES}, repeated=True),
            Parameter("label", "Only with this label, as `key=value`", {"type": "string"}, repeated=True),
        ),
        replies={200: Reply("A page", shown.Database, page=True)},
        problems=("not_found", "validation_failed"),
    ),
    Endpoint(
        "POST",
        f"{_P}/databases",
        handlers.create_database,
        "databases",
        "Create a database",
        "Answers at once; the operation says when it is ready. `Prefer: wait=60` answers when it has ended.",
        query=(DRY_RUN,),
        headers=("Idempotency-Key", "Prefer"),
        body=CreateDatabase,
        body_example={"name": "orders", "plan": "standard-2"},
        replies={202: _ACCEPTED, 200: Reply(_DRY, shown.DryRun, example=examples.DRY_RUN)},
        problems=("database_exists", "database_deleting", "unsupported_media_type", *_WRITE_PROBLEMS),
    ),
    Endpoint(
        "GET",
        _D,
        handlers.read_database,
        "databases",
        "Get a database",
        headers=("If-None-Match",),
        replies={200: Reply("The database", shown.Database, example=examples.DATABASE)},
        problems=("not_found",),
    ),
    Endpoint(
        "PATCH",
        _D,
        handlers.patch_database,
        "databases",
        "Change a database",
        "A JSON merge patch (RFC 7396). Members that only Postern keeps (`labels`, `deletion_protection`) and an empty"
        " change answer 200; others 202.",
        query=(DRY_RUN,),
        headers=_WRITE_HEADERS,
        body=PatchDatabase,
        body_example={"instances": 3, "parameters": {"work_mem": "16MB"}},
        media_types=_PATCH,
        replies={202: _ACCEPTED, 200: Reply(_DRY, shown.DryRun, example=examples.DRY_RUN)},
        problems=("database_deleting", "storage_shrink", "unsupported_media_type", *_WRITE_PROBLEMS),
    ),
    Endpoint(
        "DELETE",
        _D,
        handlers.delete_database,
        "databases",
        "Delete a database",
        "With everything in it. Again while it is on its way: the same operation.",
        query=(DRY_RUN,),
        headers=_WRITE_HEADERS,
        replies={202: _ACCEPTED, 200: Reply(_DRY, shown.DryRun)},
        problems=("deletion_protected", *_WRITE_PROBLEMS),
    ),
    Endpoint(
        "GET",
        f"{_D}/connection",
        handlers.read_connection,
        "databases",
        "Get the addresses",
        replies={200: Reply("How to connect, without a secret", shown.Connection, example=examples.CONNECTION)},
        problems=("not_found", "not_provisioned_yet", "dependency_unavailable"),
    ),
    Endpoint(
        "GET",
        f"{_D}/credentials",
        handlers.read_credentials,
        "databases",
        "Get the credentials",
        "Needs the permission `credentials:read`. Every read is in the audit log before it is answered.",
        replies={200: Reply("The credentials", shown.Credentials, example=examples.CREDENTIALS)},
        problems=("forbidden", "not_found", "not_provisioned_yet", "dependency_unavailable"),
    ),
)


def _action(name: str, summary: str, description: str, *problems: str) -> Endpoint:
    return Endpoint(
        "POST",
        f"{_D}/actions/{name}",
        handlers.act_on_database,
        "actions",
        summary,
        description,
        query=(DRY_RUN,),
        headers=_WRITE_HEADERS,
        replies={202: _ACCEPTED, 200: Reply(_DRY, shown.DryRun)},
        problems=("database_deleting", *problems, *_WRITE_PROBLEMS),
    )


_ACTIONS: Final = (
    _action("restart", "Restart", "One instance after the other, replicas first.", "invalid_state"),
    _action("reload", "Reload", "Read the configuration again, without a restart.", "invalid_state"),
    _action("switchover", "Switch over", "Make a replica the primary.", "invalid_state", "no_replica"),
    _action("hibernate", "Hibernate", "Stop every instance; volumes stay. 200 when it is already so.", "invalid_state"),
    _action("resume", "Resume", "Start from hibernation. 200 when it is already so.", "invalid_state"),
)

_OPERATIONS: Final = (
    Endpoint(
        "GET",
        f"{_P}/operations",
        handlers.list_operations,
        "operations",
        "List operations",
        query=(
            *PAGE,
            Parameter("database", "Only of databases that had this name", {"type": "string"}, repeated=True),
            Parameter("status", "Only with this status", {"enum": handlers.STATUSES}, repeated=True),
            Parameter("type", "Only of this type", {"enum": handlers.TYPES}, repeated=True),
            Parameter("since", "Only created at or after", {"type": "string", "format": "date-time"}),
        ),
        replies={200: Reply("A page", shown.Operation, page=True)},
        problems=("not_found", "validation_failed"),
    ),
    Endpoint(
        "GET",
        f"{_P}/operations/{{id}}",
        handlers.read_operation,
        "operations",
        "Get an operation",
        "`Prefer: wait=N` (60 at most) answers as soon as it has ended.",
        headers=("Prefer", "If-None-Match"),
        replies={200: Reply("The operation", shown.Operation, example=examples.OPERATION)},
        problems=("not_found",),
    ),
)

_EVENTS: Final = (
    Endpoint(
        "GET",
        f"{_P}/events",
        handlers.read_events,
        "events",
        "Read or follow the events",
        "A page of CloudEvents, oldest first; `next_cursor` is the value for `after`. With `Accept: text/event-stream`"
        " a stream: `id` is the project's sequence; resume with `Last-Event-ID`.",
        query=(
            Parameter("after", "Only later than this sequence; a stream without it starts now", {"type": "string"}),
            LIMIT,
            Parameter("type", "Only of this type", {"type": "string"}, repeated=True),
            Parameter("database", "Only of databases that had this name", {"type": "string"}, repeated=True),
        ),
        headers=("Last-Event-ID",),
        replies={200: Reply("A page", dict, page=True, example=examples.EVENTS)},
        problems=("not_found", "validation_failed", "dependency_unavailable"),
    ),
    Endpoint(
        "GET",
        f"{_P}/audit",
        handlers.read_audit,
        "events",
        "Read the audit log",
        "Who did what, from where, with which outcome. Needs role editor.",
        query=(LIMIT, CURSOR, ORDER),
        replies={200: Reply("A page", dict, page=True, example=examples.AUDIT)},
        problems=("forbidden", "not_found", "validation_failed", "dependency_unavailable"),
    ),
)

_KEYS: Final = (
    Endpoint(
        "GET",
        f"{_P}/api-keys",
        handlers.list_api_keys,
        "api-keys",
        "List API keys",
        query=PAGE,
        replies={200: Reply("A page", shown.ApiKey, page=True)},
        problems=("forbidden", "not_found", "validation_failed"),
    ),
    Endpoint(
        "POST",
        f"{_P}/api-keys",
        handlers.create_api_key,
        "api-keys",
        "Create an API key",
        "By an owner. `key` is shown in this answer only; a replay under the same Idempotency-Key has null instead.",
        headers=("Idempotency-Key",),
        body=CreateApiKey,
        body_example={"name": "ci", "role": "editor", "permissions": ["credentials:read"]},
        replies={201: Reply("The key", shown.ApiKey, example=examples.API_KEY)},
        problems=("unsupported_media_type", *_WRITE_PROBLEMS),
    ),
    Endpoint(
        "DELETE",
        f"{_P}/api-keys/{{id}}",
        handlers.delete_api_key,
        "api-keys",
        "Revoke an API key",
        headers=("Idempotency-Key",),
        replies={204: Reply("It is refused from now on, by every gateway within seconds")},
        problems=_WRITE_PROBLEMS,
    ),
)

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *_ACCOUNT,
    *_PROJECTS,
    *_DATABASES,
    *_ACTIONS,
    *_OPERATIONS,
    *_EVENTS,
    *_KEYS,
)
