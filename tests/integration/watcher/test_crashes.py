"""Nothing is lost or told twice when the watcher or the API server dies in the middle of changes."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.watcher.conftest import NAMESPACE, Database, Outboxes, WatcherProcess
from tests.support.polling import eventually

from postern_common.kube.client import KubeClient
from postern_common.kube.paths import NAMESPACES
from postern_common.persistence import read_installation
from postern_devcluster.apiserver.server import running_api_server

pytestmark = pytest.mark.integration


async def _expire_lease(engine: AsyncEngine) -> None:
    """What fifteen seconds would do to the lease of a dead leader."""
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE watcher.leases SET expires_at = '-infinity'"))


async def _flip(database: Database, until: asyncio.Event) -> None:
    """Fail over and heal, again and again; ends healthy."""
    while not until.is_set():
        await database.status("Failing over", 1)
        await asyncio.sleep(0.003)
        await database.healthy()
        await asyncio.sleep(0.003)


async def test_watchers_that_die_in_the_middle_of_changes_leave_an_unbroken_chain(
    engine: AsyncEngine, watcher_client: KubeClient, outbox: Outboxes, database: Database
) -> None:
    await database.apply(1)
    await database.make_ready()
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        flipping = group.create_task(_flip(database, enough))
        for _ in range(5):
            watcher = await WatcherProcess(engine, watcher_client).start()
            await eventually(partial(_has_more, outbox, len(await outbox.events()) + 5))
            await watcher.kill()
            await _expire_lease(engine)
        enough.set()
        await flipping
    last = await WatcherProcess(engine, watcher_client).start()
    await eventually(lambda: _ends_ready(outbox, database))
    await last.stop()


async def _has_more(outbox: Outboxes, than: int) -> bool:
    return len(await outbox.events()) > than


async def _ends_ready(outbox: Outboxes, database: Database) -> bool:
    return (await outbox.story(database))[-1:] == ["ready"]


async def test_an_api_server_that_restarts_loses_no_change_and_doubles_none(
    engine: AsyncEngine, outbox: Outboxes, tmp_path: Path
) -> None:
    async with running_api_server(tmp_path) as server:
        assert server.kubeconfigs is not None
        admin = await KubeClient.connect(str(server.kubeconfigs.admin))
        client = await KubeClient.connect(str(server.kubeconfigs.watcher))
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        await admin.request("POST", NAMESPACES.collection(), body=body)
        database = Database(admin, await read_installation(engine), "orders")
        watcher = await WatcherProcess(engine, client).start()
        await database.apply(1)
        await database.make_ready()
        await outbox.wait_for(database, "provisioning", "ready")
    async with running_api_server(tmp_path):
        await database.status("Failing over", 1)
        await outbox.wait_for(database, "provisioning", "ready", "failing_over")
    async with running_api_server(tmp_path):
        await database.healthy(primary=2)
        await outbox.wait_for(database, "provisioning", "ready", "failing_over", "ready")
        await watcher.stop()
        await admin.close()
        await client.close()
