"""From a change of a Cluster's status at the API server to the line of its transition at a subscriber.

No operator runs here: the statuses are the measurement's own, so that nothing else changes at the same time.
"""

import asyncio
import time
from typing import Any

from tests.bench.figures import Figure, Result, spread
from tests.bench.stack import Bench
from tests.bench.subscriber import Event, subscribed

from postern_common.kube.client import KubeClient
from postern_common.kube.paths import CLUSTERS

CHANGES = 300
WARM_UP = 20
HEALTHY = "Cluster in healthy state"
FAILING_OVER = "Failing over"
_MERGE_PATCH = "application/merge-patch+json"


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
            path = f"{_path_of(database)}/status"
            first = await client.request("GET", _path_of(database))
            await _write(client, path, healthy_status(first))
            seen, _ = await subscriber.first(lambda event: event["data"].get("to") == "ready")
            for number in range(WARM_UP + CHANGES):
                phase, state = ((FAILING_OVER, "failing_over"), (HEALTHY, "ready"))[number % 2]

                def reached(event: Event, state: str = state) -> bool:
                    return bool(event["data"].get("to") == state)

                began = time.perf_counter()
                await _write(client, path, {"phase": phase})
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


def _path_of(database: dict[str, Any]) -> str:
    name = f"{database['name']}-{database['id'].replace('-', '')[-6:]}"
    return CLUSTERS.object(name, f"postern-{database['project']}")


async def _write(client: KubeClient, path: str, status: dict[str, Any]) -> None:
    await client.request("PATCH", path, body={"status": status}, content_type=_MERGE_PATCH)


def healthy_status(cluster: dict[str, Any]) -> dict[str, Any]:
    """The status that CloudNativePG writes for a complete cluster, as far as a state is derived from it."""
    name, asked = cluster["metadata"]["name"], cluster["spec"]
    instances = [f"{name}-{number + 1}" for number in range(asked["instances"])]
    return {
        "phase": HEALTHY,
        "instances": len(instances),
        "readyInstances": len(instances),
        "instanceNames": instances,
        "instancesStatus": {"healthy": instances},
        "currentPrimary": instances[0],
        "targetPrimary": instances[0],
        "image": asked["imageName"],
    }
