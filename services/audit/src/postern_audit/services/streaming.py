"""A client's stream: what it missed from the tables, then what is new from the tail, without a gap or a duplicate."""

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import Final

import structlog

from postern_audit import metrics
from postern_audit.domain.stream import PING, Filters, Line, line_of, reset_frame, resolve_start, retry_frame
from postern_audit.services.tail import Closed, Subscription, Tail
from postern_audit.storage.ledger_reader import LedgerReader
from postern_common.errors import TransientError

logger = structlog.get_logger(__name__)

PING_SECONDS: Final = 15.0
PAGE_ROWS: Final = 500
RETRY_MILLISECONDS: Final = (1_000, 4_000)
"""Clients of a service that restarts come back spread over this range."""


class Stream:
    """One open stream. ``chunks`` yields the bytes; ``wait_slow`` ends when the client fell too far behind."""

    def __init__(
        self, *, reader: LedgerReader, tail: Tail, project: str, filters: Filters, reduced: bool, ping: float
    ) -> None:
        self._reader = reader
        self._tail = tail
        self._project = project
        self._filters = filters
        self._reduced = reduced
        self._ping = ping
        self._cursor = 0
        self._reset: str | None = None
        self._slow = asyncio.Event()

    async def seek(self, requested: str) -> None:
        """Find where to begin; errors of the database are raised here, before anything was answered."""
        bounds = await self._reader.bounds(self._project)
        start = resolve_start(requested, oldest=bounds.oldest, newest=bounds.newest)
        self._cursor, self._reset = start.cursor, start.reset

    async def wait_slow(self) -> None:
        """Until the client is given up because it does not read."""
        await self._slow.wait()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Frames until the process stops, the client is too slow or the database fails; the client then resumes."""
        yield retry_frame(random.randint(*RETRY_MILLISECONDS))
        if self._reset is not None:
            yield reset_frame(self._cursor, self._reset)
        subscription: Subscription | None = None
        try:
            async for chunk in self._stored():
                yield chunk
            subscription = await self._tail.subscribe(self._project, on_slow=self._slow.set)
            # once more: what was committed between the last page and the subscription
            async for chunk in self._stored():
                yield chunk
            async for chunk in self._live(subscription):
                yield chunk
        except TransientError as error:
            metrics.DROPPED.labels("database").inc()
            logger.warning("event_stream_interrupted", code=error.code)
        finally:
            if subscription is not None:
                self._tail.unsubscribe(subscription)
                if subscription.closed is not None:
                    metrics.DROPPED.labels(subscription.closed.value).inc()
                if subscription.closed is Closed.SLOW:
                    logger.info("event_stream_closed", reason=Closed.SLOW.value, project=self._project)

    async def _stored(self) -> AsyncGenerator[bytes, None]:
        while True:
            page = await self._reader.page(
                self._project, self._filters, after=self._cursor, order="asc", limit=PAGE_ROWS
            )
            frames = [self._frame(line) for entry in page if (line := line_of(entry)) is not None]
            if page:
                self._cursor = page[-1].sequence or self._cursor
                yield b"".join(frames)
            if len(page) < PAGE_ROWS:
                return

    async def _live(self, subscription: Subscription) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        ping_at = loop.time() + self._ping
        while subscription.closed is None:
            lines = await subscription.take(max(0.0, ping_at - loop.time()))
            frames = [
                self._frame(line)
                for line in lines
                if line.sequence > self._cursor and self._filters.admit(line.type, line.subject)
            ]
            if lines:
                self._cursor = max(self._cursor, lines[-1].sequence)
            if frames:
                yield b"".join(frames)
            elif loop.time() >= ping_at and subscription.closed is None:
                yield PING
            else:
                continue
            ping_at = loop.time() + self._ping

    def _frame(self, line: Line) -> bytes:
        return line.reduced if self._reduced else line.full


class StreamingService:
    """Opens streams."""

    def __init__(self, reader: LedgerReader, tail: Tail, *, ping: float = PING_SECONDS) -> None:
        self._reader = reader
        self._tail = tail
        self._ping = ping

    async def open(self, project: str, requested: str, filters: Filters, *, reduced: bool) -> Stream:
        """A stream of a project's entries after ``requested`` (``now``, ``0`` or a sequence).

        Raises ``TransientError`` or ``DependencyDownError`` when the database does not answer.
        """
        stream = Stream(
            reader=self._reader, tail=self._tail, project=project, filters=filters, reduced=reduced, ping=self._ping
        )
        await stream.seek(requested)
        return stream
