"""The traps of CloudNativePG's status, one test each: stale health, counts without meaning, changes without a trace."""

import pytest
from tests.unit.watcher.making import (
    NOW,
    PODS,
    VOLUMES,
    Database,
    changed,
    cluster,
    new_database,
    pod,
    ready_database,
    volume,
)

from postern_watcher.domain.facts import HEALTHY_PHASE

RESTART = "2026-11-20T12:17:24Z"


def test_the_old_healthy_status_after_a_change_is_not_ready() -> None:
    database = Database(ready_database())
    assert database.see(cluster(generation=2, instances=3)) == "updating scaling"
    assert database.generations == (2, 1)


def test_a_scale_up_is_ready_the_moment_the_counts_and_pods_are_there() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, instances=3)
    database.see(asked)
    growing = changed(asked, phase="Creating a new replica", status_instances=3)
    assert database.see(growing, after=0.1) == "updating scaling"
    waiting = changed(growing, phase="Waiting for the instances to become active")
    assert database.see(waiting, after=5) == "updating scaling"
    done = changed(waiting, phase=HEALTHY_PHASE, ready_instances=3, healthy=())
    assert database.see(done, pods=(*PODS, pod(3)), after=5) == "ready healthy"
    assert database.generations == (2, 2)


def test_a_scale_down_is_not_done_while_the_pod_that_goes_is_still_there() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, instances=1)
    assert database.see(asked) == "updating scaling"
    counted = changed(asked, status_instances=1, ready_instances=1)
    going = (pod(1), pod(2, deleting=True))
    assert database.see(counted, pods=going, after=0.2) == "updating scaling"
    assert database.see(counted, pods=(pod(1),), after=2) == "ready healthy"


def test_a_change_without_visible_evidence_is_observed_after_two_quiet_seconds() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, hidden="b")
    assert database.see(asked) == "updating applying"
    assert database.recheck_after == pytest.approx(2.0)
    assert database.see(asked, after=1.9) == "updating applying"
    assert database.see(asked, after=0.2) == "ready healthy"
    assert database.generations == (2, 2)
    assert database.recheck_after is None


def test_contradiction_within_the_two_seconds_starts_them_again() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, hidden="b")
    database.see(asked)
    database.see(changed(asked, ready_instances=1), pods=(pod(1), pod(2, ready=False)), after=1.5)
    assert database.see(asked, after=0.4) == "updating applying"
    assert database.see(asked, after=1.7) == "updating applying"
    assert database.see(asked, after=0.4) == "ready healthy"


def test_a_parameter_that_needs_a_restart_is_ready_as_soon_as_the_operator_is_through() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, hidden="b")
    phases = (
        "Applying configuration",
        "Upgrading cluster",
        "Waiting for the instances to become active",
        "Primary instance is being restarted in-place",
    )
    half = (pod(1), pod(2, ready=False))
    told = [database.see(asked)]
    told += [database.see(changed(asked, phase=p, ready_instances=1), pods=half, after=1) for p in phases]
    told.append(database.see(asked, after=1))
    assert [state.split()[0] for state in told] == ["updating"] * 5 + ["ready"]


def test_a_mixed_change_waits_until_the_part_without_evidence_had_its_time() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, instances=3, hidden="b")
    database.see(asked)
    database.see(changed(asked, phase="Creating a new replica"), after=0.2)
    done = changed(asked, status_instances=3, ready_instances=3)
    pods = (*PODS, pod(3))
    assert database.see(done, pods=pods, after=9).startswith("updating")
    assert database.see(done, pods=pods, after=2.1) == "ready healthy"


def test_a_healthy_phase_sooner_than_the_operator_can_have_read_the_change_proves_nothing() -> None:
    database = Database(new_database())
    creating = cluster(generation=2, hidden="b", phase="Setting up primary")
    database.see(creating)
    assert database.see(changed(creating, phase=HEALTHY_PHASE), after=0.1) == "provisioning creating"
    assert database.see(changed(creating, phase=HEALTHY_PHASE), after=0.5) == "ready healthy"


