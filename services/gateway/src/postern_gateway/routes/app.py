"""The ASGI application: routes from the table, each with its right; a route without one cannot be registered."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from postern_common.http import PROBLEMS as SHARED_PROBLEMS
from postern_common.http import RequestContextMiddleware, install_problem_handlers, register_problem
from postern_common.runtime import Health, health_routes
from postern_common.telemetry import service_version
from postern_gateway.domain.problems import PROBLEMS
from postern_gateway.routes.dispatch import Dispatcher
from postern_gateway.routes.docs_page import render_page
from postern_gateway.routes.openapi import build_document
from postern_gateway.routes.policy import POLICY
from postern_gateway.routes.services import Services
from postern_gateway.routes.table import ENDPOINTS

_PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"

Serve = Callable[[Request], Awaitable[Response]]

for _code, _problem in PROBLEMS.items():
    if _code not in SHARED_PROBLEMS:
        register_problem(_code, _problem.title)


def build_app(services: Services, health: Health, *, docs: bool) -> FastAPI:
    """The application. ``docs`` serves the reference page."""
    app = FastAPI(title="Postern", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    install_problem_handlers(app)
    app.add_middleware(RequestContextMiddleware)
    checks = health_routes(health, "gateway")
    app.router.routes.extend(checks)
    app.router.routes.extend(_health_alias(checks))
    app.router.routes.extend(_documents(docs=docs))
    by_path: dict[str, dict[str, Serve]] = {}
    for endpoint in ENDPOINTS:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = Dispatcher(endpoint, services).serve
    app.router.routes.extend(_route(path, methods) for path, methods in by_path.items())
    return app


def _route(path: str, methods: dict[str, Serve]) -> Route:
    """One route per path, so that a 405 names every method that is there."""

    async def serve(request: Request) -> Response:
        chosen = methods.get(request.method)
        if chosen is None:
            raise HTTPException(405, "this resource does not know the method", {"Allow": ", ".join(sorted(methods))})
        request.scope["route"] = route  # what the log names; Starlette sets it for FastAPI's own routes only
        return await chosen(request)

    route = Route(path, serve, methods=[*methods, *_OTHERS], include_in_schema=False)
    return route


_OTHERS: Final = ("HEAD", "PUT", "OPTIONS", "GET", "POST", "PATCH", "DELETE")


def _health_alias(checks: Sequence[BaseRoute]) -> list[Route]:
    readiness = next(route for route in checks if isinstance(route, Route) and route.path == "/readyz")
    return [Route("/healthz", readiness.endpoint, include_in_schema=False)]


def _documents(*, docs: bool) -> list[Route]:
    document = build_document(service_version())
    encoded = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    page = render_page(document)

    async def openapi(_: Request) -> Response:
        return Response(encoded, media_type="application/json", headers={"Cache-Control": "public, max-age=300"})

    async def reference(_: Request) -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": _PAGE_POLICY})

    routes = [Route("/openapi.json", openapi, include_in_schema=False)]
    return [*routes, Route("/docs", reference, include_in_schema=False)] if docs else routes


def check_policy() -> None:
    """Raises ``ValueError`` when the table of routes and the policy do not name the same routes."""
    served = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    public = {("GET", "/healthz"), ("GET", "/openapi.json"), ("GET", "/docs")}
    if served | public != POLICY.keys():
        raise ValueError(f"policy and routes differ: {sorted((served | public) ^ POLICY.keys())}")


check_policy()
