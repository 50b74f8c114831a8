"""What every request gets: an id, security headers, a log context and one structured log line.

Plain ASGI instead of Starlette's ``BaseHTTPMiddleware``: that one buffers streams and breaks their cancellation.
"""

import re
import time
from collections.abc import MutableMapping
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postern_common.contracts.identifiers import new_id
from postern_common.http.problems import problem_response
from postern_common.logging import get_logger
from postern_common.runtime.health import HEALTH_PATHS

logger = get_logger(__name__)

REQUEST_ID_HEADER: Final = "X-Request-Id"
_VALID_ID: Final = re.compile(rb"[A-Za-z0-9._~-]{1,64}")
_SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""A response that sets one of them itself keeps its own."""


class RequestContextMiddleware:
    """Outermost middleware. ``scope["state"]["request_id"]`` holds the id; a valid one of the client is kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 0
        started = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, request_id)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            if status:
                raise
            logger.exception("request_failed_unexpectedly")
            response = problem_response(500, "internal_error", "The error was logged under this request's id.")
            await response(scope, receive, send_with_headers)
        finally:
            if scope["path"] not in HEALTH_PATHS:
                _log(scope, status, time.perf_counter() - started)
            structlog.contextvars.clear_contextvars()


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _VALID_ID.fullmatch(value):
            return str(value.decode())
    return new_id().hex


def _add_headers(message: MutableMapping[str, Any], request_id: str) -> None:
    headers = list(message.get("headers", ()))
    present = {name.lower() for name, _ in headers}
    headers += [header for header in _SECURITY_HEADERS if header[0] not in present]
    headers.append((REQUEST_ID_HEADER.lower().encode(), request_id.encode()))
    message["headers"] = headers


def _log(scope: Scope, status: int, seconds: float) -> None:
    route = scope.get("route")
    logger.info(
        "request_served",
        method=scope["method"],
        route=getattr(route, "path", None),
        path=scope["path"][:200],
        status=status,
        milliseconds=round(seconds * 1000, 2),
    )
