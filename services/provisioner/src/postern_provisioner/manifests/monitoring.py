"""The PodMonitor of a cluster, for Prometheus; the Cluster's own ``monitoring.enablePodMonitor`` is deprecated."""

from collections.abc import Mapping
from typing import Any

from postern_common.contracts.kubernetes import LABEL_CNPG_CLUSTER
from postern_provisioner.manifests.metadata import with_hash


def build_pod_monitor(
    *, name: str, namespace: str, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> dict[str, Any]:
    """Scrapes the port ``metrics`` of every instance. Only for clusters that serve its API group."""
    return with_hash(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": {
                "name": name, "namespace": namespace, "labels": dict(labels), "annotations": dict(annotations),
            },
            "spec": {
                "selector": {"matchLabels": {LABEL_CNPG_CLUSTER: name}},
                "podMetricsEndpoints": [{"port": "metrics"}],
            },
        }
    )  # fmt: skip
