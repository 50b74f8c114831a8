"""Makes instances: claim, job and its pod, data, then the instance itself; or shows why its pod cannot run."""

import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from postern_common.kube.paths import PERSISTENT_VOLUME_CLAIMS, PODS
from postern_devcluster.operator.clock import now_micros, now_seconds
from postern_devcluster.operator.domain import phases
from postern_devcluster.operator.domain.manifests import bound, build_claim
from postern_devcluster.operator.domain.names import service_names
from postern_devcluster.operator.domain.pods import (
    ContainerState,
    build_job,
    build_job_pod,
    pod_needs,
)
from postern_devcluster.operator.domain.spec import ClusterSpec
from postern_devcluster.operator.objects import JOBS
from postern_devcluster.operator.scene import Scene
from postern_devcluster.operator.steps.obstacles import show_container, show_job, show_obstacle
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
        if pod["metadata"]["name"] not in scene.jobs:
            scene.jobs.append(pod["metadata"]["name"])
        await scene.update(_mark_initialized)
        await scene.count()
        obstacle = await self._surroundings.obstacle(pod_needs(pod, spec))
        if obstacle is not None and obstacle.kind == "storage":
            await show_obstacle(scene, pod, scene.claims[name], obstacle)
            return False
        if obstacle is not None and obstacle.kind == "memory":
            await show_obstacle(scene, pod, None, obstacle)
            return False
        await bind_claim(scene, name)
        if obstacle is not None:
            await show_obstacle(scene, pod, None, obstacle)
            return False
        pod = await show_container(scene, pod, ContainerState("running", ready=True)) or pod
        await work()
        await show_container(scene, pod, ContainerState("terminated", reason="Completed"))
        done = {"succeeded": 1, "ready": 0, "startTime": now_seconds()}
        await show_job(scene, job["metadata"]["name"], done)
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


def _begin(status: dict[str, Any], spec: ClusterSpec) -> None:
    """What stands in the status before anything else happens."""
    now = now_seconds()
    name, namespace = spec.name, spec.namespace
    status["image"] = spec.image
    status["pgDataImageInfo"] = {"image": spec.image, "majorVersion": spec.major}
    status["writeService"], status["readService"] = f"{name}-rw", f"{name}-r"
    status["selector"] = f"cnpg.io/cluster={name},cnpg.io/podRole=instance"
    status["certificates"] = {
        **status.get("certificates", {}),
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
