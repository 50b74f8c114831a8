"""All objects of one database, from its target: the composition of the single builders."""

from dataclasses import dataclass
from typing import Any

from postern_provisioner.domain.addresses import AddressMode
from postern_provisioner.domain.images import ImageChoice
from postern_provisioner.domain.target import Target
from postern_provisioner.manifests.cluster import build_cluster
from postern_provisioner.manifests.metadata import database_labels, operation_annotations
from postern_provisioner.manifests.monitoring import build_pod_monitor
from postern_provisioner.manifests.network import build_network_policy
from postern_provisioner.manifests.project import build_default_deny, build_namespace


@dataclass(frozen=True, slots=True)
class ManifestOptions:
    """What an installation decides for all its databases."""

    installation: str
    images: ImageChoice
    address_mode: AddressMode
    operator_namespace: str = "cnpg-system"


@dataclass(frozen=True, slots=True)
class DatabaseManifests:
    """The objects of one database. ``pod_monitor`` is None where its kind is not served."""

    cluster: dict[str, Any]
    network_policy: dict[str, Any]
    pod_monitor: dict[str, Any] | None
    image: str

    def all(self) -> list[dict[str, Any]]:
        """Every object, the Cluster first."""
        return [m for m in (self.cluster, self.network_policy, self.pod_monitor) if m is not None]


def build_project(target: Target, options: ManifestOptions) -> list[dict[str, Any]]:
    """Namespace and default-deny policy of the target's project; the namespace first."""
    identity = target.identity
    return [
        build(
            installation=options.installation,
            project=identity.project,
            project_id=identity.project_id,
            namespace=identity.namespace,
        )
        for build in (build_namespace, build_default_deny)
    ]


def build_annotations(target: Target) -> dict[str, str]:
    """The annotations that tie the objects to the target's newest generation."""
    return operation_annotations(
        generation=target.generation,
        operation_id=target.operation_id,
        goal=target.goal,
        traceparent=target.traceparent,
    )


def build_database(
    target: Target, options: ManifestOptions, *, running_image: str | None, with_pod_monitor: bool
) -> DatabaseManifests:
    """The objects of the target. ``running_image`` is what the Cluster has now, None where there is none.

    Raises ``ValueError`` for a target without desired state (a delete).
    """
    if target.desired is None:
        raise ValueError("a target without desired state has no manifests")
    identity = target.identity
    common: dict[str, Any] = {
        "name": identity.cluster_name,
        "namespace": identity.namespace,
        "annotations": build_annotations(target),
    }
    image = options.images.choose(target.desired.version, target.image, running_image)
    return DatabaseManifests(
        cluster=build_cluster(
            **common, labels=_labels(target, options, "database"), desired=target.desired, image=image,
            address_mode=options.address_mode,
        ),
        network_policy=build_network_policy(
            **common, labels=_labels(target, options, "network"), allowed_cidrs=target.desired.allowed_cidrs,
            operator_namespace=options.operator_namespace,
        ),
        pod_monitor=build_pod_monitor(**common, labels=_labels(target, options, "monitoring"))
        if with_pod_monitor
        else None,
        image=image,
    )  # fmt: skip


def _labels(target: Target, options: ManifestOptions, component: str) -> dict[str, str]:
    identity = target.identity
    return database_labels(
        installation=options.installation,
        project=identity.project,
        project_id=identity.project_id,
        database=identity.name,
        database_id=identity.database_id,
        cluster=identity.cluster_name,
        component=component,
    )
