"""POST throughput of the gateway over that of a bare Starlette application, in turns on the same machine."""

import asyncio
import json
import statistics
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from tests.bench.figures import Figure, Result, spread
from tests.bench.load import Load, post_all
from tests.bench.stack import REPOSITORY, Bench

from postern_devcluster.embedded import choose_port

ROUNDS = 3
REQUESTS = 334
CONNECTIONS = 16
_SETTLE_SECONDS = 60


async def throughput(bench: Bench) -> Result:
    """Requests per second of both, medians of ``ROUNDS`` rounds taken in turns, and the ratio round by round."""
    databases = await bench.project("throughput")
    pairs: list[tuple[Load, Load]] = []
    async with _bare_application() as bare_url:
        for number in range(ROUNDS):
            bare = await _round(bare_url + databases, bench, f"x{number}")
            ours = await _round(bench.url + databases, bench, f"r{number}")
            bench.databases += REQUESTS
            pairs.append((ours, bare))
            # What follows the POSTs is work of all services: the next round must not share the machine with it.
            await bench.left("requested", within=_SETTLE_SECONDS)
    ratio = statistics.median(ours.per_second / bare.per_second for ours, bare in pairs)
    per_second = statistics.median(ours.per_second for ours, _ in pairs)
    bare_per_second = statistics.median(bare.per_second for _, bare in pairs)
    return Result(
        "throughput",
        (
            Figure("POST a database", round(per_second, 1), "/s"),
            Figure("POST to a bare Starlette application", round(bare_per_second, 1), "/s"),
            Figure("ratio of the two", round(ratio, 4), ""),
        ),
        {
            "connections": CONNECTIONS,
            "requests_per_round": REQUESTS,
            "rounds": [{"postern": ours.per_second, "starlette": bare.per_second} for ours, bare in pairs],
            "postern": spread([taken for ours, _ in pairs for taken in ours.milliseconds]),
            "starlette": spread([taken for _, bare in pairs for taken in bare.milliseconds]),
        },
    )


async def _round(url: str, bench: Bench, prefix: str) -> Load:
    load = await post_all(url, _bodies(prefix), bench.authorization, connections=CONNECTIONS)
    if set(load.statuses) != {202}:
        raise RuntimeError(f"POST {url} was answered with {load.statuses}")
    return load


def _bodies(prefix: str) -> Iterator[bytes]:
    return (json.dumps({"name": f"{prefix}-{n}", "plan": "dev-1"}).encode() for n in range(REQUESTS))


@asynccontextmanager
async def _bare_application() -> AsyncIterator[str]:
    port = choose_port(None)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "tests.bench.baseline:app", "--host", "127.0.0.1", "--port", str(port),
        "--no-access-log", "--loop", "uvloop", "--http", "httptools", "--log-level", "warning",
        cwd=REPOSITORY,
    )  # fmt: skip
    try:
        await _listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
