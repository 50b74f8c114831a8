"""Creates that cannot work: the phase stays "Setting up primary", the cause is on pod, claim and Events as recorded."""

import json
import time
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

from postern_common.contracts.reasons import Reason
from postern_common.kube.paths import EVENTS, PERSISTENT_VOLUME_CLAIMS, PODS
from postern_devcluster.operator.postgres.binaries import find_installations
from postern_watcher.domain.causes import Cause, Symptoms, find_cause
from postern_watcher.storage.wire import decode_pod, decode_volume, decode_warning

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
    assert (await database.claims())["pg-1"]["status"]["phase"] == "Bound"


NOT_INSTALLED = next(major for major in range(14, 99) if major not in find_installations().majors)
MEMORY = "requests", "limits"
CAUSES: dict[Reason, Object] = {
    Reason.IMAGE_PULL_FAILED: {"imageName": f"ghcr.io/cloudnative-pg/postgresql:{NOT_INSTALLED}.1-system-trixie"},
    Reason.STORAGE_CLASS_MISSING: {"storage": {"size": "1Gi", "storageClass": "nope"}},
    Reason.UNSCHEDULABLE: {"resources": {kind: {"memory": "900Gi"} for kind in MEMORY}},
    Reason.OUT_OF_MEMORY: {"resources": {kind: {"memory": "20Mi"} for kind in MEMORY}},
}


async def seen_by_the_watcher(bench: Workbench) -> Cause | None:
    """The cause that the watcher's own rules find in what the API shows; as if its patience had passed."""
    raw = {
        resource: [json.dumps(item).encode() for item in (await bench.items(resource)).values()]
        for resource in (PODS, PERSISTENT_VOLUME_CLAIMS, EVENTS)
    }
    warnings = [json.loads(item)["type"] == "Warning" and decode_warning(item).facts for item in raw[EVENTS]]
    symptoms = Symptoms(
        pods=tuple(decode_pod(item).facts for item in raw[PODS]),  # type: ignore[misc]  # of pods only
        volumes=tuple(decode_volume(item).facts for item in raw[PERSISTENT_VOLUME_CLAIMS]),  # type: ignore[misc]
        warnings=tuple(each for each in warnings if each),
        now=time.time() + 30,
    )
    return find_cause(symptoms)


@pytest.mark.parametrize("reason", CAUSES)
async def test_the_watcher_finds_the_cause_within_seconds(bench: Workbench, reason: Reason) -> None:
    await bench.create(**CAUSES[reason])

    async def found() -> bool:
        cause = await seen_by_the_watcher(bench)
        return cause is not None and cause.reason is reason

    await eventually(found)


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
