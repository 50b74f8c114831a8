"""Starts instances: a new pod or a restarted container, its server and role, or the crash loop when it fails."""

import structlog

from postern_devcluster.operator.domain import phases
from postern_devcluster.operator.domain.pods import ContainerState, pod_needs, restart_count
from postern_devcluster.operator.postgres.errors import InstanceStartError, UnsupportedVersionError
from postern_devcluster.operator.scene import Scene
from postern_devcluster.operator.steps.obstacles import show_obstacle

_KEEPS_PHASE = frozenset({phases.RESTARTING_PRIMARY, phases.RESTARTING_IN_PLACE, phases.SWITCHOVER})

_logger = structlog.get_logger(__name__)


async def start_instance(scene: Scene, name: str, *, quietly: bool = False) -> bool:
    """Start an instance that has a claim; returns whether it came up."""
    restarted = name in scene.pods
    if not restarted:
        await scene.make_pod(name)
    obstacle = await scene.surroundings.obstacle(pod_needs(scene.pods[name], scene.spec))
    if obstacle is None:
        await scene.show(name, ContainerState("waiting", reason="PodInitializing", restarts=_restarts(scene, name)))
    await scene.count()
    if not quietly and scene.status.get("phase") not in _KEEPS_PHASE:
        await scene.phase(phases.WAITING, phases.WAITING_REASON)
    if obstacle is not None:
        await show_obstacle(scene, scene.pods[name], None, obstacle)
        return False
    return await start_server(scene, name, restarted=restarted)


async def start_server(scene: Scene, name: str, *, restarted: bool) -> bool:
    """Start the server of an instance that has a pod and show the outcome; returns whether it came up."""
    primary = scene.primary or name
    server = scene.runtime.instances.get(name)
    try:
        if name != primary and (server is None or not server.has_data):
            await scene.runtime.clone(name, primary)
        await scene.runtime.start(name, primary)
    except InstanceStartError as error:
        _logger.warning(
            "instance_start_failed", namespace=scene.spec.namespace, cluster=scene.spec.name, instance=name,
            detail=error.detail,
        )  # fmt: skip
        await show_crash(scene, name)
        return False
    except UnsupportedVersionError:
        # Its programs were there when it was made, and are not any more: an image that went away.
        pod = scene.pods.get(name)
        obstacle = None if pod is None else await scene.surroundings.obstacle(pod_needs(pod, scene.spec))
        if pod is None or obstacle is None:
            raise
        await show_obstacle(scene, pod, None, obstacle)
        return False
    await sync_standbys(scene)
    await scene.label_roles()
    await scene.show_running(name, ready=True, restarted=restarted)
    await scene.count()
    return True


async def show_crash(scene: Scene, name: str) -> None:
    """Show a container that ended at once and waits for its next try."""
    count = _restarts(scene, name) + 1
    reason, message = "CrashLoopBackOff", f"back-off restarting failed container=postgres pod={name}"
    await scene.show(
        name, ContainerState("waiting", reason=reason, message=message, restarts=count, last_reason="Error")
    )
    pod = scene.pods.get(name)
    if pod is not None:
        text = f"Back-off restarting failed container postgres in pod {name}"
        await scene.event("BackOff", text, kind="Warning", about={"kind": "Pod", **pod})
    await scene.count()


async def sync_standbys(scene: Scene) -> None:
    """Keep a replication slot on the primary for each standby."""
    primary = scene.primary
    server = scene.runtime.instances.get(primary or "")
    if primary is not None and server is not None and server.ready and not server.standby:
        await scene.runtime.sync_slots(primary, [name for name in scene.claims if name != primary])


def _restarts(scene: Scene, name: str) -> int:
    pod = scene.pods.get(name)
    return 0 if pod is None else restart_count(pod)
