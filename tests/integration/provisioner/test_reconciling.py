"""From a command to objects and events: the reconcile loop on a real database."""

from typing import Any

import pytest
from tests.integration.provisioner.conftest import Provisioner, eventually
from tests.unit.provisioner.commands import apply_command, delete_command, switchover_command

from postern_common.contracts.identifiers import cluster_name, new_id
from postern_common.kube.errors import UnavailableError
from postern_common.kube.paths import CLUSTERS, NAMESPACES, NETWORK_POLICIES, POD_MONITORS
from postern_common.testing.kube import status_error

pytestmark = pytest.mark.integration

NAMESPACE = "postern-acme"


async def cluster_of(provisioner: Provisioner, database_id: Any) -> dict[str, Any]:
    found: dict[str, Any] = await provisioner.kube.request(
        "GET", CLUSTERS.object(cluster_name("orders", database_id), NAMESPACE)
    )
    return found


async def test_a_command_becomes_all_objects_and_the_events_that_say_so(provisioner: Provisioner) -> None:
    database_id = new_id()
    event = apply_command(database_id)
    await provisioner.handle(event)
    (applied,) = await provisioner.wait_for_events("database.applied")

    assert [e.generation for e in await provisioner.events("database.received")] == [1]
    assert (applied.generation, applied.operation_id) == (1, event.operationid)
    assert [o.kind for o in applied.objects] == ["Cluster", "NetworkPolicy"]
    cluster = await cluster_of(provisioner, database_id)
    assert cluster["metadata"]["annotations"]["postern.dev/generation"] == "1"
    assert cluster["metadata"]["annotations"]["postern.dev/operation-id"] == str(event.operationid)
    assert cluster["metadata"]["annotations"]["postern.dev/traceparent"].split("-")[1] in str(event.traceparent)
    assert cluster["metadata"]["labels"]["postern.dev/installation"] == "0a1b2c3d"
    namespace = await provisioner.kube.request("GET", NAMESPACES.object(NAMESPACE))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    await provisioner.kube.request("GET", NETWORK_POLICIES.object("postern-default-deny", NAMESPACE))
    row = await provisioner.row(database_id)
    assert (row.applied_generation, row.existed, row.next_attempt_at) == (1, True, None)


async def test_a_pod_monitor_is_written_where_its_kind_is_served(provisioner: Provisioner) -> None:
    provisioner.kube.install(POD_MONITORS)
    await provisioner.handle(apply_command(new_id()))
    (applied,) = await provisioner.wait_for_events("database.applied")

    assert [o.kind for o in applied.objects] == ["Cluster", "NetworkPolicy", "PodMonitor"]


async def test_a_redelivered_command_changes_nothing_and_is_answered_again(provisioner: Provisioner) -> None:
    event = apply_command(new_id())
    await provisioner.handle(event)
    await provisioner.wait_for_events("database.applied")
    writes = [r for r in provisioner.kube.requests if r.method == "PATCH"]
    await provisioner.handle(event)

    assert len(await provisioner.events("database.received")) == 2
    assert len(await provisioner.events("database.applied")) == 1
    assert [r for r in provisioner.kube.requests if r.method == "PATCH"] == writes


async def test_a_command_of_an_older_generation_does_not_turn_the_database_back(provisioner: Provisioner) -> None:
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 2, instances=3))
    await provisioner.wait_for_events("database.applied")
    await provisioner.handle(apply_command(database_id, 1, instances=1))

    assert (await cluster_of(provisioner, database_id))["spec"]["instances"] == 3
    assert (await provisioner.row(database_id)).generation == 2
    assert [e.generation for e in await provisioner.events("database.applied")] == [2]


async def test_a_newer_command_wins_over_one_that_cannot_be_applied(provisioner: Provisioner) -> None:
    database_id = new_id()
    provisioner.kube.validators["Cluster"] = refuse_instances(9)
    await provisioner.handle(apply_command(database_id, 1, instances=9))
    (failed,) = await provisioner.wait_for_events("database.apply_failed")
    await provisioner.handle(apply_command(database_id, 2, instances=2))
    (applied,) = await provisioner.wait_for_events("database.applied")

    assert (failed.code, failed.retryable) == ("admission_denied", False)
    assert failed.detail == "Kubernetes refused the change: too many instances"
    assert "instances" in failed.detail
    assert applied.generation == 2


def refuse_instances(number: int) -> Any:
    def refuse(body: Any) -> None:
        if body["spec"]["instances"] == number:
            message = 'admission webhook "vcluster.cnpg.io" denied the request: too many instances'
            raise status_error(403, "Forbidden", message)

    return refuse


