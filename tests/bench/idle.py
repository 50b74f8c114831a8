"""What the four services use of one core while nothing happens, with no database and with many."""

import asyncio

from tests.bench.clusters import complete_all
from tests.bench.figures import Figure, Result
from tests.bench.stack import Bench

DATABASES = 1000
SECONDS = 30.0
CALM_SECONDS = 5.0
_AT_ONCE = 16
_SETTLE_SECONDS = 90


async def idle_empty(bench: Bench) -> Result:
    """Percent of one core with no database."""
    used = await _used(bench)
    return Result("idle-0", (Figure("idle CPU of the services, no database", used["total"], "%", aim=2),), used)


async def idle_many(bench: Bench) -> Result:
    """Percent of one core with ``DATABASES`` databases, those of earlier measurements included."""
    databases = await bench.project("many")
    gate = asyncio.Semaphore(_AT_ONCE)

    async def create(number: int) -> None:
        async with gate:
            await bench.create(databases, f"n{number}")

    async with asyncio.TaskGroup() as group:
        for number in range(DATABASES - bench.databases):
            group.create_task(create(number))
    await bench.left("requested", within=_SETTLE_SECONDS)
    await complete_all(bench.env["KUBECONFIG"])
    await bench.left("requested", "provisioning", within=_SETTLE_SECONDS)
    used = await _used(bench)
    title = f"idle CPU of the services, {bench.databases:,} databases"
    return Result("idle-many", (Figure(title, used["total"], "%", aim=2),), {**used, "databases": bench.databases})


async def _used(bench: Bench) -> dict[str, float]:
    await asyncio.sleep(CALM_SECONDS)
    loop = asyncio.get_running_loop()
    before, began = bench.cpu_seconds(), loop.time()
    await asyncio.sleep(SECONDS)
    after, ended = bench.cpu_seconds(), loop.time()
    percent = {service: round((after[service] - before[service]) / (ended - began) * 100, 2) for service in before}
    return {**percent, "total": round(sum(percent.values()), 2)}
