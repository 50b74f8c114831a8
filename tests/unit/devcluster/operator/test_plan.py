"""The next step of a cluster, as a table: what is, and what comes next."""

from dataclasses import replace
from typing import Any

import pytest

from postern_devcluster.operator.domain import phases
from postern_devcluster.operator.domain.plan import decide
from postern_devcluster.operator.domain.spec import ClusterSpec
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
from postern_devcluster.operator.runtime import ClusterIdentity, Settings

SETTINGS = Settings(17)
IMAGE = "ghcr.io/cloudnative-pg/postgresql:17.1"
SPEC = ClusterSpec(
    identity=ClusterIdentity("team", "pg", "uid"),
    instances=2,
    image=IMAGE,
    major=17,
    storage_size="1Gi",
    storage_class="standard",
    resources={},
    settings=SETTINGS,
    database="app",
    owner="app",
    app_secret="pg-app",
    restarted_at=None,
    hibernation=None,
    budget=True,
)


def instance(name: str, **changes: Any) -> InstanceView:
    running = InstanceView(
        name=name, claim_ready=True, pod=True, pod_image=IMAGE, has_data=True, running=True, ready=True,
        standby=name != "pg-1", digest=SETTINGS.digest,
    )  # fmt: skip
    return replace(running, **changes)


def dead(name: str, **changes: Any) -> InstanceView:
    return instance(name, running=False, ready=False, **changes)


def view(*instances: InstanceView, spec: dict[str, Any] | None = None, **changes: Any) -> ClusterView:
    """A healthy cluster of these instances whose primary is pg-1, with changes."""
    base = ClusterView(
        spec=replace(SPEC, **(spec or {})),
        instances={each.name: each for each in instances},
        phase=phases.HEALTHY,
        current_primary="pg-1",
        target_primary="pg-1",
    )
    return replace(base, **changes)


ONE, TWO, THREE = instance("pg-1"), instance("pg-2"), instance("pg-3")
FRESH: dict[str, Any] = {"current_primary": None, "target_primary": None, "phase": ""}
ANNOTATION = phases.RESTARTED_BY_ANNOTATION
NEEDS = phases.CONFIGURATION_NEEDS_RESTART

