"""The CloudNativePG Cluster (postgresql.cnpg.io/v1, 1.30): only fields that we decide, none that the operator owns."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from postern_common.contracts.commands import DesiredState
from postern_common.contracts.kubernetes import (
    ANNOTATION_HIBERNATION,
    ANNOTATION_RELOADED_AT,
    ANNOTATION_RESTARTED_AT,
    ANNOTATION_VALIDATION,
    CNPG_API_VERSION,
    DATABASE_NAME,
)
from postern_provisioner.domain.addresses import SUFFIXES, AddressMode, Role, service_name
from postern_provisioner.manifests.metadata import with_hash

SMART_SHUTDOWN_SECONDS = 15
"""The default of 180 s leaves a primary unready for three minutes when a connection pool holds on to it."""
STOP_SECONDS = 120
"""Until then a fast shutdown must be over; the default of 30 minutes outlasts every operation's deadline."""


def build_cluster(
    *,
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    desired: DesiredState,
    image: str,
    address_mode: AddressMode,
) -> dict[str, Any]:
    """The Cluster of a database.

    Labels and annotations are not inherited by its pods: a changed pod template would restart them.
    """
    return with_hash(
        {
            "apiVersion": CNPG_API_VERSION,
            "kind": "Cluster",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": dict(labels),
                "annotations": {**annotations, **_action_annotations(desired)},
            },
            "spec": _spec(name, desired, image, address_mode),
        }
    )


def _spec(name: str, desired: DesiredState, image: str, address_mode: AddressMode) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "instances": desired.instances,
        "imageName": image,
        "storage": _storage(desired),
        "resources": {
            "requests": {"cpu": desired.cpu, "memory": desired.memory},
            # No limit of cpu: throttling a database is worse than sharing what is idle.
            "limits": {"memory": desired.memory},
        },
        "postgresql": _postgresql(desired),
        "bootstrap": {"initdb": {"database": DATABASE_NAME, "owner": DATABASE_NAME, "dataChecksums": True}},
        "affinity": {
            "enablePodAntiAffinity": True,
            "topologyKey": "kubernetes.io/hostname",
            "podAntiAffinityType": "preferred",
        },
        "enablePDB": True,
        "enableSuperuserAccess": False,
        "primaryUpdateStrategy": "unsupervised",
        "smartShutdownTimeout": SMART_SHUTDOWN_SECONDS,
        "stopDelay": STOP_SECONDS,
    }
    if address_mode is AddressMode.LOAD_BALANCER:
        spec["managed"] = {"services": {"additional": _load_balancers(name)}}
    return spec


def without_validation(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The same Cluster without the operator's webhook in its way: the way out of a refused resize (semantics 18)."""
    metadata = manifest["metadata"]
    annotations = {**metadata["annotations"], ANNOTATION_VALIDATION: "disabled"}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def with_size(manifest: Mapping[str, Any], size: str) -> dict[str, Any]:
    """The same Cluster with volumes of another size; its hash goes on telling what was asked."""
    spec = manifest["spec"]
    return {**manifest, "spec": {**spec, "storage": {**spec["storage"], "size": size}}}


def _storage(desired: DesiredState) -> dict[str, Any]:
    storage: dict[str, Any] = {"size": desired.storage}
    if desired.storage_class is not None:
        storage["storageClass"] = desired.storage_class
    return storage


def _postgresql(desired: DesiredState) -> dict[str, Any]:
    section: dict[str, Any] = {"parameters": dict(sorted(desired.parameters.items()))}
    if desired.allowed_cidrs is not None:
        section["pg_hba"] = build_pg_hba(desired.allowed_cidrs)
    return section


def build_pg_hba(cidrs: Sequence[str]) -> list[str]:
    """Lines for an allow-list. The last one is needed: the operator appends a line that admits everyone."""
    return [*(f"hostssl all all {cidr} scram-sha-256" for cidr in cidrs), "host all all all reject"]


def _action_annotations(desired: DesiredState) -> dict[str, str]:
    """Actions are desired state: left out of the next apply, the operator would see them taken back (semantics 5)."""
    annotations = {ANNOTATION_HIBERNATION: "on" if desired.hibernated else "off"}
    if desired.restarted_at is not None:
        annotations[ANNOTATION_RESTARTED_AT] = _timestamp(desired.restarted_at)
    if desired.reloaded_at is not None:
        annotations[ANNOTATION_RELOADED_AT] = _timestamp(desired.reloaded_at)
    return annotations


def _timestamp(moment: datetime) -> str:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _load_balancers(cluster: str) -> list[dict[str, Any]]:
    return [
        {
            "selectorType": SUFFIXES[role],
            "updateStrategy": "patch",
            "serviceTemplate": {
                "metadata": {"name": service_name(cluster, role, AddressMode.LOAD_BALANCER)},
                "spec": {"type": "LoadBalancer"},
            },
        }
        for role in Role
    ]
