"""The operator stops, is killed, or sleeps through a deletion: no row is lost and no process is left."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from tests.integration.devcluster.operator.clusters import (
    Database,
    DevelopmentCluster,
    Workbench,
    alive,
    container_states,
    eventually,
    newest_major,
    running,
)
from tests.integration.devcluster.operator.conftest import make_bench

from postern_common.kube.paths import PODS
from postern_devcluster.operator.postgres.account import state_hash
from postern_devcluster.operator.postgres.binaries import find_installations

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
async def own() -> AsyncIterator[DevelopmentCluster]:
    """A development cluster that the test may stop."""
    with running() as cluster:
        yield cluster


@pytest.fixture
async def workbench(own: DevelopmentCluster) -> AsyncIterator[Workbench]:
    async for each in make_bench(own):
        yield each


def data_directory(cluster: DevelopmentCluster) -> Path:
    return (cluster.state_dir / "postgres").resolve()


@pytest.fixture
def closed_directory(tmp_path: Path) -> Path:
    """A directory that only its owner may enter, like a home of root's."""
    tmp_path.chmod(0o700)
    return tmp_path


async def answers(database: Database) -> bool:
    """Whether the Service connects: its proxy is made anew by the next operator."""
    try:
        async with database.connection() as connection:
            return bool(await connection.fetchval("SELECT 1") == 1)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False


async def test_down_and_up_brings_every_row_back_and_fails_nothing_over(
    own: DevelopmentCluster, workbench: Workbench
) -> None:
    database = await workbench.create(instances=2)
    await database.healthy(2)
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    address = await database.address()
    await asyncio.to_thread(own.stop)
    assert own.servers() == []
    await asyncio.to_thread(own.start)
    await eventually(lambda: len(own.servers()) == 2)
    status = await database.healthy(2)
    assert (status["currentPrimary"], status["timelineID"]) == ("pg-1", 1)
    assert await database.address() == address
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT n FROM t") == 7


async def test_a_killed_operator_leaves_servers_that_the_next_one_takes_over(
    own: DevelopmentCluster, workbench: Workbench
) -> None:
    database = await workbench.create(instances=2)
    await database.healthy(2)
    before = sorted(own.servers())
    await asyncio.to_thread(own.stop, signal.SIGKILL)
    assert sorted(own.servers()) == before
    await asyncio.to_thread(own.start)
    await eventually(lambda: answers(database), every=0.2)
    assert sorted(own.servers()) == before
    os.kill(database.postmaster("pg-1"), signal.SIGKILL)
    await database.until(lambda status: status.get("currentPrimary") == "pg-2")
    await database.healthy(2)


async def test_a_cluster_deleted_while_no_operator_runs_is_swept_away(
    own: DevelopmentCluster, workbench: Workbench
) -> None:
    database = await workbench.create(instances=1)
    await database.healthy(1)
    uid = (await database.read())["metadata"]["uid"]
    data = own.state_dir / "postgres/clusters" / uid
    (pid,) = own.servers()
    await asyncio.to_thread(own.stop, signal.SIGKILL)
    own.arguments = ("--no-operator",)
    await asyncio.to_thread(own.start)
    await database.delete()
    await asyncio.to_thread(own.stop)
    assert alive(pid)
    own.arguments = ()
    await asyncio.to_thread(own.start)
    await eventually(lambda: not alive(pid) and not data.exists())

    async def no_pods() -> bool:
        return await workbench.items(PODS) == {}

    await eventually(no_pods)


async def test_a_version_whose_programs_went_away_is_an_image_that_cannot_be_pulled(
    own: DevelopmentCluster, workbench: Workbench
) -> None:
    database = await workbench.create(instances=1)
    await database.healthy(1)
    await asyncio.to_thread(own.stop)
    programs = own.state_dir / str(newest_major() + 1) / "bin"
    programs.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (programs / name).symlink_to(find_installations().program(newest_major(), name))
    own.arguments = ("--postgres-bin", str(programs))
    await asyncio.to_thread(own.start)

    async def pull_fails() -> bool:
        return "ImagePullBackOff" in str(container_states(await database.pods()))

    await eventually(pull_fails)
    await asyncio.to_thread(own.stop)
    own.arguments = ()
    await asyncio.to_thread(own.start)
    await database.healthy(1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account to step down to")
async def test_root_keeps_data_outside_of_a_directory_that_postgres_cannot_enter(closed_directory: Path) -> None:
    outside = Path("/var/lib/postern") / state_hash(closed_directory / "state")
    try:
        with running(state_dir=closed_directory / "state") as cluster:
            async for bench in make_bench(cluster):
                database = await bench.create(instances=1)
                await database.healthy(1)
                assert data_directory(cluster) == outside
                log = await bench.client.read(f"{PODS.object('pg-1', bench.namespace)}/log")
                assert b"ready to accept connections" in log
    finally:
        shutil.rmtree(outside, ignore_errors=True)
