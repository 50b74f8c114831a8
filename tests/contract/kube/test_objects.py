"""What Postern relies on when it reads and writes objects; the fake and a real API server must both hold it."""

from typing import Any

import pytest
from tests.contract.kube.conftest import NAMESPACE

from postern_common.kube.apply import delete_object, merge_patch, server_side_apply
from postern_common.kube.client import KubeApi, list_items
from postern_common.kube.errors import ConflictError, KindMissingError, NotFoundError, RejectedError
from postern_common.kube.paths import (
    ACCESS_REVIEWS,
    CLUSTERS,
    NAMESPACES,
    NETWORK_POLICIES,
    POD_MONITORS,
    STORAGE_CLASSES,
)


def network_policy(name: str = "allow", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "spec": {
            "podSelector": {"matchLabels": {"app": "a"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"protocol": "TCP", "port": 5432}]}],
        },
    }


def cluster(name: str = "orders-abc123", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "spec": {"instances": 1, "storage": {"size": "1Gi"}, "imageName": "ghcr.io/cloudnative-pg/postgresql:17"},
    }


def path(kube_object: dict[str, Any]) -> str:
    return NETWORK_POLICIES.object(kube_object["metadata"]["name"], NAMESPACE)


async def test_an_apply_creates_and_answers_with_the_stored_object(kube: KubeApi) -> None:
    stored = await server_side_apply(kube, network_policy())

    assert stored["metadata"]["uid"]
    assert stored["metadata"]["resourceVersion"]
    assert await kube.request("GET", path(stored)) == stored


async def test_an_unchanged_apply_writes_nothing(kube: KubeApi) -> None:
    first = await server_side_apply(kube, network_policy())
    second = await server_side_apply(kube, network_policy())

    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_field_left_out_of_the_next_apply_goes_away(kube: KubeApi) -> None:
    await server_side_apply(kube, network_policy(annotations={"a": "1", "b": "2"}))
    stored = await server_side_apply(kube, network_policy(annotations={"a": "1"}))

    assert stored["metadata"]["annotations"] == {"a": "1"}


async def test_fields_of_others_survive_an_apply(kube: KubeApi) -> None:
    stored = await server_side_apply(kube, network_policy(annotations={"a": "1"}))
    await merge_patch(kube, path(stored), {"metadata": {"annotations": {"theirs": "x"}}})
    again = await server_side_apply(kube, network_policy(annotations={"a": "2"}))

    assert again["metadata"]["annotations"] == {"a": "2", "theirs": "x"}


async def test_a_forced_apply_wins_back_an_owned_field(kube: KubeApi) -> None:
    stored = await server_side_apply(kube, network_policy(annotations={"a": "1"}))
    await server_side_apply(kube, network_policy(annotations={"a": "2"}), field_manager="somebody-else")
    with pytest.raises(ConflictError):
        await server_side_apply(kube, network_policy(annotations={"a": "1"}), force=False)

    assert (await server_side_apply(kube, network_policy(annotations={"a": "1"})))["metadata"]["annotations"] == {
        "a": "1"
    }
    assert (await kube.request("GET", path(stored)))["metadata"]["annotations"] == {"a": "1"}


async def test_an_apply_over_a_stale_version_is_a_conflict(kube: KubeApi) -> None:
    seen = await server_side_apply(kube, network_policy(annotations={"a": "1"}))
    await server_side_apply(kube, network_policy(annotations={"a": "2"}))

    with pytest.raises(ConflictError):
        await server_side_apply(
            kube, network_policy(annotations={"a": "3"}, resourceVersion=seen["metadata"]["resourceVersion"])
        )


async def test_an_unknown_field_is_refused_for_good(kube: KubeApi) -> None:
    with pytest.raises(RejectedError) as refusal:
        await server_side_apply(kube, {**network_policy(), "sepc": {}})
    assert refusal.value.code == "manifest_rejected"


async def test_an_object_in_a_missing_namespace_is_not_found(kube: KubeApi) -> None:
    with pytest.raises(NotFoundError):
        await server_side_apply(kube, network_policy(namespace="nowhere"))


async def test_a_spec_change_raises_the_generation_and_an_annotation_does_not(kube: KubeApi) -> None:
    first = await server_side_apply(kube, cluster())
    annotated = await server_side_apply(kube, cluster(annotations={"a": "1"}))
    grown = cluster(annotations={"a": "1"})
    grown["spec"]["instances"] = 2
    changed = await server_side_apply(kube, grown)

    assert first["metadata"]["generation"] == annotated["metadata"]["generation"] == 1
    assert changed["metadata"]["generation"] == 2


async def test_a_status_patch_changes_the_status_alone(kube: KubeApi) -> None:
    stored = await server_side_apply(kube, cluster())
    patched = await merge_patch(
        kube,
        CLUSTERS.object("orders-abc123", NAMESPACE, subresource="status"),
        {
            "metadata": {
                "resourceVersion": stored["metadata"]["resourceVersion"],
                "annotations": {"postern.dev/generation": "9"},
            },
            "status": {"targetPrimary": "orders-abc123-2"},
        },
    )

    assert patched["status"]["targetPrimary"] == "orders-abc123-2"
    assert "annotations" not in patched["metadata"]
    assert patched["metadata"]["generation"] == stored["metadata"]["generation"]


