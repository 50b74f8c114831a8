"""Decides the next step of one cluster from what is: pure, level-triggered, one rule after the other, first match wins.

The order is CloudNativePG's as its recordings show it: what was deleted, hibernation, bootstrap, a lost primary,
missing instances, size, volumes, configuration, rolling restarts, healthy.
"""

from postern_devcluster.operator.domain import phases
from postern_devcluster.operator.domain.step import (
    AbandonSwitchover,
    ApplyConfiguration,
    AwaitInstances,
    CreatePrimary,
    CreateReplica,
    FailOver,
    GrowClaims,
    HibernateInstance,
    LeaveHibernation,
    MarkHealthy,
    MarkHibernated,
    MarkUnrecoverable,
    RefuseUpgrade,
    ReleasePod,
    RemoveInstance,
    Rest,
    RestartInPlace,
    RestartPrimary,
    RestartReplica,
    StartInstance,
    Step,
    SwitchOver,
    WaitToHibernate,
)
from postern_devcluster.operator.domain.view import ClusterView, InstanceView


def decide(view: ClusterView) -> Step:
    """Return the next step."""
    if released := _released(view):
        return released
    if view.growth_refused:
        # The real operator's reconciliation ends here with an error, every time; containers restart nevertheless.
        return _restarted_container(view) or Rest()
    if view.spec.hibernation == "on":
        return _hibernate(view)
    if view.hibernation is not None:
        return LeaveHibernation()
    return _advance(view)


def _advance(view: ClusterView) -> Step:
    for rule in (_bootstrap, _primary, _instances, _claims, _scale_down, _scale_up, _configuration, _rolling):
        step = rule(view)
        if step is not None:
            return step
    healthy = view.phase == phases.HEALTHY and view.phase_reason is None
    return Rest() if healthy and not view.jobs else MarkHealthy()


def _released(view: ClusterView) -> Step | None:
    for instance in view.instances.values():
        if instance.running and not instance.pod:
            return ReleasePod(instance.name)
    return None


def _restarted_container(view: ClusterView) -> Step | None:
    for instance in view.instances.values():
        if instance.pod and instance.has_data and not instance.running and not instance.backing_off:
            return StartInstance(instance.name, quietly=True)
    return None


def _hibernate(view: ClusterView) -> Step:
    if view.hibernation in {None, "WaitingForHealthy"} and view.phase != phases.HEALTHY:
        return WaitToHibernate(_advance(view))
    primary_first = sorted(view.instances.values(), key=lambda each: (each.name != view.current_primary, -each.serial))
    for instance in primary_first:
        if instance.pod or instance.running:
            return HibernateInstance(instance.name)
    return Rest() if view.hibernation == "Hibernated" else MarkHibernated()


def _bootstrap(view: ClusterView) -> Step | None:
    if not view.instances:
        return CreatePrimary(f"{view.spec.name}-1")
    if view.current_primary is None:
        chosen = view.instances.get(view.target_primary or "")
        return CreatePrimary(min(view.instances) if chosen is None else chosen.name)
    return None


def _primary(view: ClusterView) -> Step | None:
    primary = view.primary
    if view.target_primary == phases.PENDING:
        return FailOver(view.current_primary or "")
    if view.target_primary not in {None, view.current_primary}:
        target = view.instances.get(view.target_primary or "")
        if target is not None and target.ready:
            return SwitchOver(target.name)
        return AbandonSwitchover()
    if primary is not None and primary.ready:
        return None
    if any(each.ready and each.standby for each in view.standbys):
        return FailOver(view.current_primary or "")
    if primary is None or not primary.has_data:
        waiting = any(each.has_data and not each.backing_off for each in view.standbys)
        return None if waiting else MarkUnrecoverable()
    if primary.backing_off:
        return AwaitInstances()
    return StartInstance(primary.name)


def _instances(view: ClusterView) -> Step | None:
    waiting: Step | None = None
    for instance in reversed(view.standbys):
        if not instance.claim_ready:
            return CreateReplica(instance.name)
        if instance.ready and instance.pod:
            continue
        if instance.backing_off:
            waiting = AwaitInstances()
            continue
        return StartInstance(instance.name)
    return waiting


def _claims(view: ClusterView) -> Step | None:
    return GrowClaims(view.claims_to_grow) if view.claims_to_grow else None


def _scale_down(view: ClusterView) -> Step | None:
    if len(view.instances) > view.spec.instances and view.standbys:
        return RemoveInstance(view.standbys[0].name)
    return None


def _scale_up(view: ClusterView) -> Step | None:
    if len(view.instances) >= view.spec.instances:
        return None
    taken = {each.serial for each in view.instances.values()}
    serial = next(number for number in range(1, len(taken) + 2) if number not in taken)
    return CreateReplica(f"{view.spec.name}-{serial}")


def _configuration(view: ClusterView) -> Step | None:
    digest = view.spec.settings.digest
    behind = tuple(name for name, each in sorted(view.instances.items()) if each.ready and each.digest != digest)
    return ApplyConfiguration(behind) if behind else None


def _rolling(view: ClusterView) -> Step | None:
    needs_restart = [each for each in view.standbys if each.pending_restart or each.faulty]
    primary = view.primary
    if primary is None:
        return None
    if view.upgrade_asked:
        return RefuseUpgrade() if view.phase != phases.MAJOR_UPGRADE else Rest()
    if primary.shrinks:
        return RestartInPlace(announce=view.phase == phases.HEALTHY)
    for standby in view.standbys:
        reason = _pod_reason(view, standby)
        if reason is None and standby in needs_restart:
            reason = phases.CONFIGURATION_NEEDS_RESTART
        if reason is not None:
            announce = reason == phases.CONFIGURATION_NEEDS_RESTART and view.phase == phases.HEALTHY
            return RestartReplica(standby.name, reason, announce)
    reason = _pod_reason(view, primary)
    if reason is not None:
        return RestartPrimary(reason)
    if primary.pending_restart or primary.faulty:
        return RestartInPlace(announce=view.phase == phases.HEALTHY)
    return None


def _pod_reason(view: ClusterView, instance: InstanceView) -> str | None:
    spec = view.spec
    if spec.restarted_at is not None and instance.pod_restarted_at != spec.restarted_at:
        return phases.RESTARTED_BY_ANNOTATION
    if instance.pod_image != spec.image:
        return f"the instance is using a different image: {instance.pod_image} -> {spec.image}"
    if not instance.pod_matches:
        return phases.RESOURCES_DIFFER
    return None