async def test_an_outage_is_told_once_and_waited_for(provisioner: Provisioner) -> None:
    down = [UnavailableError("kubernetes_unavailable", "Kubernetes cannot be reached")]
    provisioner.kube.faults.append(lambda _method, _path: down[0] if down else None)
    database_id = new_id()
    await provisioner.handle(apply_command(database_id))

    async def failed_three_times() -> bool:
        return bool((await provisioner.row(database_id)).failures >= 3)

    await eventually(failed_three_times)
    (failed,) = await provisioner.events("database.apply_failed")
    assert (failed.code, failed.retryable) == ("kubernetes_unavailable", True)
    assert (await provisioner.row(database_id)).attempts == 0

    down.clear()
    await provisioner.wait_for_events("database.applied")
    assert (await provisioner.row(database_id)).failures == 0


async def test_a_missing_definition_is_waited_for(provisioner: Provisioner) -> None:
    provisioner.kube.uninstall(CLUSTERS)
    await provisioner.handle(apply_command(new_id()))
    (failed,) = await provisioner.wait_for_events("database.apply_failed")
    assert (failed.code, failed.retryable) == ("crd_missing", True)

    provisioner.kube.install(CLUSTERS)
    await provisioner.wait_for_events("database.applied")


async def test_a_conflict_is_planned_again_at_once(provisioner: Provisioner) -> None:
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 1))
    await provisioner.wait_for_events("database.applied")
    provisioner.kube.fail_once(status_error(409, "Conflict", "modified", name="x"), method="PATCH", path="/clusters/")
    await provisioner.handle(apply_command(database_id, 2, instances=3))
    await provisioner.wait_for_events("database.applied", 2)

    assert (await cluster_of(provisioner, database_id))["spec"]["instances"] == 3
    assert await provisioner.events("database.apply_failed") == []


async def test_a_name_that_somebody_else_has_is_refused(provisioner: Provisioner) -> None:
    database_id = new_id()
    name = cluster_name("orders", database_id)
    provisioner.kube.seed(
        {
            "apiVersion": "postgresql.cnpg.io/v1",
            "kind": "Cluster",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"instances": 1},
        }
    )
    await provisioner.handle(apply_command(database_id))
    (failed,) = await provisioner.wait_for_events("database.apply_failed")

    assert (failed.code, failed.retryable) == ("name_conflict", False)
    assert (await cluster_of(provisioner, database_id))["spec"] == {"instances": 1}


async def test_a_cluster_with_a_newer_generation_is_not_turned_back(provisioner: Provisioner) -> None:
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 1))
    await provisioner.wait_for_events("database.applied")
    cluster = await cluster_of(provisioner, database_id)
    cluster["metadata"]["annotations"]["postern.dev/generation"] = "7"
    provisioner.kube.seed(cluster)
    await provisioner.handle(apply_command(database_id, 2, instances=5))
    (failed,) = await provisioner.wait_for_events("database.apply_failed")

    assert failed.code == "apply_conflict"
    assert (await cluster_of(provisioner, database_id))["spec"]["instances"] == 2


async def applied_generation_is(provisioner: Provisioner, database_id: Any, generation: int) -> bool:
    return bool((await provisioner.row(database_id)).applied_generation == generation)


async def test_the_image_of_a_running_cluster_outlives_a_changed_default(
    provisioner: Provisioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 1))
    await provisioner.wait_for_events("database.applied")
    monkeypatch.setattr("postern_provisioner.domain.images.ImageChoice.default", lambda _self, major: f"new:{major}")
    await provisioner.handle(apply_command(database_id, 2, instances=3))
    await provisioner.wait_for_events("database.applied", 2)

    assert (await cluster_of(provisioner, database_id))["spec"]["imageName"] == "ghcr.io/cloudnative-pg/postgresql:17"


async def test_a_switchover_asks_for_a_healthy_replica_after_the_annotations(provisioner: Provisioner) -> None:
    database_id = await running(provisioner)
    name = cluster_name("orders", database_id)
    await provisioner.handle(switchover_command(database_id, 2, expected_primary=f"{name}-1"))
    await provisioner.wait_for_events("database.applied", 2)

    cluster = await cluster_of(provisioner, database_id)
    assert cluster["status"]["targetPrimary"] == f"{name}-2"
    assert cluster["status"]["phase"] == "Switchover in progress"
    assert cluster["metadata"]["annotations"]["postern.dev/generation"] == "2"
    assert (await provisioner.row(database_id)).pending_switchover is None


