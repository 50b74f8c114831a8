"""What a service is told about the call that it serves, and what it answers."""

from dataclasses import dataclass, field, replace
from uuid import UUID

import msgspec

from postern_gateway.domain.access import Principal
from postern_gateway.domain.etags import body_etag, database_etag, operation_etag
from postern_gateway.domain.idempotency import IdempotencyKey
from postern_gateway.domain.records import DatabaseRecord, OperationRecord, ProjectRecord
from postern_gateway.domain.representations import show_database, show_operation

ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, from where, and which route: what the ledger records of an API action."""

    principal: Principal
    address: str
    request_id: str
    method: str
    route: str
    path: str


@dataclass(frozen=True, slots=True)
class WriteCall:
    """A mutation inside a project, with the headers that govern it."""

    caller: Caller
    project: ProjectRecord
    key: IdempotencyKey | None = None
    if_match: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and encoded body. ``waits_for`` is the operation that ``Prefer: wait`` waits for."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    waits_for: UUID | None = None
    database_id: UUID | None = None

    def replayed(self) -> "Answer":
        """The same, marked as an answer given before."""
        return replace(self, headers={**self.headers, "Idempotency-Replayed": "true"}, waits_for=None)


def database_path(project: str, name: str) -> str:
    """Path of a database."""
    return f"/v1/projects/{project}/databases/{name}"


def operation_path(project: str, operation_id: UUID) -> str:
    """Path of an operation."""
    return f"/v1/projects/{project}/operations/{operation_id}"


def answer_database(status: int, database: DatabaseRecord, operation: OperationRecord) -> Answer:
    """The database with its newest operation. A 202 says where both are."""
    headers = {"ETag": database_etag(database, operation)}
    waits_for = None
    if status == 202:
        headers["Location"] = database_path(database.project, database.name)
    if status == 202 or operation.status.is_open:
        headers["Operation-Location"] = operation_path(database.project, operation.id)
        waits_for = operation.id
    return Answer(status, ENCODER.encode(show_database(database, operation)), headers, waits_for, database.id)


def answer_operation(operation: OperationRecord) -> Answer:
    """An operation; while it is open there is something to wait for."""
    waits_for = operation.id if operation.status.is_open else None
    return Answer(200, ENCODER.encode(show_operation(operation)), {"ETag": operation_etag(operation)}, waits_for)


def answer_document(document: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """Any other representation; its tag is its hash."""
    body = ENCODER.encode(document)
    return Answer(status, body, {"ETag": body_etag(body), **(headers or {})})
