"""The short steps: hibernation, size, volumes, deleted pods, and saying that all is well."""

from typing import Any

from postern_common.contracts.kubernetes import CONDITION_HIBERNATION
from postern_common.kube.paths import PERSISTENT_VOLUME_CLAIMS, PODS
from postern_devcluster.operator.clock import now_seconds
from postern_devcluster.operator.domain import phases
from postern_devcluster.operator.objects import JOBS
from postern_devcluster.operator.scene import Scene
from postern_devcluster.operator.steps.creation import bind_claim
from postern_devcluster.operator.steps.starting import sync_standbys


async def release_pod(scene: Scene, name: str) -> None:
    """End the process of a pod that somebody deleted."""
    await scene.runtime.stop(name)
    await scene.store.delete(PODS, name, scene.spec.namespace)


async def wait_to_hibernate(scene: Scene) -> None:
    """Say that hibernation waits for a healthy cluster."""
    await scene.update(lambda status: _hibernation(status, "WaitingForHealthy"))


async def hibernate_instance(scene: Scene, name: str) -> None:
    """Stop one instance; the phase stays healthy, only the condition tells."""
    await scene.update(lambda status: _hibernation(status, "DeletingPods"))
    await scene.runtime.stop(name)
    await scene.drop_pod(name)
    await scene.count()
    message = f"Waiting for {name} to be deleted"
    await scene.update(lambda status: _hibernation(status, "WaitingPodsDeletion", message))


async def mark_hibernated(scene: Scene) -> None:
    """Say that hibernation is complete."""
    await scene.count()
    await scene.update(lambda status: _hibernation(status, "Hibernated"))


async def leave_hibernation(scene: Scene) -> None:
    """Drop the condition; the missing pods are made next."""
    await scene.update(lambda status: phases.drop_condition(status, CONDITION_HIBERNATION))


async def remove_instance(scene: Scene, name: str) -> None:
    """Take an instance away with its data."""
    await scene.event("ScaleDown", f"Scaling down - removing instance: {name}")
    scene.claims.pop(name, None)
    scene.pods.pop(name, None)
    await scene.count()
    await scene.phase(phases.WAITING, phases.WAITING_REASON)
    await scene.runtime.remove(name)
    await scene.drop_pod(name)
    await scene.store.delete(PERSISTENT_VOLUME_CLAIMS, name, scene.spec.namespace)
    await sync_standbys(scene)


async def grow_claims(scene: Scene, names: tuple[str, ...]) -> None:
    """Ask for the new size on every claim and give it: a directory grows at once."""
    size = scene.spec.storage_size
    for name in names:
        change = {"spec": {"resources": {"requests": {"storage": size}}}}
        written = await scene.store.patch(PERSISTENT_VOLUME_CLAIMS, name, scene.spec.namespace, change)
        if written is not None:
            scene.claims[name] = written
            await bind_claim(scene, name)


async def mark_healthy(scene: Scene) -> None:
    """Remove finished jobs and say that the cluster is as asked."""
    for pod in scene.jobs:
        await scene.store.delete(PODS, pod, scene.spec.namespace)
        await scene.store.delete(JOBS, pod.rsplit("-", 1)[0], scene.spec.namespace)
    scene.jobs.clear()
    await scene.count()
    await scene.phase(phases.HEALTHY)


async def refuse_upgrade(scene: Scene) -> None:
    """Say that the major version stays what it is; the database goes on with it, and the old image heals."""
    await scene.count()
    reason = "the development cluster does not upgrade data to another major version: the old one goes on"
    await scene.phase(phases.MAJOR_UPGRADE, reason)


async def mark_unrecoverable(scene: Scene) -> None:
    """Say that no instance has data any more."""
    await scene.count()
    await scene.phase(phases.UNRECOVERABLE, "no instance has data on this machine any more")


def _hibernation(status: dict[str, Any], reason: str, message: str | None = None) -> None:
    phases.set_condition(
        status, CONDITION_HIBERNATION, reason, holds=reason == "Hibernated", now=now_seconds(), message=message
    )
