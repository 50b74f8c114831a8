"""Shows why a pod cannot run, where Kubernetes would: on the pod, its claim and in Events, each only once."""

import contextlib

from postern_common.kube.errors import RejectedError
from postern_devcluster.operator.clock import now_seconds
from postern_devcluster.operator.domain.admission import Obstacle
from postern_devcluster.operator.domain.pods import ContainerState, scheduled_status, unscheduled_status
from postern_devcluster.operator.objects import JOBS, Object
from postern_devcluster.operator.scene import Scene


async def show_container(scene: Scene, pod: Object, state: ContainerState) -> Object | None:
    return await scene.show_status(pod, scheduled_status(pod, state, address=None, now=now_seconds()))


async def show_obstacle(scene: Scene, pod: Object, claim: Object | None, obstacle: Obstacle) -> None:
    """Show a cause as Kubernetes would, once: on pod, claim and in Events."""
    about_pod = {"kind": "Pod", **pod}
    if claim is not None:
        message = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
        if await _show_unscheduled(scene, pod, message):
            about_claim = {"kind": "PersistentVolumeClaim", **claim}
            await scene.event("ProvisioningFailed", obstacle.message, kind="Warning", about=about_claim)
            await scene.event("FailedScheduling", message, kind="Warning", about=about_pod)
    elif obstacle.kind == "memory":
        if await _show_unscheduled(scene, pod, obstacle.message):
            await scene.event("FailedScheduling", obstacle.message, kind="Warning", about=about_pod)
    elif obstacle.kind == "image":
        await _show_missing_image(scene, pod, obstacle.message)
    elif not _container_says(pod, "OOMKilled"):
        await show_container(scene, pod, ContainerState("running", ready=True))
        await show_container(scene, pod, ContainerState("terminated", reason="OOMKilled", exit_code=137))
        job = pod["metadata"]["labels"]["job-name"]
        await show_job(scene, job, {"failed": 1})


async def _show_unscheduled(scene: Scene, pod: Object, message: str) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    if any(each.get("message") == message for each in conditions):
        return False
    await scene.show_status(pod, unscheduled_status(message, now_seconds()))
    return True


async def _show_missing_image(scene: Scene, pod: Object, message: str) -> None:
    if _container_says(pod, "ImagePullBackOff"):
        return
    about = {"kind": "Pod", **pod}
    image = scene.spec.image
    await scene.event("Failed", f'Failed to pull image "{image}": {message}', kind="Warning", about=about)
    await scene.event("Failed", "Error: ErrImagePull", kind="Warning", about=about)
    pod = await show_container(scene, pod, ContainerState("waiting", reason="ErrImagePull", message=message)) or pod
    await scene.event("BackOff", f'Back-off pulling image "{image}"', about=about)
    await scene.event("Failed", "Error: ImagePullBackOff", kind="Warning", about=about)
    text = f'Back-off pulling image "{image}": ErrImagePull: {message}'
    await show_container(scene, pod, ContainerState("waiting", reason="ImagePullBackOff", message=text))


def _container_says(pod: Object, reason: str) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(detail.get("reason") == reason for each in statuses for detail in each.get("state", {}).values())


async def show_job(scene: Scene, name: str, status: Object) -> None:
    """Write a Job's status; a server that lets only its own controller do that may refuse."""
    with contextlib.suppress(RejectedError):
        await scene.store.patch(JOBS, name, scene.spec.namespace, {"status": status}, subresource="status")
