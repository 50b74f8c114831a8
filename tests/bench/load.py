"""A small closed-loop HTTP/1.1 load generator on raw streams.

A client library costs more per request than the servers under test, so its time would be what is measured.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_ANSWER_SECONDS = 30


@dataclass
class Load:
    """What came back: seconds the whole round took, milliseconds per request, and a count per status."""

    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Requests answered per second."""
        return len(self.milliseconds) / self.seconds


async def post_all(url: str, bodies: Iterator[bytes], headers: dict[str, str], *, connections: int) -> Load:
    """Post every body over ``connections`` keep-alive connections, each waiting for its answer."""
    load = Load()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_connection(url, bodies, headers, load))
    load.seconds = time.perf_counter() - began
    return load


async def _connection(url: str, bodies: Iterator[bytes], headers: dict[str, str], load: Load) -> None:
    parts = urlsplit(url)
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        for body in bodies:
            began = time.perf_counter()
            writer.write(_request(url, body, headers))
            async with asyncio.timeout(_ANSWER_SECONDS):
                status = await _answer(reader)
            load.milliseconds.append((time.perf_counter() - began) * 1000)
            load.statuses[status] = load.statuses.get(status, 0) + 1
    finally:
        writer.close()


def _request(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _answer(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length"))
    await reader.readexactly(length)
    return status
