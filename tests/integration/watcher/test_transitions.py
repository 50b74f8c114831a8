"""Transitions are announced once, in order, whatever happens to watcher, API server or lease meanwhile."""

import asyncio
import dataclasses

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.watcher.conftest import FAST, Database, Outboxes, WatcherProcess
from tests.support.polling import eventually

from postern_common.errors import DependencyDownError
from postern_common.kube.client import KubeClient
from postern_common.persistence import read_installation
from postern_devcluster.apiserver.server import ApiServer

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


async def test_a_deletion_while_nobody_watches_is_found_and_waits_for_the_volumes(
    engine: AsyncEngine, watcher_client: KubeClient, outbox: Outboxes, database: Database
) -> None:
    first = await WatcherProcess(engine, watcher_client).start()
    await database.apply(1)
    await database.add_volume()
    await database.make_ready()
    await outbox.wait_for(database, "provisioning", "ready")
    await database.apply(2, goal="deleted")
    await outbox.wait_for(database, "provisioning", "ready", "deleting")
    await first.stop()
    await database.delete()
    second = await WatcherProcess(engine, watcher_client).start()
    await second.stop()
    assert (await outbox.story(database))[-1] == "deleting"
    await database.drop_volume()
    third = await WatcherProcess(engine, watcher_client).start()
    await outbox.wait_for(database, "provisioning", "ready", "deleting", "deleted")
    last = (await outbox.events(database))[-1]["data"]
    assert (last["reason"], last["observed_generation"]) == ("removed", 2)
    await third.stop()


async def test_a_database_that_comes_back_goes_on_from_its_tombstone(
    watcher: WatcherProcess, outbox: Outboxes, database: Database
) -> None:
    await database.apply(1)
    await database.make_ready()
    await outbox.wait_for(database, "provisioning", "ready")
    await database.delete()
    await outbox.wait_for(database, "provisioning", "ready", "deleted")
    drifted = [e for e in await outbox.events(database) if e["type"] == "dev.postern.object.drifted.v1"]
    assert [e["data"]["what"] for e in drifted] == ["the cluster was deleted"]
    await database.apply(1)
    await database.make_ready()
    await outbox.wait_for(database, "provisioning", "ready", "deleted", "provisioning", "ready")


async def test_a_compaction_makes_one_new_list_and_no_event(
    *,
    engine: AsyncEngine,
    watcher_client: KubeClient,
    outbox: Outboxes,
    admin: KubeClient,
    database: Database,
    api_server: ApiServer,
) -> None:
    short = dataclasses.replace(FAST, server_timeout=(1, 1), backoff_first=2.0, backoff_limit=2.0)
    watcher = await WatcherProcess(engine, watcher_client, timing=short).start()
    await database.apply(1)
    await database.make_ready()
    await outbox.wait_for(database, "provisioning", "ready")
    before = len(await outbox.events())
    watch = watcher.sessions.watch("clusters")
    await eventually(lambda: not watch.status.connected)
    await Database(admin, "ffffffff", "theirs").apply(1)
    api_server.compact()
    await eventually(lambda: watch.status.expired == 1)
    await eventually(lambda: watch.status.lists == 2)
    await database.status("Failing over", 1)
    await outbox.wait_for(database, "provisioning", "ready", "failing_over")
    assert [e["data"]["to"] for e in (await outbox.events())[before:]] == ["failing_over"]
    assert watch.status.lists == 2
    await watcher.stop()


async def test_a_leader_that_slept_through_its_lease_writes_nothing_over_its_successor(
    engine: AsyncEngine, watcher_client: KubeClient, outbox: Outboxes, database: Database
) -> None:
    old = await WatcherProcess(engine, watcher_client).start()
    await database.apply(1)
    await outbox.wait_for(database, "provisioning")
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE watcher.leases SET owner = 'another', epoch = epoch + 1, expires_at = 'infinity'")
        )
    await database.make_ready()
    await eventually(lambda: old.leadership.epoch is None)
    assert await outbox.story(database) == ["provisioning"]
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE watcher.leases SET expires_at = '-infinity'"))
    await outbox.wait_for(database, "provisioning", "ready")
    await old.stop()


