"""Without PostgreSQL processes: the same objects and phases, cheap enough for a thousand clusters."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.integration.devcluster.operator.clusters import HEALTHY, DevelopmentCluster, Workbench, running
from tests.integration.devcluster.operator.conftest import make_bench

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CLUSTERS = 30


@pytest.fixture(scope="module")
def simulated() -> Iterator[DevelopmentCluster]:
    with running("--no-postgres") as cluster:
        yield cluster


@pytest.fixture
async def workbench(simulated: DevelopmentCluster) -> AsyncIterator[Workbench]:
    async for each in make_bench(simulated):
        yield each


async def test_phases_are_those_of_real_servers(workbench: Workbench) -> None:
    database = await workbench.create(instances=2)
    await database.healthy(2)
    async with database.history() as history:
        await database.annotate(restarted="2026-01-01T00:00:00Z")
        await database.until(lambda status: status.get("phase") != HEALTHY or len(history.statuses) > 3)
        await database.healthy(2)
    assert history.phases() == [
        HEALTHY,
        "Upgrading cluster",
        "Waiting for the instances to become active",
        "Primary instance is being restarted without a switchover",
        HEALTHY,
    ]


async def test_many_clusters_cost_no_cpu_when_nothing_happens(workbench: Workbench) -> None:
    databases = [await workbench.create(f"pg-{number}", instances=2) for number in range(CLUSTERS)]
    await asyncio.gather(*(database.healthy(2) for database in databases))
    pid = workbench.development.pid
    await asyncio.sleep(0.3)  # what the last status write set off has ended
    before = await asyncio.to_thread(cpu_seconds, pid)
    await asyncio.sleep(1.0)  # the span over which idleness is measured
    assert await asyncio.to_thread(cpu_seconds, pid) - before < 0.1
    assert workbench.development.servers() == []


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100
