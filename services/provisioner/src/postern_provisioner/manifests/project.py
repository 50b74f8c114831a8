"""Objects of a project: its namespace, and the policy that lets nothing in or out unless another policy allows it."""

from typing import Any
from uuid import UUID

from postern_provisioner.manifests.metadata import project_labels, with_hash

POD_SECURITY_LEVEL = "restricted"
DEFAULT_DENY = "postern-default-deny"


def build_namespace(*, installation: str, project: str, project_id: UUID, namespace: str) -> dict[str, Any]:
    """The namespace. Pods that need more than the Pod Security level ``restricted`` are refused in it."""
    return with_hash(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": namespace,
                "labels": {
                    **project_labels(installation=installation, project=project, project_id=project_id),
                    "pod-security.kubernetes.io/enforce": POD_SECURITY_LEVEL,
                    "pod-security.kubernetes.io/warn": POD_SECURITY_LEVEL,
                    "pod-security.kubernetes.io/audit": POD_SECURITY_LEVEL,
                },
            },
        }
    )


def build_default_deny(*, installation: str, project: str, project_id: UUID, namespace: str) -> dict[str, Any]:
    """Denies all traffic of all pods of the namespace; each cluster's own policy opens what it needs."""
    return with_hash(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": DEFAULT_DENY,
                "namespace": namespace,
                "labels": project_labels(installation=installation, project=project, project_id=project_id),
            },
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        }
    )
