"""A client of the event stream that notes when each line arrived.

Reads the socket itself: a client library's own time per line would be a tenth of what is measured.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.bench.stack import Bench

Event = dict[str, Any]


@dataclass
class Subscriber:
    """Events in the order of their lines, each with ``time.perf_counter()`` of its arrival."""

    events: list[tuple[Event, float]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Take in chunks until cancelled; raises when the server ends the stream."""
        pending = b""
        while size := int(await reader.readline(), 16):
            chunk = await reader.readexactly(size + 2)
            arrived = time.perf_counter()
            *lines, pending = (pending + chunk[:-2]).split(b"\n")
            for line in lines:
                if line.startswith(b"data: "):
                    self.events.append((json.loads(line[6:]), arrived))
                    self.news.set()
        raise ConnectionError("the event stream ended")

    async def first(self, wanted: Callable[[Event], bool], *, start: int = 0, within: float = 30) -> tuple[int, float]:
        """Index of the first event from ``start`` on that is ``wanted``, and when its line arrived."""
        async with asyncio.timeout(within):
            while True:
                self.news.clear()
                for index in range(start, len(self.events)):
                    event, arrived = self.events[index]
                    if wanted(event):
                        return index, arrived
                start = len(self.events)
                await self.news.wait()


@asynccontextmanager
async def subscribed(bench: Bench, project: str) -> AsyncIterator[Subscriber]:
    """A subscriber to all events of a project, from its first one on, while the block runs."""
    address = urlsplit(bench.url)
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**20)
        head = [
            f"GET /v1/projects/{project}/events?after=0 HTTP/1.1",
            f"Host: {address.netloc}",
            "Accept: text/event-stream",
            *(f"{name}: {value}" for name, value in bench.authorization.items()),
        ]
        writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
        status = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in status.split(b"\r\n", 1)[0]:
        raise ConnectionError(f"no event stream: {status!r}")
    subscriber = Subscriber()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(subscriber.read(reader))
            try:
                yield subscriber
            finally:
                task.cancel()
    finally:
        writer.close()