def test_a_creation_is_ready_with_the_operators_first_healthy_word() -> None:
    database = Database()
    database.see(cluster(phase="", status_instances=0, ready_instances=0, healthy=()), pods=(), volumes=())
    assert database.see(cluster(), after=8) == "ready healthy"
    assert database.generations == (1, 1)


def test_a_cluster_met_in_full_health_is_ready_after_two_seconds() -> None:
    database = Database()
    assert database.see(cluster()) == "provisioning creating"
    assert database.see(cluster(), after=2.1) == "ready healthy"


def test_the_image_in_the_status_changes_at_once_and_proves_nothing() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, image="postgresql:17.3", status_image="postgresql:17.3")
    assert database.see(asked) == "updating rolling"
    assert database.see(asked, pods=(pod(1), pod(2, image="postgresql:17.3")), after=60) == "updating rolling"
    assert database.see(asked, pods=tuple(pod(n, image="postgresql:17.3") for n in (1, 2)), after=1) == "ready healthy"


def test_healthy_in_the_middle_of_a_rollout_is_not_ready_while_a_pod_has_the_old_resources() -> None:
    database = Database(ready_database())
    more = {"limits.memory": "2Gi"}
    asked = cluster(generation=2, resources=more)
    assert database.see(asked) == "updating rolling"
    assert database.see(asked, pods=(pod(1), pod(2, resources=more)), after=30) == "updating rolling"
    same = {"limits.memory": "2048Mi"}
    assert database.see(asked, pods=(pod(1, resources=same), pod(2, resources=same)), after=1) == "ready healthy"


def test_an_accepted_resize_shows_on_the_volumes_only() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, storage="2Gi")
    assert database.see(asked) == "updating applying"
    growing = (volume(1, requested="2Gi"), volume(2, requested="2Gi", capacity="2Gi"))
    assert database.see(asked, volumes=growing, after=0.2) == "updating applying"
    grown = tuple(volume(n, requested="2Gi", capacity="2Gi") for n in (1, 2))
    assert database.see(asked, volumes=grown, after=0.1) == "ready healthy"
    assert database.observed is not None
    assert database.observed.storage == "2Gi"


def test_a_resize_that_the_operator_never_takes_up_is_refused() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, storage="2Gi")
    database.see(asked)
    assert database.recheck_after == pytest.approx(15.0)
    assert database.see(asked, after=14.9) == "updating applying"
    assert database.see(asked, after=0.2) == "failed volume_expansion_refused"
    assert database.observed is not None
    assert "2Gi" in database.observed.message
    assert database.generations == (2, 1)


def test_the_way_out_of_a_refused_resize_leads_back_to_ready() -> None:
    database = Database(ready_database())
    database.see(cluster(generation=2, storage="2Gi"))
    database.see(cluster(generation=2, storage="2Gi"), after=20)
    undone = cluster(generation=3, storage="1Gi")
    assert database.see(undone, after=1).startswith("updating")
    assert database.see(undone, after=2.1) == "ready healthy"


def test_a_resize_under_way_is_not_refused_however_long_it_takes() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, storage="2Gi")
    growing = tuple(volume(n, requested="2Gi") for n in (1, 2))
    database.see(asked, volumes=growing)
    assert database.see(asked, volumes=growing, after=3600) == "updating applying"


def test_hibernation_is_told_by_its_condition_alone() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, hibernation="on", goal="hibernated")
    assert database.see(asked) == "hibernating hibernation_requested"
    going = changed(asked, hibernated=False, ready_instances=0, healthy=())
    assert database.see(going, pods=(pod(1, deleting=True),), after=1) == "hibernating hibernation_requested"
    assert database.generations == (2, 1)
    gone = changed(going, hibernated=True)
    assert database.see(gone, pods=(), after=1) == "hibernated hibernation_requested"
    assert database.generations == (2, 2)
    assert database.observed is not None
    assert database.observed.primary is None


