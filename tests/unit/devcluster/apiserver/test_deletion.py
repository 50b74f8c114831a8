"""DELETE and what follows from it: preconditions, finalizers, grace, dependents, namespaces."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from postern_devcluster.apiserver.collector import Collector
from postern_devcluster.apiserver.deletion import parse_delete_options
from postern_devcluster.apiserver.kinds import CLUSTERS, NAMESPACES, PODS, SECRETS
from postern_devcluster.apiserver.status import ApiError

SPEC = {"instances": 2, "storage": {"size": "1Gi"}}


@pytest.fixture
async def collecting(cluster: Any) -> AsyncIterator[Any]:
    collector = Collector(cluster.store, cluster.deleter)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(collector.run())
        await asyncio.sleep(0)
        yield cluster
        running.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Let the collector work until something holds."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")


def owned_by(owner: dict[str, Any], **more: Any) -> dict[str, Any]:
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], **more}
    return {"ownerReferences": [{**reference, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]}


def test_delete_answers_with_what_is_gone(cluster: Any) -> None:
    made = cluster.create(CLUSTERS, "orders", spec=SPEC)
    answer = cluster.delete(CLUSTERS, "orders")
    assert (answer["kind"], answer["status"], answer["details"]["uid"]) == (
        "Status",
        "Success",
        made["metadata"]["uid"],
    )
    with pytest.raises(ApiError) as missing:
        cluster.delete(CLUSTERS, "orders")
    assert (missing.value.code, missing.value.reason) == (404, "NotFound")


def test_preconditions_protect_the_wrong_incarnation(cluster: Any) -> None:
    made = cluster.create(CLUSTERS, "orders", spec=SPEC)
    for wrong in ({"uid": "other"}, {"resource_version": "1"}):
        with pytest.raises(ApiError) as refused:
            cluster.delete(CLUSTERS, "orders", **wrong)
        assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    metadata = made["metadata"]
    cluster.delete(CLUSTERS, "orders", uid=metadata["uid"], resource_version=metadata["resourceVersion"])
    assert cluster.get(CLUSTERS, "orders") is None


def test_a_finalizer_holds_an_object_until_it_is_taken_off(cluster: Any) -> None:
    cluster.create(CLUSTERS, "orders", spec=SPEC, metadata={"finalizers": ["example.com/hold"]})
    cluster.delete(CLUSTERS, "orders")
    held = cluster.get(CLUSTERS, "orders")
    assert held["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    assert held["metadata"]["generation"] == 2
    cluster.merge(CLUSTERS, "orders", {"metadata": {"finalizers": None}})
    assert cluster.get(CLUSTERS, "orders") is None


def test_a_running_pod_gets_its_grace_and_goes_when_it_stopped(cluster: Any) -> None:
    cluster.create(PODS, "p", spec={"containers": [{"name": "c"}], "nodeName": "n"})
    cluster.delete(PODS, "p")
    marked = cluster.get(PODS, "p")["metadata"]
    assert (marked["deletionTimestamp"], marked["deletionGracePeriodSeconds"]) == ("2026-01-01T00:00:30Z", 30)
    cluster.merge(PODS, "p", {"status": {"phase": "Running"}}, subresource="status")
    assert cluster.get(PODS, "p") is not None
    cluster.delete(PODS, "p", grace_seconds=0)
    assert cluster.get(PODS, "p") is None


def test_a_pod_that_runs_nowhere_goes_at_once(cluster: Any) -> None:
    cluster.create(PODS, "p", spec={"containers": [{"name": "c"}]})
    cluster.delete(PODS, "p")
    assert cluster.get(PODS, "p") is None


def test_dry_run_deletes_nothing(cluster: Any) -> None:
    cluster.create(SECRETS, "s")
    cluster.delete(SECRETS, "s", dry_run=True)
    assert cluster.get(SECRETS, "s") is not None


def test_options_come_from_body_or_query() -> None:
    body = {"kind": "DeleteOptions", "preconditions": {"uid": "u", "resourceVersion": "7"}, "gracePeriodSeconds": 0}
    options = parse_delete_options(body, {})
    assert (options.uid, options.resource_version, options.grace_seconds) == ("u", "7", 0)
    assert parse_delete_options(None, {"propagationPolicy": "Orphan"}).propagation == "Orphan"
    with pytest.raises(ApiError):
        parse_delete_options({"propagationPolicy": "Sideways"}, {})


async def test_dependents_follow_their_last_owner(collecting: Any) -> None:
    first = collecting.create(CLUSTERS, "one", spec=SPEC)
    second = collecting.create(CLUSTERS, "two", spec=SPEC)
    collecting.create(SECRETS, "mine", metadata=owned_by(first))
    both = owned_by(first)["ownerReferences"] + owned_by(second)["ownerReferences"]
    collecting.create(SECRETS, "shared", metadata={"ownerReferences": both})
    collecting.delete(CLUSTERS, "one")
    await until(lambda: collecting.get(SECRETS, "mine") is None)
    await until(lambda: len(collecting.get(SECRETS, "shared")["metadata"]["ownerReferences"]) == 1)
    collecting.delete(CLUSTERS, "two")
    await until(lambda: collecting.get(SECRETS, "shared") is None)


async def test_an_object_of_an_owner_that_never_was_is_collected(collecting: Any) -> None:
    ghost = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ghost", "uid": "no-such-uid"}}
    collecting.create(SECRETS, "s", metadata=owned_by(ghost))
    await until(lambda: collecting.get(SECRETS, "s") is None)


async def test_foreground_deletion_waits_for_dependents(collecting: Any) -> None:
    owner = collecting.create(CLUSTERS, "orders", spec=SPEC)
    metadata = {**owned_by(owner, blockOwnerDeletion=True), "finalizers": ["example.com/hold"]}
    collecting.create(SECRETS, "s", metadata=metadata)
    collecting.delete(CLUSTERS, "orders", propagation="Foreground")
    await until(lambda: "deletionTimestamp" in collecting.get(SECRETS, "s")["metadata"])
    assert collecting.get(CLUSTERS, "orders") is not None
    collecting.merge(SECRETS, "s", {"metadata": {"finalizers": None}})
    await until(lambda: collecting.get(CLUSTERS, "orders") is None)


async def test_orphans_stay(collecting: Any) -> None:
    owner = collecting.create(CLUSTERS, "orders", spec=SPEC)
    collecting.create(SECRETS, "s", metadata=owned_by(owner))
    collecting.delete(CLUSTERS, "orders", propagation="Orphan")
    await until(lambda: collecting.get(CLUSTERS, "orders") is None)
    assert "ownerReferences" not in collecting.get(SECRETS, "s")["metadata"]


async def test_a_namespace_goes_when_its_content_is_gone(collecting: Any) -> None:
    collecting.create(SECRETS, "s", metadata={"finalizers": ["example.com/hold"]})
    collecting.create(SECRETS, "t")
    answer = collecting.delete(NAMESPACES, "acme")
    assert answer["status"]["phase"] == "Terminating"
    await until(lambda: collecting.get(SECRETS, "t") is None)
    assert collecting.get(NAMESPACES, "acme") is not None
    collecting.merge(SECRETS, "s", {"metadata": {"finalizers": None}})
    await until(lambda: collecting.get(NAMESPACES, "acme") is None)
