"""Problem documents (RFC 9457): one registry of codes, one way to answer, one set of handlers.

A client tells problems apart by ``code`` alone; ``title`` belongs to the code, ``detail`` to the case.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from postern_common.errors import ClientError, PermanentError, PosternError, TransientError, Violation
from postern_common.logging import get_logger

logger = get_logger(__name__)

TYPE_BASE: Final = "https://postern.dev/problems/"
MEDIA_TYPE: Final = "application/problem+json"
DEFAULT_RETRY_AFTER: Final = 1.0

PROBLEMS: Final[dict[str, str]] = {
    "malformed_request": "The request cannot be read",
    "validation_failed": "The request has invalid values",
    "unauthenticated": "Credentials are missing or not valid",
    "forbidden": "The credential does not allow this",
    "not_found": "There is no such resource",
    "method_not_allowed": "The resource does not know this method",
    "conflict": "The resource's state does not allow this",
    "precondition_failed": "The resource has changed",
    "payload_too_large": "The request body is too large",
    "unsupported_media_type": "The content type is not supported",
    "rate_limited": "Too many requests",
    "internal_error": "An unexpected error happened",
    "dependency_unavailable": "A part that is needed does not answer",
    "not_provisioned_yet": "The database is not there yet",
    "timeout": "The answer took too long",
}
"""Code → title. A service adds its own codes with ``register_problem`` when it is imported."""

_STATUS_CODES: Final = {
    400: "malformed_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    412: "precondition_failed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "validation_failed",
    429: "rate_limited",
    503: "dependency_unavailable",
    504: "timeout",
}
_VIOLATION_CODES: Final = {"missing": "required", "extra_forbidden": "unknown_member", "json_invalid": "malformed_json"}


def register_problem(code: str, title: str) -> None:
    """Add a code of a service. The same code with another title is a fault (``ValueError``)."""
    if PROBLEMS.setdefault(code, title) != title:
        raise ValueError(f"problem code {code} has another title already")


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[Violation] = (),
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """A problem document. ``request_id`` comes from the request's log context; ``extra`` adds members of the code."""
    body: dict[str, Any] = {
        "type": f"{TYPE_BASE}{code}",
        "title": PROBLEMS.get(code) or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        **(extra or {}),
    }
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id is not None:
        body["request_id"] = request_id
    if errors:
        body["errors"] = [{"pointer": e.pointer, "code": e.code, "detail": e.detail} for e in errors]
    return JSONResponse(body, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def error_response(error: PosternError) -> JSONResponse:
    """The answer to an error of ours, by its class."""
    if isinstance(error, ClientError):
        return problem_response(error.status, error.code, error.detail, errors=error.errors, headers=error.headers)
    if isinstance(error, TransientError):
        wait = max(1, round(error.retry_after or DEFAULT_RETRY_AFTER))
        logger.warning("request_refused_for_now", code=error.code, detail=error.detail)
        return problem_response(
            503, "dependency_unavailable", "Try again in a moment.", headers={"Retry-After": str(wait)}
        )
    logger.error("request_failed", code=error.code, detail=error.detail, permanent=isinstance(error, PermanentError))
    return problem_response(500, "internal_error", "The error was logged under this request's id.")


def validation_errors(error: RequestValidationError) -> list[Violation]:
    """Pydantic's errors as violations: JSON pointers for members of the body, plain names for parameters."""
    violations: list[Violation] = []
    for fault in error.errors():
        place, *path = fault["loc"]
        kind = str(fault["type"])
        if kind == "json_invalid":
            path = []
        pointer = _pointer(path) if place == "body" else ".".join(str(part) for part in path)
        violations.append(Violation(pointer, _VIOLATION_CODES.get(kind, kind), str(fault["msg"])))
    return violations


def _pointer(path: Sequence[Any]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def install_problem_handlers(app: FastAPI) -> None:
    """Every error of the app becomes a problem document."""
    app.add_exception_handler(PosternError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, _on_unexpected)


async def _on_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, PosternError):
        raise error
    return error_response(error)


async def _on_http_exception(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = _STATUS_CODES.get(error.status_code, "internal_error" if error.status_code >= 500 else "malformed_request")
    return problem_response(error.status_code, code, str(error.detail), headers=error.headers)


async def _on_invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    violations = validation_errors(error)
    if any(violation.code == "malformed_json" for violation in violations):
        return problem_response(400, "malformed_request", "The body is not valid JSON.", errors=violations)
    return problem_response(422, "validation_failed", "The request has invalid values.", errors=violations)


async def _on_unexpected(_: Request, error: Exception) -> Response:
    logger.error("request_failed_unexpectedly", exc_info=error)
    return problem_response(500, "internal_error", "The error was logged under this request's id.")
