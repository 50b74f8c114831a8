"""``GET …/events/stream``: server-sent events, and the response that survives clients which do not read."""

import asyncio
from contextlib import aclosing
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from postern_audit.routes.access import Databases, Types, filters_of
from postern_audit.routes.pages import Project
from postern_audit.services.streaming import Stream, StreamingService

SEND_SECONDS: Final = 30.0
"""A client that does not take a chunk for so long is gone."""


class EventStreamResponse(Response):
    """Sends a stream's chunks; ends when the stream ends, the client leaves, or the client does not read.

    Starlette's own streaming response waits for a client that does not read as long as the client likes.
    """

    media_type = "text/event-stream"

    def __init__(self, stream: Stream, *, send_seconds: float = SEND_SECONDS) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._stream = stream
        self._send_seconds = send_seconds

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry. A response that was cut off stays without its last chunk, so that the client sees the cut."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._pump(send), name="event-stream-pump"),
                group.create_task(_left(receive), name="event-stream-client"),
                group.create_task(self._stream.wait_slow(), name="event-stream-pace"),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()

    async def _pump(self, send: Send) -> None:
        try:
            async with aclosing(self._stream.chunks()) as chunks:
                async for chunk in chunks:
                    async with asyncio.timeout(self._send_seconds):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
            async with asyncio.timeout(self._send_seconds):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, OSError):
            return


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def stream_routes(streaming: StreamingService) -> APIRouter:
    """The route over ``streaming``. ``Last-Event-ID`` wins over ``after``: it is what the client saw last."""
    router = APIRouter(prefix="/internal/v1/projects/{project}")

    @router.get("/events/stream")
    async def stream(  # noqa: PLR0917 - FastAPI passes by name
        project: Project,
        types: Types = [],  # noqa: B006 - FastAPI copies defaults
        databases: Databases = [],  # noqa: B006
        after: Annotated[str, Query(max_length=64)] = "now",
        reduced: bool = False,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        filters = filters_of(types, databases)
        return EventStreamResponse(await streaming.open(project, last_event_id or after, filters, reduced=reduced))

    return router
