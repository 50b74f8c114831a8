"""The primary is lost, deleted or replaced: no committed row is, and clients of ``-rw`` end at the new one."""

import asyncio
import os
import signal

import asyncpg
import pytest
from tests.integration.devcluster.operator.clusters import HEALTHY, Database, Workbench, eventually

from postern_common.kube.paths import PODS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SWITCHOVER = "Switchover in progress"
WAITING = "Waiting for the instances to become active"


async def write_row(database: Database, number: int) -> None:
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS t (n int)")
        await connection.execute("INSERT INTO t VALUES ($1)", number)


async def rows(database: Database, service: str = "rw") -> list[int]:
    async with database.connection(service) as connection:
        return [row["n"] for row in await connection.fetch("SELECT n FROM t ORDER BY n")]


async def replicated(database: Database, numbers: list[int]) -> bool:
    try:
        return await rows(database, "ro") == numbers
    except asyncpg.UndefinedTableError:
        return False


async def test_a_killed_primary_is_failed_over_and_rejoins_as_replica(bench: Workbench) -> None:
    database = await bench.create(instances=2)
    await database.healthy(2)
    await write_row(database, 1)
    await eventually(lambda: replicated(database, [1]))  # replication is asynchronous, as in the real default
    async with database.connection() as session, database.history() as history:
        os.kill(database.postmaster("pg-1"), signal.SIGKILL)
        await database.until(lambda status: status.get("currentPrimary") == "pg-2")
        status = await database.healthy(2)
        with pytest.raises((OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
            await session.fetchval("SELECT 1")
    assert history.phases() == [HEALTHY, "Failing over", WAITING, HEALTHY]
    assert history.values("readyInstances") == [2, 1, 2]
    assert history.values("targetPrimary") == ["pg-1", "pending", "pg-2"]
    healthy_but_one_less = history.statuses[1]
    assert (healthy_but_one_less["phase"], healthy_but_one_less["readyInstances"]) == (HEALTHY, 1)
    assert status["timelineID"] == 2
    await write_row(database, 2)
    assert await rows(database) == [1, 2]
    await eventually(lambda: replicated(database, [1, 2]))
    pods = await database.pods()
    assert {n: p["metadata"]["labels"]["cnpg.io/instanceRole"] for n, p in pods.items()} == {
        "pg-1": "replica",
        "pg-2": "primary",
    }


async def test_a_deleted_primary_pod_is_failed_over_and_made_again(bench: Workbench) -> None:
    database = await bench.create(instances=2)
    await database.healthy(2)
    await write_row(database, 1)
    before = (await database.pods())["pg-1"]["metadata"]["uid"]
    await bench.client.request("DELETE", PODS.object("pg-1", bench.namespace))
    await database.until(lambda status: status.get("currentPrimary") == "pg-2")
    await database.healthy(2)
    assert (await database.pods())["pg-1"]["metadata"]["uid"] != before
    assert await rows(database) == [1]


async def test_a_killed_single_instance_restarts_in_its_pod(bench: Workbench) -> None:
    database = await bench.create(instances=1)
    await database.healthy(1)
    await write_row(database, 1)
    os.kill(database.postmaster("pg-1"), signal.SIGKILL)
    await database.until(lambda status: status.get("readyInstances") is None)
    await database.healthy(1)
    assert (await database.pods())["pg-1"]["status"]["containerStatuses"][0]["restartCount"] == 1
    assert await rows(database) == [1]


async def test_a_killed_replica_comes_back_while_the_primary_serves(bench: Workbench) -> None:
    database = await bench.create(instances=2)
    await database.healthy(2)
    async with database.connection() as session:
        os.kill(database.postmaster("pg-2"), signal.SIGKILL)
        await database.until(lambda status: status.get("readyInstances") == 1)
        await database.healthy(2)
        assert await session.fetchval("SELECT 1") == 1


async def test_a_switchover_by_status_patch_keeps_ready_true_and_every_row(bench: Workbench) -> None:
    database = await bench.create(instances=3)
    await database.healthy(3)
    await write_row(database, 1)
    async with database.history() as history:
        wish = {"targetPrimary": "pg-3", "targetPrimaryTimestamp": "2026-01-01T00:00:00Z", "phase": SWITCHOVER}
        await database.patch({"status": wish}, status=True)
        await database.until(lambda status: status.get("currentPrimary") == "pg-3")
        status = await database.healthy(3)
    assert history.phases() == [HEALTHY, SWITCHOVER, HEALTHY]
    assert history.condition("Ready") == ["True:ClusterIsReady"]
    assert status["timelineID"] == 2
    await write_row(database, 2)
    assert await rows(database) == [1, 2]


async def test_a_switchover_to_nobody_is_abandoned(bench: Workbench) -> None:
    database = await bench.create(instances=1)
    await database.healthy(1)
    await database.patch({"status": {"targetPrimary": "pg-9", "phase": SWITCHOVER}}, status=True)
    status = await database.until(lambda status: status.get("targetPrimary") == "pg-1")
    assert status["currentPrimary"] == "pg-1"
    await database.healthy(1)


async def test_readers_on_ro_are_refused_where_there_is_no_replica(bench: Workbench) -> None:
    database = await bench.create(instances=1)
    await database.healthy(1)
    host, port = await database.address("ro")
    with pytest.raises(OSError, match=r"refused|Connect"):
        await asyncio.open_connection(host, port)
    async with database.connection("r") as any_instance:
        assert await any_instance.fetchval("SELECT 1") == 1