def test_the_condition_of_the_last_hibernation_is_not_that_of_the_next() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, hibernation="on", hibernated=True)
    assert database.see(asked) == "hibernating hibernation_requested"
    assert database.generations == (2, 1)


def test_a_change_of_a_sleeping_database_is_observed_asleep_and_compared_when_it_wakes() -> None:
    asleep = cluster(hibernation="on", hibernated=True, ready_instances=0, healthy=(), goal="hibernated")
    database = Database(ready_database())
    database.see(changed(asleep, generation=2), pods=())
    more = {"limits.memory": "2Gi"}
    bigger = changed(asleep, generation=3, resources=more)
    assert database.see(bigger, pods=(), after=5) == "hibernated hibernation_requested"
    assert database.generations == (3, 3)
    awake = cluster(generation=4, hibernation="off", resources=more)
    assert database.see(awake, after=5) == "resuming resume_requested"
    assert database.see(awake, pods=(pod(1, resources=more), pod(2, resources=more)), after=5) == "ready healthy"
    assert database.generations == (4, 4)


def test_a_database_that_wakes_is_resuming_until_everything_is_there() -> None:
    database = Database(ready_database())
    asleep = cluster(generation=2, hibernation="on", hibernated=True, ready_instances=0, healthy=())
    database.see(asleep, pods=())
    awake = changed(asleep, generation=3, hibernation="off", goal="ready")
    assert database.see(awake, pods=(), after=60) == "resuming resume_requested"
    stale = changed(awake, hibernated=None)
    assert database.see(stale, pods=(), after=0.1) == "resuming resume_requested"
    half = changed(stale, phase="Waiting for the instances to become active", ready_instances=1)
    assert database.see(half, pods=(pod(1),), after=10) == "resuming resume_requested"
    assert database.see(cluster(generation=3, hibernation="off"), after=10) == "ready healthy"


def test_an_asked_restart_is_one_state_until_every_instance_went_through_it() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, restarted_at=RESTART)
    restarted = (pod(1), pod(2, restarted_at=RESTART))
    rolling = ("Upgrading cluster", "Waiting for the instances to become active", HEALTHY_PHASE)
    last = changed(asked, phase="Primary instance is being restarted without a switchover")
    told = [database.see(asked)]
    told += [database.see(changed(asked, phase=p, ready_instances=1), pods=restarted, after=2) for p in rolling]
    told.append(database.see(last, pods=restarted, after=2))
    assert told == ["restarting restart_requested"] * 5
    every = tuple(pod(n, restarted_at=RESTART) for n in (1, 2))
    assert database.see(asked, pods=every, after=2) == "ready healthy"
    assert database.generations == (2, 2)


def test_a_rollout_after_a_restart_was_handled_is_no_restart() -> None:
    handled = ready_database(handled_restarted_at=RESTART)
    rolling = cluster(restarted_at=RESTART, phase="Upgrading cluster")
    assert (
        Database(handled).see(rolling, pods=tuple(pod(n, restarted_at=RESTART) for n in (1, 2))) == "updating rolling"
    )


def test_a_moment_with_one_instance_less_is_held_back_for_a_second() -> None:
    database = Database(ready_database())
    lacking = cluster(ready_instances=1, healthy=("orders-1a2b3c-1",))
    pods = (pod(1), pod(2, ready=False))
    assert database.see(lacking, pods=pods) == "ready healthy"
    assert database.recheck_after == pytest.approx(1.0)
    assert database.see(lacking, pods=pods, after=0.9) == "ready healthy"
    assert database.see(lacking, pods=pods, after=0.2) == "degraded instances_missing"
    assert database.see(cluster(), after=5) == "ready healthy"


