"""From a change of a Cluster's status at the API server to the line of its transition at a subscriber.

No operator runs here: the statuses are the measurement's own, so that nothing else changes at the same time.
"""

import asyncio
import time

from tests.bench.clusters import HEALTHY, healthy_status, path_of, write_status
from tests.bench.figures import Figure, Result, spread
from tests.bench.stack import Bench
from tests.bench.subscriber import Event, subscribed

from postern_common.kube.client import KubeClient

CHANGES = 300
WARM_UP = 20
FAILING_OVER = "Failing over"


async def status_to_line(bench: Bench) -> Result:
    """Milliseconds from sending the status to the line of ``database.state_changed``."""
    databases = await bench.project("changes")
    client = await KubeClient.connect(bench.env["KUBECONFIG"])
    taken: list[float] = []
    written: list[float] = []
    try:
        async with subscribed(bench, "changes") as subscriber:
            database = await bench.create(databases, "watched", instances=2)
            await subscriber.first(lambda event: event["type"] == "dev.postern.database.applied.v1")
            path = path_of(database)
            first = await client.request("GET", path)
            await write_status(client, path, healthy_status(first))
            seen, _ = await subscriber.first(lambda event: event["data"].get("to") == "ready")
            for number in range(WARM_UP + CHANGES):
                phase, state = ((FAILING_OVER, "failing_over"), (HEALTHY, "ready"))[number % 2]

                def reached(event: Event, state: str = state) -> bool:
                    return bool(event["data"].get("to") == state)

                began = time.perf_counter()
                await write_status(client, path, {"phase": phase})
                answered = time.perf_counter()
                seen, at = await subscriber.first(reached, start=seen + 1)
                if number >= WARM_UP:
                    taken.append((at - began) * 1000)
                    written.append((answered - began) * 1000)
                await asyncio.sleep(0.02)
    finally:
        await client.close()
    lines = spread(taken)
    return Result(
        "changes",
        (
            Figure("status change → line at a subscriber, p50", lines["p50_ms"], "ms", aim=15),
            Figure("status change → line at a subscriber, p99", lines["p99_ms"], "ms"),
        ),
        {"line": lines, "api_server_answered": spread(written)},
    )
