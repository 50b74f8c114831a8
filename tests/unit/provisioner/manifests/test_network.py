"""Who may reach a cluster, and what a project's namespace refuses."""

from typing import Any

import pytest
from tests.unit.provisioner.commands import CLUSTER, NAMESPACE, desired, target
from tests.unit.provisioner.manifests.test_cluster import OPTIONS

from postern_provisioner.manifests.database import build_database, build_project


def policy(cidrs: tuple[str, ...] | None) -> dict[str, Any]:
    wanted = target(desired=desired(allowed_cidrs=cidrs))
    built = build_database(wanted, OPTIONS, running_image=None, with_pod_monitor=False)
    spec: dict[str, Any] = built.network_policy["spec"]
    return spec


def client_rules(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Rules that are for neither instances, operator nor metrics."""
    return [
        rule
        for rule in spec["ingress"]
        if not any("podSelector" in peer or "namespaceSelector" in peer for peer in rule.get("from", []))
    ]


@pytest.mark.parametrize(
    ("cidrs", "rules"),
    [
        (None, [{"ports": [{"protocol": "TCP", "port": 5432}]}]),
        ((), []),
        (
            ("10.0.0.0/8", "192.168.0.0/16"),
            [
                {
                    "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "192.168.0.0/16"}}],
                    "ports": [{"protocol": "TCP", "port": 5432}],
                }
            ],
        ),
    ],
)
def test_clients_come_from_the_allowed_networks(cidrs: tuple[str, ...] | None, rules: list[dict[str, Any]]) -> None:
    assert client_rules(policy(cidrs)) == rules


def test_operator_and_instances_reach_status_and_database_and_anybody_the_metrics() -> None:
    spec = policy(())
    instances, operator, metrics = spec["ingress"]

    assert spec["podSelector"] == {"matchLabels": {"cnpg.io/cluster": CLUSTER}}
    assert instances["from"] == [{"podSelector": {"matchLabels": {"cnpg.io/cluster": CLUSTER}}}]
    assert operator["from"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "cnpg-system"}
    assert [port["port"] for port in operator["ports"]] == [5432, 8000]
    assert [port["port"] for port in metrics["ports"]] == [9187]


def test_a_project_denies_everything_by_default_and_restricts_its_pods() -> None:
    namespace, default_deny = build_project(target(), OPTIONS)

    assert namespace["metadata"]["name"] == NAMESPACE
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace["metadata"]["labels"]["postern.dev/project"] == "acme"
    assert default_deny["metadata"]["namespace"] == NAMESPACE
    assert default_deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_a_projects_objects_are_no_databases() -> None:
    """A delete finds objects by the database's label: it must never find these."""
    for manifest in build_project(target(), OPTIONS):
        assert "postern.dev/database-id" not in manifest["metadata"]["labels"]


def test_a_pod_monitor_scrapes_the_clusters_pods_where_it_can_be_written() -> None:
    built = build_database(target(), OPTIONS, running_image=None, with_pod_monitor=True)

    assert built.pod_monitor is not None
    assert built.pod_monitor["spec"] == {
        "selector": {"matchLabels": {"cnpg.io/cluster": CLUSTER}},
        "podMetricsEndpoints": [{"port": "metrics"}],
    }
    assert [m["kind"] for m in built.all()] == ["Cluster", "NetworkPolicy", "PodMonitor"]