def test_the_first_sign_of_a_failover_is_not_told_as_something_else() -> None:
    database = Database(ready_database())
    lost = cluster(ready_instances=1, healthy=("orders-1a2b3c-2",))
    assert database.see(lost, pods=(pod(1, deleting=True), pod(2))) == "ready healthy"
    assert database.see(changed(lost, phase="Failing over", target_primary="pending"), after=0.1) == (
        "failing_over failover"
    )


def test_a_primary_that_is_lost_while_nobody_fails_over_makes_the_database_unavailable() -> None:
    database = Database(ready_database())
    lost = cluster(ready_instances=1, healthy=("orders-1a2b3c-2",))
    pods = (pod(1, ready=False), pod(2))
    database.see(lost, pods=pods)
    assert database.see(lost, pods=pods, after=1.1) == "unavailable no_ready_primary"


def test_the_only_instance_that_is_lost_is_told_at_once() -> None:
    database = Database(ready_database())
    lost = cluster(instances=1, status_instances=1, ready_instances=0, healthy=())
    assert database.see(lost, pods=(pod(1, ready=False),)) == "unavailable no_ready_primary"


def test_a_database_is_deleted_only_when_its_pods_and_volumes_are_gone() -> None:
    database = Database(ready_database(goal="deleted", generation=2))
    assert database.see(None) == "deleting deletion_requested"
    assert database.see(None, pods=(), after=1) == "deleting deletion_requested"
    assert database.see(None, pods=(), volumes=(), after=1) == "deleted removed"
    assert database.generations == (2, 2)


def test_a_database_that_nobody_asked_to_delete_has_vanished() -> None:
    database = Database(ready_database())
    assert database.see(None) == "deleting vanished"
    assert database.see(None, pods=(), volumes=()) == "deleted vanished"


def test_the_pods_of_a_pooler_do_not_keep_a_deleted_database_alive() -> None:
    database = Database(ready_database(goal="deleted"))
    assert database.see(None, pods=(pod(9, pooler=True),), volumes=()) == "deleted removed"


def test_the_goal_to_delete_is_told_before_the_object_goes() -> None:
    assert Database(ready_database()).see(cluster(generation=2, goal="deleted")) == "deleting deletion_requested"
    assert Database(ready_database()).see(cluster(deleting=True)) == "deleting vanished"


def test_a_cluster_made_again_starts_anew_and_its_observed_generation_stays() -> None:
    database = Database(ready_database(observed_generation=5, generation=5))
    database.see(None, pods=(), volumes=())
    again = cluster(uid="uid-2", generation=5, phase="Setting up primary", ready_instances=0, healthy=())
    assert database.see(again, pods=(), volumes=(), after=5) == "provisioning creating"
    assert database.generations == (5, 5)
    assert database.see(changed(again, phase=HEALTHY_PHASE, ready_instances=2), after=30) == "ready healthy"


def test_the_observed_generation_never_decreases() -> None:
    database = Database(ready_database(observed_generation=7, generation=7))
    database.see(cluster(generation=3), after=10)
    assert database.generations == (3, 7)


def test_without_visible_pods_the_operators_counts_are_believed() -> None:
    database = Database(ready_database())
    asked = cluster(generation=2, instances=3)
    database.see(asked, pods=(), volumes=())
    done = changed(asked, status_instances=3, ready_instances=3)
    assert database.see(done, pods=(), volumes=(), after=1) == "ready healthy"


def test_control_characters_from_outside_do_not_reach_the_message() -> None:
    database = Database(ready_database())
    database.see(cluster(phase="Failing over", phase_reason="a\x00b\r\nforged: line\u2028" + "x" * 1000))
    assert database.observed is not None
    assert database.observed.message.startswith("Failing over: a b forged: line x")
    assert len(database.observed.message) == 500


def test_a_database_without_a_cluster_and_without_a_past_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no state"):
        Database().see(None)


def test_the_state_has_one_beginning() -> None:
    database = Database(ready_database(since=NOW - 600))
    database.see(cluster(), pods=PODS, volumes=VOLUMES, after=5)
    assert database.observed is not None
    assert database.observed.since == NOW - 600
