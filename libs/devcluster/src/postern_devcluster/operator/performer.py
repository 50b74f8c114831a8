"""Sends each step to the function that carries it out, and keeps account of instances that do not come up."""

from postern_devcluster.operator.attendant import Attendant
from postern_devcluster.operator.domain import step as steps
from postern_devcluster.operator.scene import Scene
from postern_devcluster.operator.steps import rest, rolling, starting, succession
from postern_devcluster.operator.steps.creation import Creation


class Performer:
    """Carries out steps. ``perform`` returns False when nothing more can be done until later."""

    def __init__(self, creation: Creation) -> None:
        self._creation = creation

    async def perform(self, scene: Scene, attendant: Attendant, step: steps.Step) -> bool:
        """Carry out a step; False: look again later."""
        match step:
            case steps.CreatePrimary(name):
                return await self._creation.create_primary(scene, name)
            case steps.CreateReplica(name):
                made = await self._creation.create_replica(scene, name)
                return self._account(attendant, scene, name, came_up=made) and made
            case steps.MarkHealthy():
                await rest.mark_healthy(scene)
            case steps.WaitToHibernate(then):
                await rest.wait_to_hibernate(scene)
                if isinstance(then, steps.Rest | steps.AwaitInstances):
                    return False
                return await self.perform(scene, attendant, then)
            case steps.RefuseUpgrade():
                await rest.refuse_upgrade(scene)
            case steps.MarkUnrecoverable():
                await rest.mark_unrecoverable(scene)
                return False
            case _:
                await self._change(scene, attendant, step)
        return True

    async def resume(self, scene: Scene, attendant: Attendant) -> None:
        """Start again what ran before the operator ended, primary first; nobody fails over because of it."""
        await scene.count()
        names = sorted(scene.pods, key=lambda name: (name != scene.primary, name))
        for name in names:
            server = scene.runtime.instances.get(name)
            if scene.primary is not None and server is not None and server.has_data and not server.running:
                came_up = await starting.start_server(scene, name, restarted=True)
                self._account(attendant, scene, name, came_up=came_up)

    async def _change(self, scene: Scene, attendant: Attendant, step: steps.Step) -> None:
        name: str | None = None
        came_up = True
        match step:
            case steps.StartInstance(name, quietly):
                came_up = await starting.start_instance(scene, name, quietly=quietly)
            case steps.RestartReplica(name, reason, announce):
                came_up = await rolling.restart_replica(scene, name, reason, announce=announce)
            case steps.RestartPrimary(reason):
                name = scene.primary or ""
                came_up = await rolling.restart_primary(scene, reason)
            case steps.RestartInPlace(announce):
                name = scene.primary or ""
                came_up = await rolling.restart_in_place(scene, announce=announce)
            case steps.ApplyConfiguration(names):
                await rolling.apply_configuration(scene, names)
            case _:
                await self._arrange(scene, step)
        if name is not None:
            self._account(attendant, scene, name, came_up=came_up)

    async def _arrange(self, scene: Scene, step: steps.Step) -> None:
        match step:
            case steps.FailOver(former):
                await succession.fail_over(scene, former)
            case steps.SwitchOver(target):
                await succession.switch_over(scene, target)
            case steps.AbandonSwitchover():
                await succession.abandon_switchover(scene)
            case steps.ReleasePod(name):
                await rest.release_pod(scene, name)
            case steps.RemoveInstance(name):
                await rest.remove_instance(scene, name)
            case steps.GrowClaims(names):
                await rest.grow_claims(scene, names)
            case steps.HibernateInstance(name):
                await rest.hibernate_instance(scene, name)
            case steps.MarkHibernated():
                await rest.mark_hibernated(scene)
            case steps.LeaveHibernation():
                await rest.leave_hibernation(scene)

    def _account(self, attendant: Attendant, scene: Scene, name: str, *, came_up: bool) -> bool:
        if came_up:
            attendant.note_success(name)
        else:
            attendant.note_failure(name, scene.spec.settings.digest)
        return True
