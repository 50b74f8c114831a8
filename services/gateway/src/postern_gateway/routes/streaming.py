"""An SSE answer whose bytes come from another service: piped, never decoded.

It ends when the other side ends, the client goes, the process stops, or the credential is no longer valid; the client
then
resumes with ``Last-Event-ID``.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from postern_common.errors import PosternError
from postern_common.http import error_response

REVALIDATE_SECONDS: Final = 15.0
SEND_SECONDS: Final = 30.0
"""A client that takes nothing for this long is closed; it resumes where it was."""
_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


class PipedStream(Response):
    """``opened`` gives the bytes, ``revalidate`` raises once the credential is no longer valid."""

    def __init__(
        self,
        opened: Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]],
        *,
        closing: asyncio.Event,
        revalidate: Callable[[], Awaitable[object]],
        expires_at: datetime | None = None,
    ) -> None:
        super().__init__()
        self._expires_at = expires_at
        self._opened = opened
        self._closing = closing
        self._revalidate = revalidate

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry. An error before the first byte is a problem document."""
        try:
            async with self._opened() as chunks:
                await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
                await self._until_first_end(
                    self._pipe(chunks, send),
                    self._watch_client(receive),
                    self._closing.wait(),
                    self._watch_credential(),
                )
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except PosternError as error:
            await error_response(error)(scope, receive, send)
        except (OSError, TimeoutError):
            return  # the client has gone, or takes nothing

    async def _until_first_end(self, *parts: Awaitable[object]) -> None:
        async def run(part: Awaitable[object]) -> None:
            await part
            raise _EndedError

        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(run(part))
        except* _EndedError:
            pass
        except* (OSError, TimeoutError) as errors:
            raise OSError("the client has gone") from errors

    async def _pipe(self, chunks: AsyncIterator[bytes], send: Send) -> None:
        async for chunk in chunks:
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _watch_client(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _watch_credential(self) -> None:
        while True:
            await asyncio.sleep(self._seconds_to_look())
            try:
                await self._revalidate()
            except PosternError:
                return

    def _seconds_to_look(self) -> float:
        if self._expires_at is None:
            return REVALIDATE_SECONDS
        left = (self._expires_at - datetime.now(UTC)).total_seconds()
        return min(REVALIDATE_SECONDS, max(left, 0.0) + 0.01)


class _EndedError(Exception):
    """One part of a stream ended: all of it does."""
