"""What is, compared with what was asked: the only proof of readiness (CloudNativePG has no observedGeneration).

Pods and volumes are compared where they are in sight; where none is (a cluster without visible pods), the operator's
counts are believed. A terminating pod still counts: while it goes, the change that removed it is not done.
"""

from enum import Enum, auto

from postern_watcher.domain.facts import ClusterFacts, PodFacts, VolumeFacts, instance_pods
from postern_watcher.domain.quantities import less_quantity, same_quantity


class Mismatch(Enum):
    """One way in which the cluster is not what was asked."""

    INSTANCES = auto()
    PRIMARY = auto()
    STORAGE = auto()
    RESOURCES = auto()
    IMAGE = auto()
    RESTART = auto()
    HIBERNATION = auto()


def compare(cluster: ClusterFacts, volumes: tuple[VolumeFacts, ...], pods: tuple[PodFacts, ...]) -> frozenset[Mismatch]:
    """Every way in which the cluster differs from its own spec and annotations."""
    instances = instance_pods(pods)
    differs = {
        Mismatch.INSTANCES: _instances_differ(cluster, instances),
        Mismatch.PRIMARY: not cluster.current_primary or cluster.current_primary != cluster.target_primary,
        Mismatch.STORAGE: cluster.resizing or bool(small_volumes(cluster, volumes)),
        Mismatch.RESOURCES: any(_resources_differ(cluster, pod) for pod in instances),
        Mismatch.IMAGE: _image_differs(cluster, instances),
        Mismatch.RESTART: restart_pending(cluster, pods),
        Mismatch.HIBERNATION: cluster.hibernated is not None,
    }
    return frozenset(mismatch for mismatch, found in differs.items() if found)


def restart_pending(cluster: ClusterFacts, pods: tuple[PodFacts, ...]) -> bool:
    """Whether an instance in sight does not carry the restart that was asked (semantics 8)."""
    asked = cluster.restarted_at
    return bool(asked) and any(pod.restarted_at != asked for pod in instance_pods(pods))


def small_volumes(cluster: ClusterFacts, volumes: tuple[VolumeFacts, ...]) -> list[VolumeFacts]:
    """PGDATA volumes whose capacity is below what was asked."""
    asked = cluster.storage
    if asked is None:
        return []
    return [
        volume
        for volume in volumes
        if volume.data and not volume.deleting and volume.capacity and less_quantity(volume.capacity, asked)
    ]


def unrequested_volumes(cluster: ClusterFacts, volumes: tuple[VolumeFacts, ...]) -> list[VolumeFacts]:
    """Small volumes for which the operator has not even asked for more: the sign of a refused expansion."""
    asked = cluster.storage or "0"
    return [
        volume
        for volume in small_volumes(cluster, volumes)
        if volume.requested and less_quantity(volume.requested, asked)
    ]


def has_ready_primary(cluster: ClusterFacts, pods: tuple[PodFacts, ...]) -> bool:
    """Whether the primary serves, by the operator's status and by its pod where that is in sight."""
    primary = cluster.current_primary
    if not primary or cluster.ready_instances < 1:
        return False
    if cluster.healthy and primary not in cluster.healthy:
        return False
    return all(pod.ready for pod in pods if pod.name == primary)


def _instances_differ(cluster: ClusterFacts, instances: list[PodFacts]) -> bool:
    asked = cluster.instances
    if cluster.status_instances != asked or cluster.ready_instances != asked:
        return True
    return bool(instances) and len(instances) != asked


def _resources_differ(cluster: ClusterFacts, pod: PodFacts) -> bool:
    # Every cluster of ours asks for resources, so a pod that shows none does not show them, rather than lack them.
    return bool(pod.resources) and any(
        not same_quantity(amount, pod.resources.get(resource, "")) for resource, amount in cluster.resources.items()
    )


def _image_differs(cluster: ClusterFacts, instances: list[PodFacts]) -> bool:
    asked = cluster.image or cluster.status_image
    if asked is None:
        return False
    if cluster.status_image is not None and cluster.status_image != asked:
        return True
    return any(pod.image is not None and pod.image != asked for pod in instances)
