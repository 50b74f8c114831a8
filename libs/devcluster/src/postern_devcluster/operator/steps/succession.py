"""Changes who the primary is: failover when it is lost, switchover when another was asked for."""

from typing import Any

from postern_common.errors import DependencyDownError
from postern_devcluster.operator.clock import now_micros, now_seconds
from postern_devcluster.operator.domain import phases
from postern_devcluster.operator.scene import Scene
from postern_devcluster.operator.steps.starting import start_server, sync_standbys


async def fail_over(scene: Scene, former: str) -> None:
    """Promote the standby that has most of the WAL; without one the former primary stays what it was."""
    await scene.count()
    if scene.status.get("targetPrimary") != phases.PENDING:
        text = f"Current primary isn't healthy, initiating a failover from {former}"
        await scene.event("FailingOver", text)
        await scene.phase(phases.FAILING_OVER, f"Initiating a failover from {former}")
        await scene.target(phases.PENDING)
    # A primary that only looks dead would go on writing: it is stopped before another one exists.
    await scene.runtime.stop(former)
    chosen = await _most_advanced(scene, former)
    if chosen is None:
        await scene.target(former)
        return
    await scene.event("FailoverTarget", f"Failing over from {former} to {chosen}")
    await scene.phase(phases.FAILING_OVER, f"Failing over from {former} to {chosen}")
    await scene.target(chosen)
    await _enthrone(scene, chosen)


async def switch_over(scene: Scene, target: str) -> None:
    """Stop the primary cleanly, promote the target, and let the former primary follow it."""
    former = scene.primary or ""
    if scene.status.get("phase") == phases.FAILING_OVER:
        # A failover that was interrupted between the choice and the promotion goes on from there.
        await _enthrone(scene, target)
        return
    await scene.update(lambda status: _announce(status, target))
    await scene.runtime.stop(former)
    await scene.count()
    await _enthrone(scene, target)
    if former in scene.pods:
        await start_server(scene, former, restarted=True)


async def abandon_switchover(scene: Scene) -> None:
    """Stay with the current primary: the asked one cannot take over."""
    asked = scene.status.get("targetPrimary")
    await scene.event("SwitchoverAbandoned", f"{asked} cannot become the primary", kind="Warning")
    await scene.target(scene.primary or "")


async def _enthrone(scene: Scene, name: str) -> None:
    await scene.update(lambda status: _archiving(status, works=False))
    await scene.runtime.promote(name)
    await scene.count_with(currentPrimary=name, currentPrimaryTimestamp=now_micros())
    await sync_standbys(scene)
    for other, server in sorted(scene.runtime.instances.items()):
        if other != name and server.running:
            await scene.runtime.reload(other, name)
    await scene.label_roles()
    await scene.update(lambda status: _archiving(status, works=True))


async def _most_advanced(scene: Scene, former: str) -> str | None:
    best: tuple[int, str] | None = None
    for name, server in sorted(scene.runtime.instances.items()):
        if name == former or name not in scene.pods or not server.ready or not server.standby:
            continue
        try:
            position = await scene.runtime.position(name)
        except DependencyDownError:
            continue
        if best is None or position > best[0]:
            best = (position, name)
    return None if best is None else best[1]


def _announce(status: dict[str, Any], target: str) -> None:
    """The phase alone: a real switchover leaves ``Ready`` as it was, from its beginning to its end."""
    status["phase"], status["phaseReason"] = phases.SWITCHOVER, f"Switching over to {target}"


def _archiving(status: dict[str, Any], *, works: bool) -> None:
    reason = "ContinuousArchivingSuccess" if works else "ContinuousArchivingFailing"
    message = None if works else "switchover in progress, refusing archiving"
    phases.set_condition(status, "ContinuousArchiving", reason, holds=works, now=now_seconds(), message=message)