async def test_a_switchover_that_has_happened_is_reported_done(provisioner: Provisioner) -> None:
    database_id = await running(provisioner)
    name = cluster_name("orders", database_id)
    await provisioner.handle(switchover_command(database_id, 2, expected_primary=f"{name}-2"))
    await provisioner.wait_for_events("database.applied", 2)

    assert (await cluster_of(provisioner, database_id))["status"]["targetPrimary"] == f"{name}-1"


async def test_a_switchover_waits_for_a_replica_and_a_newer_command_clears_it(provisioner: Provisioner) -> None:
    database_id = await running(provisioner, healthy=1)
    name = cluster_name("orders", database_id)
    await provisioner.handle(switchover_command(database_id, 2, expected_primary=f"{name}-1"))
    (failed,) = await provisioner.wait_for_events("database.apply_failed")
    assert (failed.code, failed.retryable) == ("instances_missing", True)
    await provisioner.handle(apply_command(database_id, 3))
    applied = await provisioner.wait_for_events("database.applied", 2)

    assert [e.generation for e in applied] == [1, 3]
    assert (await cluster_of(provisioner, database_id))["status"]["targetPrimary"] == f"{name}-1"


async def running(provisioner: Provisioner, *, healthy: int = 2) -> Any:
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 1))
    await provisioner.wait_for_events("database.applied")
    name = cluster_name("orders", database_id)
    cluster = await cluster_of(provisioner, database_id)
    cluster["status"] = {
        "currentPrimary": f"{name}-1",
        "targetPrimary": f"{name}-1",
        "instancesStatus": {"healthy": [f"{name}-{n + 1}" for n in range(healthy)]},
    }
    provisioner.kube.seed(cluster)
    return database_id


async def test_a_delete_tells_why_and_removes_every_object(provisioner: Provisioner) -> None:
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 1))
    await provisioner.wait_for_events("database.applied")
    event = delete_command(database_id, 2)
    provisioner.kube.requests.clear()
    await provisioner.handle(event)
    (removed,) = await provisioner.wait_for_events("database.removed")

    assert (removed.existed, removed.generation) == (True, 2)
    assert sorted(o.kind for o in removed.objects) == ["Cluster", "NetworkPolicy"]
    writes = [r for r in provisioner.kube.requests if r.method in ("PATCH", "DELETE") and "/clusters/" in r.path]
    assert [w.method for w in writes] == ["PATCH", "DELETE"]
    assert writes[0].body["metadata"]["annotations"]["postern.dev/operation-id"] == str(event.operationid)
    assert writes[0].body["metadata"]["annotations"]["postern.dev/goal"] == "deleted"
    assert set(writes[1].body["preconditions"]) == {"uid", "resourceVersion"}
    await provisioner.kube.request("GET", NAMESPACES.object(NAMESPACE))
    row = await provisioner.row(database_id)
    assert row.tombstone
    assert row.removed_at is not None


async def test_a_delete_of_what_never_was_says_so(provisioner: Provisioner) -> None:
    await provisioner.handle(delete_command(new_id(), 1))
    (removed,) = await provisioner.wait_for_events("database.removed")

    assert removed.existed is False


async def test_a_delete_waits_for_a_foreign_finalizer(provisioner: Provisioner) -> None:
    database_id = await running(provisioner)
    cluster = await cluster_of(provisioner, database_id)
    cluster["metadata"]["finalizers"] = ["example.org/hold"]
    provisioner.kube.seed(cluster)
    await provisioner.handle(delete_command(database_id, 2))

    async def waited() -> bool:
        return bool((await provisioner.row(database_id)).failures >= 2)

    await eventually(waited)
    assert await provisioner.events("database.removed") == []
    held = await cluster_of(provisioner, database_id)
    held["metadata"]["finalizers"] = []
    provisioner.kube.seed(held)
    (removed,) = await provisioner.wait_for_events("database.removed")
    assert removed.existed


async def test_a_command_after_the_delete_brings_nothing_back(provisioner: Provisioner) -> None:
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 1))
    await provisioner.handle(delete_command(database_id, 2))
    await provisioner.wait_for_events("database.removed")
    await provisioner.handle(apply_command(database_id, 3))

    assert (await provisioner.row(database_id)).generation == 2


async def test_a_namespace_that_vanished_is_made_again(provisioner: Provisioner) -> None:
    await provisioner.handle(apply_command(new_id()))
    await provisioner.wait_for_events("database.applied")
    namespace = await provisioner.kube.request("GET", NAMESPACES.object(NAMESPACE))
    await provisioner.kube.request(
        "DELETE", NAMESPACES.object(NAMESPACE), body={"preconditions": {"uid": namespace["metadata"]["uid"]}}
    )
    await provisioner.handle(apply_command(new_id()))
    await provisioner.wait_for_events("database.applied", 2)
