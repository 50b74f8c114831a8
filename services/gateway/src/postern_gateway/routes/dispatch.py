"""What every call goes through, in this order: credential, project, right, query, body, handler, precondition of a
read.

Deny by default: the right comes from the policy table by the route that matched, never from the request's path.
"""

import asyncio
from dataclasses import replace
from typing import Final

from opentelemetry.trace import SpanKind
from starlette.requests import Request
from starlette.responses import Response

from postern_common.contracts.identifiers import is_valid_name
from postern_common.errors import ClientError, Violation
from postern_common.telemetry import start_span, trace_context
from postern_gateway.domain.access import Principal, Right, needed
from postern_gateway.domain.etags import is_unmodified
from postern_gateway.domain.problems import invalid, refuse
from postern_gateway.domain.records import ProjectRecord
from postern_gateway.routes.bodies import check_media_type, drain_body, read_body
from postern_gateway.routes.call import Call, preferred_wait
from postern_gateway.routes.endpoint import Endpoint
from postern_gateway.routes.policy import POLICY
from postern_gateway.routes.services import Services
from postern_gateway.services.calls import Answer, Caller

HANDLER_SECONDS: Final = 10.0
_CACHE: Final = "private, no-cache"


class Dispatcher:
    """Serves one endpoint. Its ``serve`` is what the router calls."""

    def __init__(self, endpoint: Endpoint, services: Services) -> None:
        self._endpoint = endpoint
        self._services = services
        self._right = POLICY[endpoint.method, endpoint.path]
        self._query = {parameter.name: parameter for parameter in endpoint.query}

    async def serve(self, request: Request) -> Response:
        """Answer, or raise what the problem handlers turn into an answer."""
        headers = request.headers
        name = f"{self._endpoint.method} {self._endpoint.path}"
        with (
            trace_context(headers.get("traceparent"), headers.get("tracestate")),
            start_span(name, kind=SpanKind.SERVER),
        ):
            return await self._serve(request)

    async def _serve(self, request: Request) -> Response:
        if self._right is Right.PUBLIC:
            raise ValueError("public routes are served without a dispatcher")
        try:
            principal = await self._services.authenticator.authenticate(request.headers.get("authorization"))
        except ClientError:
            await drain_body(request)
            raise
        caller = self._caller(request, principal)
        project: ProjectRecord | None = None
        try:
            project = await self._project(request, principal)
            return await self._answer(request, caller, project)
        except ClientError as error:
            if self._endpoint.is_write or self._right is Right.READ_CREDENTIALS:
                await self._services.refusals.record(caller, project, error, request.path_params.get("name"))
            raise

    async def _answer(self, request: Request, caller: Caller, project: ProjectRecord | None) -> Response:
        try:
            self._authorise(caller.principal, project)
            self._check_query(request)
        except ClientError:
            await drain_body(request)
            raise
        call = Call(request, self._endpoint, self._services, caller, project)
        if self._endpoint.is_write:
            call = replace(call, body=await self._read_body(request))
        wait = preferred_wait(request)
        try:
            async with asyncio.timeout(HANDLER_SECONDS + wait):
                answer = await self._endpoint.handler(call)
                if isinstance(answer, Response):
                    return answer
                if answer.waits_for is not None and wait:
                    answer = await self._wait(answer, wait)
        except TimeoutError as error:
            raise refuse("timeout", "the request took longer than 10 seconds") from error
        return _respond(request, answer)

    async def _read_body(self, request: Request) -> bytes:
        body = await read_body(request)
        if self._endpoint.body is not None:
            check_media_type(request, self._endpoint.media_types)
        return body

    async def _wait(self, answer: Answer, seconds: float) -> Answer:
        """The answer once the operation has ended; the one at hand when it has not (``Prefer: wait``)."""
        if answer.waits_for is None or answer.database_id is None:
            return answer
        applied = {"Preference-Applied": f"wait={seconds:g}"}
        if not await self._services.waits.wait(answer.waits_for, seconds):
            return replace(answer, headers=answer.headers | applied)
        ended = await self._services.reading.database_by_id(answer.database_id)
        return replace(ended, headers=answer.headers | ended.headers | applied)

    async def _project(self, request: Request, principal: Principal) -> ProjectRecord | None:
        name = request.path_params.get("project")
        if name is None:
            return None
        if not is_valid_name(name):
            await drain_body(request)
            raise refuse("not_found", "there is no such project")
        try:
            return await self._services.projects.find(principal, name)
        except ClientError:
            await drain_body(request)
            raise

    def _authorise(self, principal: Principal, project: ProjectRecord | None) -> None:
        if not principal.may(self._right, None if project is None else project.id):
            raise refuse("forbidden", f"this needs {needed(self._right)}")

    def _check_query(self, request: Request) -> None:
        faults = []
        for name in request.query_params:
            parameter = self._query.get(name)
            if parameter is None:
                faults.append(Violation(name[:60], "unknown_query_parameter", "no such query parameter here"))
            elif not parameter.repeated and len(request.query_params.getlist(name)) > 1:
                faults.append(Violation(name, "invalid_value", "may be given once"))
        if faults:
            raise invalid(*faults)

    def _caller(self, request: Request, principal: Principal) -> Caller:
        return Caller(
            principal=principal,
            address="" if request.client is None else request.client.host,
            request_id=request.scope.get("state", {}).get("request_id", ""),
            method=self._endpoint.method,
            route=self._endpoint.path,
            path=request.scope["path"],
        )


def _respond(request: Request, answer: Answer) -> Response:
    headers = dict(answer.headers)
    etag = headers.get("ETag")
    if request.method == "GET" and etag is not None:
        headers.setdefault("Cache-Control", _CACHE)
        if is_unmodified(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
    return Response(answer.body, answer.status, headers, "application/json" if answer.body else None)
