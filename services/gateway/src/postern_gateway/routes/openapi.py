"""The OpenAPI 3.1 document, made from the table of routes, the request models and the representations."""

from typing import Any, Final

import msgspec

from postern_gateway.domain.problems import PROBLEMS
from postern_gateway.domain.representations import Impact
from postern_gateway.domain.requests import Body
from postern_gateway.routes.endpoint import Endpoint, Parameter, Reply
from postern_gateway.routes.policy import POLICY
from postern_gateway.routes.table import ENDPOINTS

_REF: Final = "#/components/schemas/"
_TAGS: Final = {
    "account": "Who you are.",
    "catalog": "What may be asked for.",
    "projects": "Projects hold databases and keys.",
    "databases": "Databases: what is asked beside what is.",
    "actions": "What can be done to a database; each answers like any other long write.",
    "operations": "Long writes, from acceptance to their end. Every one ends.",
    "events": "Everything that happened, in order, without a gap.",
    "api-keys": "Credentials of programs.",
}
_REQUEST_HEADERS: Final = {
    "Idempotency-Key": "Makes the write safe to send again for 24 hours: the same request gets the same answer",
    "If-Match": "Only if the resource still has this ETag",
    "If-None-Match": "304 if the resource still has this ETag",
    "Prefer": "`wait=N` (N ≤ 60): answer when the operation has ended, or after N seconds",
    "Last-Event-ID": "Resume a stream after this sequence",
}
_PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A problem document (RFC 9457). Branch on `code`; the list is in the error reference.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": sorted(PROBLEMS)},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901 pointer, or a parameter's name"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


def build_document(version: str) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Postern",
            "version": version,
            "summary": "Managed PostgreSQL on Kubernetes",
            "description": "Databases on request: create, resize, restart and delete PostgreSQL through one API.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, `pst_…`"},
            },
            "schemas": _schemas(),
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    verb = endpoint.handler.__name__
    if "/actions/" in endpoint.path:
        verb = f"{endpoint.path.rpartition('/')[2]}_database"
    operation: dict[str, Any] = {
        "operationId": verb,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "x-right": POLICY[endpoint.method, endpoint.path].value,
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint),
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.body is not None:
        schema = {"$ref": f"{_REF}{endpoint.body.__name__}"}
        media = {"schema": schema, "example": endpoint.body_example}
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(endpoint.media_types, media)}
    return operation


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    for name in ("project", "name", "id"):
        if f"{{{name}}}" in endpoint.path:
            schema = {"type": "string", "format": "uuid"} if name == "id" else _NAME
            parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    parameters += [_query_parameter(parameter) for parameter in endpoint.query]
    for header in endpoint.headers:
        text = _REQUEST_HEADERS[header]
        parameters.append({"name": header, "in": "header", "description": text, "schema": {"type": "string"}})
    return parameters


_NAME: Final[dict[str, Any]] = {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 40}


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    schema = {"type": "array", "items": parameter.schema} if parameter.repeated else parameter.schema
    return {"name": parameter.name, "in": "query", "description": parameter.description, "schema": schema}


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, reply in endpoint.replies.items():
        responses[str(status)] = _reply(endpoint, status, reply)
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*endpoint.problems, "unauthenticated", "timeout", "dependency_unavailable")):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    if any(header in endpoint.headers for header in ("If-None-Match",)):
        responses["304"] = {"description": "It still has the ETag of If-None-Match"}
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = {
            "description": "; ".join(f"`{code}`: {PROBLEMS[code].title}" for code in codes),
            "content": {"application/problem+json": {"schema": {"$ref": f"{_REF}Problem"}}},
        }
    return responses


def _reply(endpoint: Endpoint, status: int, reply: Reply) -> dict[str, Any]:
    described: dict[str, Any] = {"description": reply.description}
    headers = {"ETag": "The representation's tag"} if status != 204 else {}
    if status in (201, 202):
        headers["Location"] = "The resource"
    if status == 202:
        headers["Operation-Location"] = "The operation"
    described["headers"] = {name: {"description": t, "schema": {"type": "string"}} for name, t in headers.items()}
    if reply.model is None:
        return described
    schema: dict[str, Any] = {"type": "object"} if reply.model is dict else {"$ref": f"{_REF}{reply.model.__name__}"}
    if reply.page:
        schema = {
            "type": "object",
            "required": ["items", "next_cursor"],
            "properties": {"items": {"type": "array", "items": schema}, "next_cursor": {"type": ["string", "null"]}},
        }
    elif reply.model.__name__ == "DryRun":
        schema = {"anyOf": [schema, {"$ref": f"{_REF}Database"}]}
    media: dict[str, Any] = {"schema": schema}
    if reply.example is not None:
        media["example"] = reply.example
    described["content"] = {reply.media_type: media}
    if endpoint.path.endswith("/events"):
        described["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    return described


def _schemas() -> dict[str, Any]:
    replied = [reply.model for endpoint in ENDPOINTS for reply in endpoint.replies.values()]
    models = {model for model in replied if model is not None and model is not dict}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, components = msgspec.json.schema_components([*ordered, Impact], ref_template=f"{_REF}{{name}}")
    bodies: set[type[Body]] = {endpoint.body for endpoint in ENDPOINTS if endpoint.body is not None}
    for body in sorted(bodies, key=lambda model: model.__name__):
        schema = body.model_json_schema(ref_template=f"{_REF}{{model}}")
        components |= schema.pop("$defs", {})
        components[body.__name__] = schema
    return dict(sorted({**components, "Problem": _PROBLEM_SCHEMA}.items()))
