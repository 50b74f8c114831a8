"""Creates that cannot work: the phase stays "Setting up primary", the cause is on pod, claim and Events as recorded."""

from typing import Any

import pytest
from tests.integration.devcluster.operator.clusters import (
    Database,
    Object,
    Workbench,
    container_states,
    eventually,
    newest_major,
)

from postern_common.kube.paths import EVENTS, PERSISTENT_VOLUME_CLAIMS, PODS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


async def initdb_pod(bench: Workbench, database: Database, condition: Any) -> Object:
    """Wait for the pod of the initdb Job to show something; the Cluster itself shows nothing."""
    found: Object = {}

    async def shown() -> bool:
        nonlocal found
        pods = [pod for name, pod in (await bench.items(PODS)).items() if "-initdb-" in name]
        found = pods[0] if pods else {}
        return bool(pods) and condition(found)

    await eventually(shown)
    status = (await database.read())["status"]
    assert status["phase"] == "Setting up primary"
    assert "readyInstances" not in status
    return found


async def reasons(bench: Workbench) -> set[str]:
    return {event["reason"] for event in (await bench.items(EVENTS)).values() if event["type"] == "Warning"}


def unschedulable(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "PodScheduled" and c.get("reason") == "Unschedulable" for c in conditions)


async def test_an_image_that_does_not_exist_backs_off(bench: Workbench) -> None:
    database = await bench.create(imageName=f"ghcr.io/cloudnative-pg/postgresql:{newest_major()}.9-nope")

    def backs_off(pod: Object) -> bool:
        return any(s.get("waiting", {}).get("reason") == "ImagePullBackOff" for s in container_states({"": pod}))

    await initdb_pod(bench, database, backs_off)
    assert "Failed" in await reasons(bench)
    assert (await database.claims())["pg-1"]["status"]["phase"] == "Bound"


async def test_a_version_that_is_not_installed_is_an_image_that_does_not_exist(bench: Workbench) -> None:
    database = await bench.create(imageName="ghcr.io/cloudnative-pg/postgresql:99.1-system-trixie")
    await initdb_pod(bench, database, lambda pod: "ImagePullBackOff" in str(pod.get("status")))


async def test_a_missing_storage_class_leaves_the_claim_pending_and_heals_when_the_cluster_goes(
    bench: Workbench,
) -> None:
    database = await bench.create(storage={"size": "1Gi", "storageClass": "nope"})
    await initdb_pod(bench, database, unschedulable)
    claim = (await database.claims())["pg-1"]
    assert claim["spec"]["storageClassName"] == "nope"
    assert claim.get("status", {}).get("phase", "Pending") == "Pending"
    assert {"ProvisioningFailed", "FailedScheduling"} <= await reasons(bench)
    await database.delete()

    async def nothing_left() -> bool:
        return not await bench.items(PODS) and not await bench.items(PERSISTENT_VOLUME_CLAIMS)

    await eventually(nothing_left)


async def test_more_memory_than_the_node_has_is_unschedulable(bench: Workbench) -> None:
    database = await bench.create(resources={"requests": {"memory": "900Gi"}, "limits": {"memory": "900Gi"}})
    pod = await initdb_pod(bench, database, unschedulable)
    assert "Insufficient memory" in str(pod["status"]["conditions"])


async def test_too_little_memory_for_initdb_is_killed(bench: Workbench) -> None:
    database = await bench.create(resources={"requests": {"memory": "20Mi"}, "limits": {"memory": "20Mi"}})
    pod = await initdb_pod(bench, database, lambda pod: "OOMKilled" in str(pod.get("status")))
    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
