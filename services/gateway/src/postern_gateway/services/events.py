"""The project's stream and its audit view, read from the audit service: pages, and SSE piped byte by byte."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from uuid import UUID

from postern_gateway.domain.access import Principal, Role
from postern_gateway.domain.etags import body_etag
from postern_gateway.domain.records import ProjectRecord
from postern_gateway.services.calls import Answer
from postern_gateway.storage.internal_http import InternalService


class EventService:
    """What happened in a project. Rights and the project's existence are checked before."""

    def __init__(self, audit: InternalService) -> None:
        self._audit = audit
        self._closing = asyncio.Event()

    @property
    def closing(self) -> asyncio.Event:
        """Set when the process stops: open streams end, and their clients resume elsewhere."""
        return self._closing

    async def close_streams(self) -> None:
        """Part of the drain."""
        self._closing.set()

    async def page(
        self,
        principal: Principal,
        project: ProjectRecord,
        *,
        after: str | None,
        limit: int,
        types: Sequence[str],
        databases: Sequence[UUID],
    ) -> Answer:
        """A page of CloudEvents, oldest first."""
        query = [*_stream_query(principal, types, databases), ("limit", str(limit)), ("order", "asc")]
        if after is not None:
            query.append(("after", after))
        return _answer(await self._audit.get(f"/internal/v1/projects/{project.name}/events", query))

    def stream(
        self,
        principal: Principal,
        project: ProjectRecord,
        *,
        after: str | None,
        types: Sequence[str],
        databases: Sequence[UUID],
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The open SSE stream; without ``after`` from now on (semantics 21)."""
        query = [*_stream_query(principal, types, databases), ("after", "now" if after is None else after)]
        return self._audit.stream(f"/internal/v1/projects/{project.name}/events/stream", query)

    async def audit_page(self, project: ProjectRecord, *, cursor: str | None, limit: int, order: str) -> Answer:
        """Who did what, from where, with which outcome."""
        query = [("limit", str(limit)), ("order", order)]
        if cursor is not None:
            query.append(("cursor", cursor))
        return _answer(await self._audit.get(f"/internal/v1/projects/{project.name}/audit", query))


def _stream_query(principal: Principal, types: Sequence[str], databases: Sequence[UUID]) -> list[tuple[str, str]]:
    # viewers see API actions reduced to type, time and resource (semantics 32)
    reduced = principal.role is Role.VIEWER
    return [
        ("reduced", "true" if reduced else "false"),
        *(("type", kind) for kind in types),
        *(("database", str(database)) for database in databases),
    ]


def _answer(body: bytes) -> Answer:
    return Answer(200, body, {"ETag": body_etag(body)})
