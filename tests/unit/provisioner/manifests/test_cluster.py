"""The Cluster that a desired state becomes: every option, and what it must never contain."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.provisioner.commands import CLUSTER, NAMESPACE, desired, target

from postern_provisioner.domain.addresses import AddressMode
from postern_provisioner.domain.images import ImageChoice
from postern_provisioner.manifests.cluster import build_pg_hba, without_validation
from postern_provisioner.manifests.database import ManifestOptions, build_database

OPTIONS = ManifestOptions(installation="0a1b2c3d", images=ImageChoice(), address_mode=AddressMode.SERVICE_DNS)


def cluster(options: ManifestOptions = OPTIONS, *, running_image: str | None = None, **changes: Any) -> dict[str, Any]:
    built = build_database(
        target(desired=desired(**changes)), options, running_image=running_image, with_pod_monitor=False
    )
    return built.cluster


def test_the_cluster_is_what_the_plan_says() -> None:
    assert cluster()["spec"] == {
        "instances": 2,
        "imageName": "ghcr.io/cloudnative-pg/postgresql:17",
        "storage": {"size": "10Gi", "storageClass": "standard"},
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "postgresql": {"parameters": {"max_connections": "100"}},
        "bootstrap": {"initdb": {"database": "app", "owner": "app", "dataChecksums": True}},
        "affinity": {
            "enablePodAntiAffinity": True,
            "topologyKey": "kubernetes.io/hostname",
            "podAntiAffinityType": "preferred",
        },
        "enablePDB": True,
        "enableSuperuserAccess": False,
        "primaryUpdateStrategy": "unsupervised",
        "smartShutdownTimeout": 15,
        "stopDelay": 120,
    }


def test_the_cluster_carries_who_and_what_for() -> None:
    metadata = cluster()["metadata"]

    assert (metadata["name"], metadata["namespace"]) == (CLUSTER, NAMESPACE)
    assert metadata["labels"] == {
        "app.kubernetes.io/name": "postgresql",
        "app.kubernetes.io/instance": CLUSTER,
        "app.kubernetes.io/component": "database",
        "app.kubernetes.io/part-of": "postern",
        "app.kubernetes.io/managed-by": "postern",
        "postern.dev/installation": "0a1b2c3d",
        "postern.dev/project": "acme",
        "postern.dev/project-id": "0190a000-0000-7000-8000-00000000aaaa",
        "postern.dev/database": "orders",
        "postern.dev/database-id": "0190a000-0000-7000-8000-000000abc123",
    }
    annotations = metadata["annotations"]
    assert annotations["postern.dev/generation"] == "3"
    assert annotations["postern.dev/operation-id"] == "0190a000-0000-7000-8000-00000000cccc"
    assert annotations["postern.dev/goal"] == "ready"
    assert "postern.dev/traceparent" not in annotations
    assert len(annotations["postern.dev/hash"]) == 64


def test_labels_and_annotations_stay_off_the_pods() -> None:
    assert "inheritedMetadata" not in cluster()["spec"]


@pytest.mark.parametrize("key", ["status", "serviceAccountTemplate", "replicationSlots", "monitoring"])
def test_fields_that_the_operator_owns_are_never_written(key: str) -> None:
    assert key not in cluster()
    assert key not in cluster()["spec"]


def test_without_a_storage_class_the_clusters_default_is_taken() -> None:
    assert cluster(storage_class=None)["spec"]["storage"] == {"size": "10Gi"}


def test_parameters_are_written_in_a_stable_order() -> None:
    parameters = cluster(parameters={"work_mem": "4MB", "max_connections": "9"})["spec"]["postgresql"]["parameters"]

    assert list(parameters) == ["max_connections", "work_mem"]


def test_everyone_may_connect_unless_an_allow_list_says_otherwise() -> None:
    assert "pg_hba" not in cluster()["spec"]["postgresql"]


@pytest.mark.parametrize(
    ("cidrs", "lines"),
    [
        ((), ["host all all all reject"]),
        (("10.0.0.0/8",), ["hostssl all all 10.0.0.0/8 scram-sha-256", "host all all all reject"]),
        (
            ("10.0.0.0/8", "2001:db8::/32"),
            [
                "hostssl all all 10.0.0.0/8 scram-sha-256",
                "hostssl all all 2001:db8::/32 scram-sha-256",
                "host all all all reject",
            ],
        ),
    ],
)
def test_an_allow_list_rejects_everyone_else_last(cidrs: tuple[str, ...], lines: list[str]) -> None:
    assert build_pg_hba(cidrs) == lines
    assert cluster(allowed_cidrs=cidrs)["spec"]["postgresql"]["pg_hba"] == lines


@pytest.mark.parametrize(
    ("changes", "annotation", "value"),
    [
        ({"hibernated": True}, "cnpg.io/hibernation", "on"),
        ({"hibernated": False}, "cnpg.io/hibernation", "off"),
        (
            {"restarted_at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)},
            "kubectl.kubernetes.io/restartedAt",
            "2026-01-02T03:04:05.000006Z",
        ),
        (
            {"reloaded_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)},
            "cnpg.io/reloadedAt",
            "2026-01-02T03:04:05.000000Z",
        ),
    ],
)
def test_actions_are_part_of_every_apply(changes: dict[str, Any], annotation: str, value: str) -> None:
    """Left out once, the operator would take them back (semantics 5)."""
    assert cluster(**changes)["metadata"]["annotations"][annotation] == value


def test_actions_that_nobody_asked_for_are_absent() -> None:
    annotations = cluster()["metadata"]["annotations"]

    assert "kubectl.kubernetes.io/restartedAt" not in annotations
    assert "cnpg.io/reloadedAt" not in annotations


def test_a_running_image_is_kept_when_the_default_changes() -> None:
    pinned = ManifestOptions("x", ImageChoice(tags={17: "17.9"}), AddressMode.SERVICE_DNS)

    assert cluster(pinned)["spec"]["imageName"].endswith(":17.9")
    assert cluster(pinned, running_image="repo/postgresql:17.5")["spec"]["imageName"] == "repo/postgresql:17.5"


def test_another_major_takes_its_own_image() -> None:
    assert cluster(running_image="repo/postgresql:17.5", version=18)["spec"]["imageName"].endswith(":18")


def test_the_hash_is_about_what_was_asked_and_not_about_who_asked() -> None:
    first = build_database(target(generation=1), OPTIONS, running_image=None, with_pod_monitor=False).cluster
    second = build_database(target(generation=2), OPTIONS, running_image=None, with_pod_monitor=False).cluster
    third = cluster(instances=3)

    assert annotation_hash(first) == annotation_hash(second)
    assert annotation_hash(first) != annotation_hash(third)


def annotation_hash(manifest: dict[str, Any]) -> str:
    return str(manifest["metadata"]["annotations"]["postern.dev/hash"])


def test_the_way_past_the_webhook_changes_nothing_else() -> None:
    manifest = cluster()
    freed = without_validation(manifest)

    assert freed["metadata"]["annotations"].pop("cnpg.io/validation") == "disabled"
    assert freed == manifest


def test_load_balancers_are_asked_of_the_operator_only_in_that_mode() -> None:
    options = ManifestOptions("x", ImageChoice(), AddressMode.LOAD_BALANCER)
    services = cluster(options)["spec"]["managed"]["services"]["additional"]

    assert "managed" not in cluster()["spec"]
    assert [(s["selectorType"], s["serviceTemplate"]["metadata"]["name"]) for s in services] == [
        ("rw", f"{CLUSTER}-rw-lb"),
        ("ro", f"{CLUSTER}-ro-lb"),
        ("r", f"{CLUSTER}-r-lb"),
    ]
    assert all(s["serviceTemplate"]["spec"]["type"] == "LoadBalancer" for s in services)


def test_a_delete_has_no_manifests() -> None:
    with pytest.raises(ValueError, match="no manifests"):
        build_database(target(desired=None), OPTIONS, running_image=None, with_pod_monitor=False)
