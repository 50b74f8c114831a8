"""Clusters without an operator: the measurements write the statuses that CloudNativePG would write.

Separate because two measurements need it: one changes a status again and again, one completes a thousand databases
without paying for a thousand simulated operators' work.
"""

import asyncio
from typing import Any

from postern_common.contracts.kubernetes import LABEL_INSTALLATION
from postern_common.kube.client import KubeClient, list_items
from postern_common.kube.paths import CLUSTERS

HEALTHY = "Cluster in healthy state"
_MERGE_PATCH = "application/merge-patch+json"
_AT_ONCE = 8


def path_of(database: dict[str, Any]) -> str:
    """Path of the Cluster of a database, as the REST API shows the database."""
    name = f"{database['name']}-{database['id'].replace('-', '')[-6:]}"
    return CLUSTERS.object(name, f"postern-{database['project']}")


async def write_status(client: KubeClient, path: str, status: dict[str, Any]) -> None:
    """Merge ``status`` into that of the Cluster at ``path``."""
    await client.request("PATCH", f"{path}/status", body={"status": status}, content_type=_MERGE_PATCH)


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


async def complete_all(kubeconfig: str) -> None:
    """Make every Cluster healthy that is not."""
    client = await KubeClient.connect(kubeconfig)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def complete(cluster: dict[str, Any]) -> None:
        async with gate:
            metadata = cluster["metadata"]
            await write_status(
                client, CLUSTERS.object(metadata["name"], metadata["namespace"]), healthy_status(cluster)
            )

    try:
        async with asyncio.TaskGroup() as group:
            async for cluster in list_items(client, CLUSTERS.collection(), label_selector=LABEL_INSTALLATION):
                if (cluster.get("status") or {}).get("phase") != HEALTHY:
                    group.create_task(complete(cluster))
    finally:
        await client.close()