async def test_a_standby_takes_over_when_the_leader_gives_up(
    engine: AsyncEngine, watcher_client: KubeClient, outbox: Outboxes, database: Database
) -> None:
    leader = await WatcherProcess(engine, watcher_client).start()
    standby = WatcherProcess(engine, watcher_client)
    taking_over = asyncio.get_running_loop().create_task(standby.start())
    await database.apply(1)
    await outbox.wait_for(database, "provisioning")
    assert standby.leadership.epoch is None
    await leader.stop()
    await taking_over
    await database.make_ready()
    await outbox.wait_for(database, "provisioning", "ready")
    await standby.stop()


async def test_a_database_outage_loses_no_final_state_and_breaks_no_chain(
    engine: AsyncEngine, watcher: WatcherProcess, outbox: Outboxes, database: Database, database_url: str
) -> None:
    await database.apply(1)
    await outbox.wait_for(database, "provisioning")
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE watcher.databases IN ACCESS EXCLUSIVE MODE"))
        await database.make_ready()
        await database.status("Failing over", 1)
        await asyncio.sleep(2.5)  # longer than the lock timeout of the watcher's statements
    await database.healthy(primary=2)
    await eventually(lambda: _is_last(outbox, database, "ready"), timeout=15)


async def _is_last(outbox: Outboxes, database: Database, state: str) -> bool:
    return (await outbox.story(database))[-1] == state


async def test_an_edit_by_others_is_drift_and_names_them(
    watcher: WatcherProcess, outbox: Outboxes, database: Database
) -> None:
    await database.apply(1)
    await database.make_ready()
    await outbox.wait_for(database, "provisioning", "ready")
    await database.edit({"spec": {"instances": 3}}, manager="somebody")
    await outbox.wait_for(database, "provisioning", "ready", "degraded")
    drifted = [e["data"] for e in await outbox.events(database) if e["type"] == "dev.postern.object.drifted.v1"]
    assert [(d["who"], d["what"]) for d in drifted] == [("somebody", "the spec was edited")]
    assert drifted[0]["object"]["name"] == database.name


async def test_a_generation_that_somebody_writes_is_drift_and_proves_nothing(
    watcher: WatcherProcess, outbox: Outboxes, database: Database
) -> None:
    await database.apply(1)
    await database.make_ready()
    await outbox.wait_for(database, "provisioning", "ready")
    await database.edit({"metadata": {"annotations": {"postern.dev/generation": "99"}}}, manager="kubectl-annotate")

    async def drifted() -> bool:
        return any("drifted" in event["type"] for event in await outbox.events(database))

    await eventually(drifted)
    await database.apply(2)
    await database.healthy(primary=2)

    async def observed() -> bool:
        return (await outbox.events(database))[-1]["data"].get("observed_generation") == 2

    await eventually(observed)
    assert all(event["data"].get("observed_generation", 0) < 99 for event in await outbox.events(database))


async def test_clusters_of_another_installation_are_none_of_ours(
    watcher: WatcherProcess, outbox: Outboxes, admin: KubeClient, database: Database
) -> None:
    foreign = Database(admin, "ffffffff", "theirs")
    await foreign.apply(1)
    await foreign.make_ready()
    await database.apply(1)
    await outbox.wait_for(database, "provisioning")
    assert await outbox.events(foreign) == []


async def test_many_databases_that_change_at_once_are_each_told_in_order(
    engine: AsyncEngine, watcher: WatcherProcess, outbox: Outboxes, admin: KubeClient
) -> None:
    installation = await read_installation(engine)
    databases = [Database(admin, installation, f"many-{number}") for number in range(40)]

    async def live(database: Database) -> None:
        await database.apply(1)
        await database.make_ready()

    await asyncio.gather(*(live(database) for database in databases))
    for database in databases:
        await outbox.wait_for(database, "provisioning", "ready")


async def test_a_missing_definition_and_a_missing_right_are_said_in_words(
    engine: AsyncEngine, admin: KubeClient, api_server: ApiServer
) -> None:
    assert api_server.kubeconfigs is not None
    client = await KubeClient.connect(str(api_server.kubeconfigs.provisioner))
    process = WatcherProcess(engine, client)
    task = asyncio.get_running_loop().create_task(process.leadership.run())
    try:

        async def refused() -> bool:
            try:
                await process.sessions.check()
            except DependencyDownError as error:
                return error.code == "kubernetes_forbidden" and "does not allow us" in error.detail
            return False

        await eventually(refused)
    finally:
        task.cancel()
        await asyncio.wait({task})
        await client.close()