CASES: dict[str, tuple[ClusterView, Step]] = {
    "nothing to do": (view(ONE, TWO), Rest()),
    "nothing is there yet": (view(**FRESH), CreatePrimary("pg-1")),
    "initdb was interrupted": (
        view(dead("pg-1", claim_ready=False, pod=False), **FRESH | {"target_primary": "pg-1"}),
        CreatePrimary("pg-1"),
    ),
    "a replica is missing": (view(ONE), CreateReplica("pg-2")),
    "the number of a removed instance is free again": (
        view(TWO, current_primary="pg-2", target_primary="pg-2"), CreateReplica("pg-1"),
    ),
    "a join was interrupted": (
        view(ONE, dead("pg-2", claim_ready=False, pod=False)), CreateReplica("pg-2"),
    ),
    "everything came up": (view(ONE, TWO, phase=phases.WAITING), MarkHealthy()),
    "the reason of an in-place restart is cleared": (
        view(ONE, TWO, phase_reason=phases.RESTARTED_IN_PLACE), MarkHealthy(),
    ),
    "finished jobs are removed": (view(ONE, TWO, jobs=True), MarkHealthy()),
    "the primary died": (view(dead("pg-1"), TWO), FailOver("pg-1")),
    "the primary's pod was deleted": (view(instance("pg-1", pod=False), TWO), ReleasePod("pg-1")),
    "the primary's pod is gone": (view(dead("pg-1", pod=False), TWO), FailOver("pg-1")),
    "a failover was interrupted": (
        view(dead("pg-1"), TWO, target_primary=phases.PENDING, phase=phases.FAILING_OVER), FailOver("pg-1"),
    ),
    "a failover was interrupted after the choice": (
        view(dead("pg-1"), TWO, target_primary="pg-2", phase=phases.FAILING_OVER), SwitchOver("pg-2"),
    ),
    "the former primary rejoins": (
        view(dead("pg-1"), TWO, current_primary="pg-2", target_primary="pg-2"), StartInstance("pg-1"),
    ),
    "the only instance died": (view(dead("pg-1"), spec={"instances": 1}), StartInstance("pg-1")),
    "the only instance keeps dying": (
        view(dead("pg-1", backing_off=True), spec={"instances": 1}), AwaitInstances(),
    ),
    "the only data are lost": (view(dead("pg-1", has_data=False), spec={"instances": 1}), MarkUnrecoverable()),
    "the primary's data are lost and a replica has them": (
        view(dead("pg-1", has_data=False), dead("pg-2")), StartInstance("pg-2"),
    ),
    "a replica died": (view(ONE, dead("pg-2")), StartInstance("pg-2")),
    "a replica keeps dying": (view(ONE, dead("pg-2", backing_off=True)), AwaitInstances()),
    "a switchover was asked": (view(ONE, TWO, target_primary="pg-2"), SwitchOver("pg-2")),
    "a switchover to nobody was asked": (view(ONE, TWO, target_primary="pg-7"), AbandonSwitchover()),
    "one instance too many": (view(ONE, TWO, THREE), RemoveInstance("pg-3")),
    "the primary is never the one too many": (
        view(ONE, TWO, spec={"instances": 1}, current_primary="pg-2", target_primary="pg-2"), RemoveInstance("pg-1"),
    ),
    "volumes are to grow": (view(ONE, TWO, claims_to_grow=("pg-1",)), GrowClaims(("pg-1",))),
    "growing is refused": (view(ONE, growth_refused=True), Rest()),
    "growing is refused and a container died": (
        view(dead("pg-1"), TWO, growth_refused=True), StartInstance("pg-1", quietly=True),
    ),
    "files are behind": (view(ONE, instance("pg-2", digest="old")), ApplyConfiguration(("pg-2",))),
    "a parameter needs a restart": (
        view(instance("pg-1", pending_restart=True), instance("pg-2", pending_restart=True)),
        RestartReplica("pg-2", NEEDS, announce=True),
    ),
    "the replica was restarted": (
        view(instance("pg-1", pending_restart=True), TWO, phase=phases.WAITING), RestartInPlace(announce=False),
    ),
    "a standby's limit shrinks": (
        view(instance("pg-1", pending_restart=True, shrinks=True), instance("pg-2", pending_restart=True)),
        RestartInPlace(announce=True),
    ),
    "a parameter does not exist": (
        view(ONE, instance("pg-2", faulty=True)), RestartReplica("pg-2", NEEDS, announce=True),
    ),
    "a restart was asked": (
        view(ONE, TWO, spec={"restarted_at": "now"}), RestartReplica("pg-2", ANNOTATION, announce=False),
    ),
    "the replica has handled the restart": (
        view(ONE, instance("pg-2", pod_restarted_at="now"), spec={"restarted_at": "now"}), RestartPrimary(ANNOTATION),
    ),
    "other resources were asked": (
        view(ONE, instance("pg-2", pod_matches=False)),
        RestartReplica("pg-2", phases.RESOURCES_DIFFER, announce=False),
    ),
    "another major version was asked": (view(ONE, TWO, upgrade_asked=True), RefuseUpgrade()),
    "another major version was refused": (
        view(ONE, TWO, upgrade_asked=True, phase=phases.MAJOR_UPGRADE), Rest(),
    ),
    "hibernation was asked": (view(ONE, TWO, spec={"hibernation": "on"}), HibernateInstance("pg-1")),
    "the primary hibernates": (
        view(dead("pg-1", pod=False), TWO, spec={"hibernation": "on"}, hibernation="WaitingPodsDeletion"),
        HibernateInstance("pg-2"),
    ),
    "all hibernate": (
        view(dead("pg-1", pod=False), spec={"hibernation": "on"}, hibernation="WaitingPodsDeletion"), MarkHibernated(),
    ),
    "hibernated": (view(dead("pg-1", pod=False), spec={"hibernation": "on"}, hibernation="Hibernated"), Rest()),
    "hibernation waits for a healthy cluster": (
        view(ONE, spec={"hibernation": "on"}, phase=phases.WAITING), WaitToHibernate(CreateReplica("pg-2")),
    ),
    "resume was asked": (
        view(dead("pg-1", pod=False), spec={"hibernation": "off"}, hibernation="Hibernated"), LeaveHibernation(),
    ),
    "the primary comes first on resume": (
        view(dead("pg-1", pod=False), dead("pg-2", pod=False)), StartInstance("pg-1"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_next_step_is_the_right_one(case: str) -> None:
    seen, expected = CASES[case]
    assert decide(seen) == expected


def test_another_image_is_named_in_the_reason() -> None:
    step = decide(view(ONE, instance("pg-2", pod_image="old:17.0")))
    assert step == RestartReplica(
        "pg-2", f"the instance is using a different image: old:17.0 -> {IMAGE}", announce=False
    )
