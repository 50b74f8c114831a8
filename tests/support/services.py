"""A service as a process, as an installation runs it, and a publisher that speaks to it like a relay."""

import asyncio
import json
import shutil
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postern_common.messaging import BrokerConnection, Publisher
from postern_common.runtime import TaskOwner

START_SECONDS = 20


@dataclass
class RunningService:
    """One running process: where it listens, and its log as it grows."""

    process: Process
    port: int
    log: list[dict[str, Any]] = field(default_factory=list)


@asynccontextmanager
async def running_service(name: str, variables: dict[str, str]) -> AsyncIterator[RunningService]:
    """Start ``postern-<name> serve`` and wait until it listens; it is killed at the end if it still runs."""
    executable = shutil.which(f"postern-{name}", path=str(Path(sys.executable).parent))
    assert executable is not None
    process = await asyncio.create_subprocess_exec(
        executable, "serve", env=variables, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    owner = TaskOwner()
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    log: list[dict[str, Any]] = []
    owner.spawn(_read_log(process, log, started), name="log", finite=True)
    try:
        async with asyncio.timeout(START_SECONDS):
            port = await started
        yield RunningService(process, port, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await owner.close(2)


async def _read_log(process: Process, log: list[dict[str, Any]], started: asyncio.Future[int]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        try:
            record = json.loads(line)
        except ValueError:
            record = {"event": line.decode()}
        log.append(record)
        if record.get("event") == "service_started":
            started.set_result(record["port"])
    if not started.done():
        started.set_exception(AssertionError(f"the service did not start: {log}"))


@asynccontextmanager
async def supervised_publisher(amqp_url: str) -> AsyncIterator[Publisher]:
    """A publisher on a supervised connection."""
    owner = TaskOwner()
    connection = BrokerConnection(amqp_url, name="test")
    owner.spawn(connection.run(), name="broker")
    try:
        await connection.wait_ready(10)
        yield Publisher(connection)
    finally:
        await owner.close(3)