async def test_a_status_patch_over_a_stale_version_is_a_conflict(kube: KubeApi) -> None:
    stored = await server_side_apply(kube, cluster())
    await server_side_apply(kube, cluster(annotations={"a": "1"}))

    with pytest.raises(ConflictError):
        await merge_patch(
            kube,
            CLUSTERS.object("orders-abc123", NAMESPACE, subresource="status"),
            {
                "metadata": {"resourceVersion": stored["metadata"]["resourceVersion"]},
                "status": {"targetPrimary": "orders-abc123-2"},
            },
        )


async def test_a_delete_hits_only_the_object_that_was_read(kube: KubeApi) -> None:
    stored = await server_side_apply(kube, network_policy())
    uid, version = stored["metadata"]["uid"], stored["metadata"]["resourceVersion"]
    with pytest.raises(ConflictError):
        await delete_object(kube, path(stored), uid="another")
    await server_side_apply(kube, network_policy(annotations={"a": "1"}))
    with pytest.raises(ConflictError):
        await delete_object(kube, path(stored), uid=uid, resource_version=version)

    assert await delete_object(kube, path(stored), uid=uid)
    assert not await delete_object(kube, path(stored), uid=uid)


async def test_an_object_with_a_finalizer_stays_until_it_is_released(kube: KubeApi) -> None:
    stored = await server_side_apply(kube, network_policy(finalizers=["example.org/hold"]))
    await delete_object(kube, path(stored), uid=stored["metadata"]["uid"])
    held = await kube.request("GET", path(stored))
    assert held["metadata"]["deletionTimestamp"]

    await merge_patch(kube, path(stored), {"metadata": {"finalizers": None}})
    with pytest.raises(NotFoundError):
        await kube.request("GET", path(stored))


async def test_lists_give_what_the_selector_asks_for(kube: KubeApi) -> None:
    for name, team in (("a", "red"), ("b", "blue"), ("c", "red")):
        await server_side_apply(kube, network_policy(name, labels={"team": team, "all": "yes"}))

    async def names(selector: str) -> list[str]:
        found = list_items(kube, NETWORK_POLICIES.collection(NAMESPACE), label_selector=selector)
        return sorted([item["metadata"]["name"] async for item in found])

    assert await names("team=red") == ["a", "c"]
    assert await names("team=red,all=yes") == ["a", "c"]
    assert await names("team=green") == []


async def test_a_list_of_pages_gives_every_object_once(kube: KubeApi) -> None:
    for number in range(5):
        await server_side_apply(kube, network_policy(f"p{number}", labels={"paged": "yes"}))
    query = {"labelSelector": "paged=yes", "limit": "2"}
    names: list[str] = []
    while True:
        page = await kube.request("GET", NETWORK_POLICIES.collection(NAMESPACE), query=query)
        names += [item["metadata"]["name"] for item in page["items"]]
        if not page["metadata"].get("continue"):
            break
        query = {**query, "continue": page["metadata"]["continue"]}

    assert sorted(names) == [f"p{number}" for number in range(5)]


async def test_a_kind_that_is_not_installed_is_told_from_a_missing_object(kube: KubeApi) -> None:
    with pytest.raises(KindMissingError) as missing:
        await kube.request("GET", POD_MONITORS.object("a", NAMESPACE))
    assert missing.value.code == "crd_missing"
    with pytest.raises(KindMissingError):
        await kube.request("GET", "/apis/monitoring.coreos.com/v1")
    with pytest.raises(NotFoundError):
        await kube.request("GET", CLUSTERS.object("none", NAMESPACE))
    with pytest.raises(NotFoundError):
        await kube.request("GET", STORAGE_CLASSES.object("none"))


async def test_discovery_names_the_served_kinds(kube: KubeApi) -> None:
    found = await kube.request("GET", "/apis/postgresql.cnpg.io/v1")

    assert "clusters" in {kind["name"] for kind in found["resources"]}


async def test_a_review_of_rights_says_what_we_may(kube: KubeApi) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "patch", "group": "postgresql.cnpg.io", "resource": "clusters"}},
    }
    answer = await kube.request("POST", ACCESS_REVIEWS.collection(), body=review)

    assert answer["status"]["allowed"] is True


async def test_a_namespace_is_applied_like_everything_else(kube: KubeApi) -> None:
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "postern-x", "labels": {"a": "b"}}}
    await server_side_apply(kube, manifest)

    assert (await kube.request("GET", NAMESPACES.object("postern-x")))["metadata"]["labels"]["a"] == "b"


async def test_a_watch_tells_changes_after_the_list(kube: KubeApi) -> None:
    listed = await kube.request("GET", NETWORK_POLICIES.collection(NAMESPACE))
    stored = await server_side_apply(kube, network_policy())
    await delete_object(kube, path(stored), uid=stored["metadata"]["uid"])
    query = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"], "timeoutSeconds": "2"}
    seen: list[bytes] = []
    async with kube.stream(NETWORK_POLICIES.collection(NAMESPACE), query=query, read_timeout=5) as lines:
        async for line in lines:
            seen.append(line)
            if len(seen) == 2:
                break

    assert [b'"ADDED"' in line or b'"DELETED"' in line for line in seen] == [True, True]
    assert b'"DELETED"' in seen[1]
