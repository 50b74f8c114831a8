"""Makes instances: claim, job and its pod, data, then the instance itself; or shows why its pod cannot run."""

import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from postern_common.kube.paths import PERSISTENT_VOLUME_CLAIMS, PODS
from postern_devcluster.operator.clock import now_micros, now_seconds
from postern_devcluster.operator.domain import phases
from postern_devcluster.operator.domain.admission import Obstacle
from postern_devcluster.operator.domain.manifests import bound, build_claim
from postern_devcluster.operator.domain.names import service_names
from postern_devcluster.operator.domain.pods import (
    ContainerState,
    build_job,
    build_job_pod,
    scheduled_status,
    unscheduled_status,
)
from postern_devcluster.operator.domain.spec import ClusterSpec
from postern_devcluster.operator.objects import JOBS, Object
from postern_devcluster.operator.scene import Scene
from postern_devcluster.operator.steps.starting import start_instance
from postern_devcluster.operator.surroundings import Surroundings


class Creation:
    """Creates instances of clusters. ``app_password`` looks up the current password of an application role."""

    def __init__(self, surroundings: Surroundings, app_password: Callable[[ClusterSpec], Awaitable[str]]) -> None:
        self._surroundings = surroundings
        self._app_password = app_password

    async def create_primary(self, scene: Scene, name: str) -> bool:
        """Make the first instance; False when its pod cannot run (looked at again later)."""
        spec = scene.spec
        if name not in scene.claims:
            await scene.update(lambda status: _begin(status, spec))
            await self._make_claim(scene, name)
            await scene.event("CreatingInstance", "Primary instance (initdb)")
            await scene.target(name)
            await scene.phase(phases.SETTING_UP, f"Creating primary instance {name}")
        if not await self._run_job(scene, name, "initdb", lambda: scene.runtime.initialise(name)):
            return False
        if not await self._start_primary(scene, name):
            return False
        await scene.count()
        return True

    async def create_replica(self, scene: Scene, name: str) -> bool:
        """Make a further instance; False when its pod cannot run (looked at again later)."""
        primary = scene.primary or ""
        if name not in scene.claims:
            await scene.event("CreatingInstance", f"Creating instance {name}")
            await scene.phase(phases.CREATING_REPLICA, f"Creating replica {name}-join")
            await self._make_claim(scene, name)
        if not await self._run_job(scene, name, "join", lambda: scene.runtime.clone(name, primary)):
            return False
        return await start_instance(scene, name)

    async def _start_primary(self, scene: Scene, name: str) -> bool:
        """The first start: roles and database are made before anybody is told that the instance is ready."""
        spec = scene.spec
        await scene.make_pod(name)
        await scene.show(name, ContainerState("waiting", reason="PodInitializing"))
        await scene.count()
        await scene.phase(phases.WAITING, phases.WAITING_REASON)
        await scene.runtime.start(name, name)
        password = await self._app_password(spec)
        await scene.runtime.prepare(name, database=spec.database, owner=spec.owner, password=password)
        await scene.update(lambda status: _become_primary(status, name))
        await scene.show_running(name, ready=False)
        await scene.label_roles()
        await scene.show_running(name, ready=True)
        return True

    async def _make_claim(self, scene: Scene, name: str) -> None:
        found = await self._surroundings.storage_class(scene.spec.storage_class)
        class_name = scene.spec.storage_class if found is None else found["metadata"]["name"]
        manifest = build_claim(scene.spec, name, class_name)
        scene.claims[name] = await scene.store.ensure(PERSISTENT_VOLUME_CLAIMS, manifest)

    async def _run_job(self, scene: Scene, name: str, role: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Run the Job that fills a claim; what it did already is not done again."""
        spec, store = scene.spec, scene.store
        job = await store.ensure(JOBS, build_job(spec, name, role))
        suffix = base64.b32encode(hashlib.sha256(f"{spec.identity.uid}{name}".encode()).digest()).decode()[:5].lower()
        pod = await store.ensure(PODS, build_job_pod(spec, name, role, suffix))
        await scene.update(_mark_initialized)
        await scene.count()
        obstacle = await self._surroundings.obstacle(spec)
        if obstacle is not None and obstacle.kind == "storage":
            await _show_obstacle(scene, pod, scene.claims[name], obstacle)
            return False
        if obstacle is not None and obstacle.kind == "memory":
            await _show_obstacle(scene, pod, None, obstacle)
            return False
        await bind_claim(scene, name)
        if obstacle is not None:
            await _show_obstacle(scene, pod, None, obstacle)
            return False
        pod = await _show_job(scene, pod, ContainerState("running", ready=True)) or pod
        await work()
        await _show_job(scene, pod, ContainerState("terminated", reason="Completed"))
        done = {"succeeded": 1, "ready": 0, "completionTime": now_seconds(), "startTime": now_seconds()}
        await store.patch(JOBS, job["metadata"]["name"], spec.namespace, {"status": done}, subresource="status")
        await scene.finish_claim(name)
        await scene.count()
        return True


async def bind_claim(scene: Scene, name: str) -> None:
    """Give a claim the volume it asks for, grown when it has a smaller one."""
    claim = scene.claims[name]
    status = bound(claim)
    if claim.get("status") != status:
        written = await scene.store.patch(
            PERSISTENT_VOLUME_CLAIMS, name, scene.spec.namespace, {"status": status}, subresource="status"
        )
        if written is not None:
            scene.claims[name] = written


async def _show_job(scene: Scene, pod: Object, state: ContainerState) -> Object | None:
    return await scene.show_status(pod, scheduled_status(pod, state, address=None, now=now_seconds()))


async def _show_obstacle(scene: Scene, pod: Object, claim: Object | None, obstacle: Obstacle) -> None:
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
        await _show_job(scene, pod, ContainerState("running", ready=True))
        await _show_job(scene, pod, ContainerState("terminated", reason="OOMKilled", exit_code=137))
        job = pod["metadata"]["labels"]["job-name"]
        await scene.store.patch(JOBS, job, scene.spec.namespace, {"status": {"failed": 1}}, subresource="status")


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
    pod = await _show_job(scene, pod, ContainerState("waiting", reason="ErrImagePull", message=message)) or pod
    await scene.event("BackOff", f'Back-off pulling image "{image}"', about=about)
    await scene.event("Failed", "Error: ImagePullBackOff", kind="Warning", about=about)
    text = f'Back-off pulling image "{image}": ErrImagePull: {message}'
    await _show_job(scene, pod, ContainerState("waiting", reason="ImagePullBackOff", message=text))


def _container_says(pod: Object, reason: str) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(detail.get("reason") == reason for each in statuses for detail in each.get("state", {}).values())


def _begin(status: dict[str, Any], spec: ClusterSpec) -> None:
    """What stands in the status before anything else happens."""
    now = now_seconds()
    name, namespace = spec.name, spec.namespace
    status["image"] = spec.image
    status["pgDataImageInfo"] = {"image": spec.image, "majorVersion": spec.major}
    status["writeService"], status["readService"] = f"{name}-rw", f"{name}-r"
    status["selector"] = f"cnpg.io/cluster={name},cnpg.io/podRole=instance"
    status["certificates"] = {
        "clientCASecret": f"{name}-ca",
        "serverCASecret": f"{name}-ca",
        "serverTLSSecret": f"{name}-server",
        "replicationTLSSecret": f"{name}-replication",
        "serverAltDNSNames": service_names(name, namespace),
    }
    phases.set_condition(status, "Initialized", "BootstrapPending", holds=False, now=now)
    phases.set_condition(status, "ConsistentSystemID", "NotFound", holds=False, now=now)


def _mark_initialized(status: dict[str, Any]) -> None:
    phases.set_condition(status, "Initialized", "BootstrapCompleted", holds=True, now=now_seconds())


def _become_primary(status: dict[str, Any], name: str) -> None:
    status["currentPrimary"] = status["targetPrimary"] = name
    status["currentPrimaryTimestamp"] = now_micros()
    phases.set_condition(status, "ContinuousArchiving", "ContinuousArchivingSuccess", holds=True, now=now_seconds())
