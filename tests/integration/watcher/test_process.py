"""``postern-watcher serve`` as a process: it gets ready, works, and on SIGTERM leaves the lease to the next."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.watcher.conftest import Database, Outboxes
from tests.support.polling import eventually

from postern_devcluster.apiserver.server import ApiServer

pytestmark = pytest.mark.integration


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_process_serves_until_it_is_told_to_stop(
    *,
    api_server: ApiServer,
    schema_urls: dict[str, str],
    amqp_url: str,
    engine: AsyncEngine,
    outbox: Outboxes,
    database: Database,
) -> None:
    assert api_server.kubeconfigs is not None
    port = _free_port()
    environment = {
        **os.environ,
        "POSTERN_DATABASE_URL": schema_urls["watcher"],
        "POSTERN_AMQP_URL": amqp_url,
        "POSTERN_PORT": str(port),
        "POSTERN_SERVICE_TOKEN_KEY": "k" * 32,
        "KUBECONFIG": str(api_server.kubeconfigs.watcher),
    }
    program = Path(sys.executable).with_name("postern-watcher")
    process = await asyncio.create_subprocess_exec(program, "serve", env=environment, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def is_ready() -> bool:
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(is_ready, every=0.1, timeout=20)
            await database.apply(1)
            await database.make_ready()
            await outbox.wait_for(database, "provisioning", "ready")
            metrics = (await client.get("/metrics")).text
        assert "postern_watcher_leader 1.0" in metrics
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    async with engine.connect() as connection:
        free = await connection.scalar(text("SELECT expires_at < now() FROM watcher.leases WHERE name = 'watcher'"))
    assert free is True
