"""Transitions are announced once, in order, whatever happens to the watcher meanwhile."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.kube.client import KubeClient
from tests.integration.watcher.conftest import Database, Outboxes, WatcherProcess

pytestmark = pytest.mark.integration


async def test_a_creation_is_told_from_the_first_sight_to_ready(
    watcher: WatcherProcess, outbox: Outboxes, database: Database
) -> None:
    await database.apply(1)
    await database.make_ready()
    await outbox.wait_for(database, "provisioning", "ready")
    last = (await outbox.events(database))[-1]
    assert last["type"] == "dev.postern.database.state_changed.v1"
    assert last["data"]["observed_generation"] == 1
    assert last["operationid"] == str(database.operation_id)
    assert last["project"] == "acme"


async def test_a_restarted_watcher_repeats_nothing_and_misses_nothing(
    engine: AsyncEngine, watcher_client: KubeClient, outbox: Outboxes, database: Database
) -> None:
    first = await WatcherProcess(engine, watcher_client).start()
    await database.apply(1)
    await database.make_ready()
    await outbox.wait_for(database, "provisioning", "ready")
    await first.stop()
    second = await WatcherProcess(engine, watcher_client).start()
    await database.status("Failing over", 1)
    await outbox.wait_for(database, "provisioning", "ready", "failing_over")
    await second.stop()
    await database.healthy(primary=2)
    third = await WatcherProcess(engine, watcher_client).start()
    await outbox.wait_for(database, "provisioning", "ready", "failing_over", "ready")
    await third.stop()
