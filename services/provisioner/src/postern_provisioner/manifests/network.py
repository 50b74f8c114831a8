"""The NetworkPolicy of a cluster: what may reach its pods in a namespace where everything else is denied."""

from collections.abc import Mapping, Sequence
from typing import Any

from postern_common.contracts.kubernetes import LABEL_CNPG_CLUSTER, POSTGRES_PORT
from postern_provisioner.manifests.metadata import with_hash

STATUS_PORT = 8000
METRICS_PORT = 9187


def build_network_policy(
    *,
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    allowed_cidrs: Sequence[str] | None,
    operator_namespace: str,
) -> dict[str, Any]:
    """Clients on 5432 (from everywhere where ``allowed_cidrs`` is None), instances among themselves, operator, metrics.

    Egress is open: an instance needs the API server, name resolution and its backup store, whose addresses differ from
    cluster to cluster; tenants run nothing in these pods.
    """
    pods = {"matchLabels": {LABEL_CNPG_CLUSTER: name}}
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "cloudnative-pg"}},
    }
    ingress: list[dict[str, Any]] = [
        *_clients(allowed_cidrs),
        {"from": [{"podSelector": pods}], "ports": _ports(POSTGRES_PORT, STATUS_PORT)},
        {"from": [operator], "ports": _ports(POSTGRES_PORT, STATUS_PORT)},
        {"from": [{"namespaceSelector": {}}], "ports": _ports(METRICS_PORT)},
    ]
    return with_hash(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": name, "namespace": namespace, "labels": dict(labels), "annotations": dict(annotations),
            },
            "spec": {
                "podSelector": pods,
                "policyTypes": ["Ingress", "Egress"],
                "ingress": ingress,
                "egress": [{}],
            },
        }
    )  # fmt: skip


def _clients(cidrs: Sequence[str] | None) -> list[dict[str, Any]]:
    if cidrs is None:
        return [{"ports": _ports(POSTGRES_PORT)}]
    if not cidrs:
        # A rule with an empty list of peers would admit everyone: nobody means no rule.
        return []
    return [{"from": [{"ipBlock": {"cidr": cidr}} for cidr in cidrs], "ports": _ports(POSTGRES_PORT)}]


def _ports(*numbers: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": number} for number in numbers]
