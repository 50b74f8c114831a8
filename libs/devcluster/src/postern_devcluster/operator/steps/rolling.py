"""Applies configuration and restarts what needs it: replicas by new pods, the primary last and without a switchover."""

from postern_devcluster.operator.domain import phases
from postern_devcluster.operator.scene import Scene
from postern_devcluster.operator.steps.starting import start_instance, start_server


async def apply_configuration(scene: Scene, names: tuple[str, ...]) -> None:
    """Have servers read their new files; what needs a restart shows in their state."""
    for name in names:
        await scene.runtime.reload(name, scene.primary or name)


async def restart_replica(scene: Scene, name: str, reason: str, *, announce: bool) -> bool:
    """Replace a standby's pod; returns whether it came up."""
    if announce:
        await scene.phase(phases.APPLYING_CONFIGURATION, "PostgreSQL configuration changed")
    await scene.phase(phases.UPGRADING, f"Restarting instance {name}, because: {reason}")
    await scene.event("UpgradingInstance", f"Upgrading instance {name}")
    await scene.runtime.stop(name)
    await scene.drop_pod(name)
    await scene.count()
    await scene.phase(phases.WAITING, phases.WAITING_REASON)
    return await start_instance(scene, name)


async def restart_primary(scene: Scene, reason: str) -> bool:
    """Replace the primary's pod; returns whether it came up."""
    name = scene.primary or ""
    await scene.phase(phases.RESTARTING_PRIMARY, reason)
    await scene.event("UpgradingInstance", f"Upgrading instance {name}")
    await scene.runtime.stop(name)
    await scene.drop_pod(name)
    await scene.count()
    return await start_instance(scene, name)


async def restart_in_place(scene: Scene, *, announce: bool) -> bool:
    """Restart the primary's server in its pod; returns whether it came up."""
    name = scene.primary or ""
    if announce:
        await scene.phase(phases.APPLYING_CONFIGURATION, "PostgreSQL configuration changed")
    await scene.phase(phases.RESTARTING_IN_PLACE, phases.CONFIGURATION_NEEDS_RESTART)
    await scene.runtime.stop(name)
    await scene.show_running(name, ready=False)
    await scene.count()
    if not await start_server(scene, name, restarted=False):
        return False
    await scene.phase(phases.HEALTHY, phases.RESTARTED_IN_PLACE)
    return True
