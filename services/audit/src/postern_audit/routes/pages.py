"""``GET …/events`` and ``GET …/audit``: pages. An unknown project has an empty one; the gateway knows which exist."""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Response

from postern_audit.routes.access import MAX_SEQUENCE, Databases, Limit, Types, filters_of
from postern_audit.services.paging import PagingService
from postern_common.contracts.identifiers import NAME_MAX_LENGTH

Project = Annotated[str, Path(max_length=NAME_MAX_LENGTH, pattern="^[-a-z0-9]+$")]
Cursor = Annotated[int | None, Query(ge=0, le=MAX_SEQUENCE)]
Order = Literal["asc", "desc"]

_ENCODER = msgspec.json.Encoder()


def page_routes(paging: PagingService) -> APIRouter:
    """The routes over ``paging``."""
    router = APIRouter(prefix="/internal/v1/projects/{project}")

    @router.get("/events")
    async def events(  # noqa: PLR0917 - FastAPI passes by name
        project: Project,
        types: Types = [],  # noqa: B006 - FastAPI copies defaults
        databases: Databases = [],  # noqa: B006
        after: Cursor = None,
        limit: Limit = 50,
        order: Order = "asc",
        reduced: bool = False,
    ) -> Response:
        page = await paging.events(
            project, filters_of(types, databases), after=after, order=order, limit=limit, reduced=reduced
        )
        return _answer([msgspec.Raw(item) for item in page.items], page.next_cursor)

    @router.get("/audit")
    async def audit(
        project: Project, after: Cursor = None, cursor: Cursor = None, limit: Limit = 50, order: Order = "desc"
    ) -> Response:
        page = await paging.audit(project, after=cursor if cursor is not None else after, order=order, limit=limit)
        return _answer(page.items, page.next_cursor)

    return router


def _answer(items: object, next_cursor: int | None) -> Response:
    body = {"items": items, "next_cursor": None if next_cursor is None else str(next_cursor)}
    return Response(_ENCODER.encode(body), media_type="application/json")
