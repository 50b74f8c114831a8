"""Failing creates say why: pods, volumes and Warning events become a reason code and words to act on."""

from typing import Any

import pytest
from tests.unit.watcher.making import (
    NOW,
    Database,
    changed,
    cluster,
    container,
    job,
    new_database,
    pod,
    ready_database,
    volume,
    warning,
)

from postern_common.contracts.reasons import FINAL_REASONS, Reason
from postern_watcher.domain.facts import PodFacts, VolumeFacts, WarningFacts

CREATING = cluster(phase="Setting up primary", status_instances=1, ready_instances=0, healthy=(), current_primary=None)
NODES = "0/1 nodes are available: 1 Insufficient memory."
UNBOUND = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
INITDB = "orders-1a2b3c-1-initdb-x7k2p"


def told(
    pods: tuple[PodFacts, ...] = (),
    volumes: tuple[VolumeFacts, ...] = (),
    events: tuple[WarningFacts, ...] = (),
) -> tuple[str, str]:
    """State, reason and message of a creation that shows this."""
    database = Database(new_database())
    state = database.see(CREATING, pods=pods, volumes=volumes, events=events)
    assert database.observed is not None
    return state, database.observed.message


@pytest.mark.parametrize("why", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
def test_an_image_that_cannot_be_pulled(why: str) -> None:
    pods = (job(containers=(container("initdb", waiting=why, message='Back-off pulling image "x:16.9-nope"'),)),)
    state, message = told(pods)
    assert state == "provisioning image_pull_failed"
    assert "16.9-nope" in message


def test_an_image_that_cannot_be_pulled_is_known_from_the_event_before_the_pod_shows_it() -> None:
    event = warning("Failed", INITDB, 'Failed to pull image "x:16.9-nope": not found')
    assert told((job(),), events=(event,))[0] == "provisioning image_pull_failed"


def test_an_old_event_about_a_pull_says_nothing_about_a_pod_that_runs_or_crashed() -> None:
    event = warning("Failed", INITDB, "Error: ErrImagePull")
    running = job(containers=(container("initdb", terminated="Error", exit_code=1),))
    assert told((running,), events=(event,))[0] == "provisioning init_failed"
    assert told((job(ready=True),), events=(event,))[0] == "provisioning creating"


def test_a_storage_class_that_is_missing_is_told_before_the_pod_that_waits_for_the_volume() -> None:
    event = warning(
        "ProvisioningFailed",
        "orders-1a2b3c-1",
        'storageclass.storage.k8s.io "nope" not found',
        "PersistentVolumeClaim",
    )
    pods = (job(unschedulable=UNBOUND, unschedulable_since=NOW - 60),)
    state, message = told(pods, (volume(bound=False, capacity=None, storage_class="nope"),), (event,))
    assert state == "provisioning storage_class_missing"
    assert '"nope" not found' in message


def test_a_volume_that_was_bound_after_all_is_no_cause() -> None:
    event = warning("ProvisioningFailed", "orders-1a2b3c-1", 'storageclass.storage.k8s.io "nope" not found')
    assert told((job(),), (volume(),), (event,))[0] == "provisioning creating"


def test_no_node_for_a_pod_is_told_after_three_seconds() -> None:
    database = Database(new_database())
    pods = (job(unschedulable=NODES, unschedulable_since=NOW),)
    assert database.see(CREATING, pods=pods, volumes=()) == "provisioning creating"
    assert database.recheck_after == pytest.approx(3.0)
    assert database.see(CREATING, pods=pods, volumes=(), after=3) == "provisioning unschedulable"
    assert database.observed is not None
    assert NODES in database.observed.message


def test_a_pod_that_waits_for_its_volume_is_given_half_a_minute() -> None:
    database = Database(new_database())
    pods = (job(unschedulable=UNBOUND, unschedulable_since=NOW),)
    assert database.see(CREATING, pods=pods, volumes=(), after=29) == "provisioning creating"
    assert database.see(CREATING, pods=pods, volumes=(), after=2) == "provisioning unschedulable"


@pytest.mark.parametrize(
    "killed",
    [
        container("initdb", terminated="OOMKilled", exit_code=137),
        container("initdb", last_terminated="OOMKilled", restarts=1),
    ],
    ids=["now", "before"],
)
def test_too_little_memory_for_initdb_is_final(killed: Any) -> None:
    state, message = told((job(containers=(killed,)),))
    assert state == "failed out_of_memory"
    assert "memory" in message


def test_an_instance_of_a_ready_database_that_runs_out_of_memory_does_not_make_it_failed() -> None:
    database = Database(ready_database())
    pods = (pod(1), pod(2, ready=False, containers=(container(last_terminated="OOMKilled", restarts=3),)))
    lacking = cluster(ready_instances=1, healthy=("orders-1a2b3c-1",))
    database.see(lacking, pods=pods)
    assert database.see(lacking, pods=pods, after=1.1) == "degraded out_of_memory"


def test_a_failed_initialisation_stays_told_while_the_next_attempt_runs() -> None:
    failed = job(containers=(container("initdb", terminated="Error", exit_code=1, message="invalid locale"),))
    state, message = told((failed, job(name="orders-1a2b3c-1-initdb-second")))
    assert state == "provisioning init_failed"
    assert "invalid locale" in message
    assert "initdb job of orders-1a2b3c-1" in message


def test_a_failed_attempt_says_nothing_once_the_instance_exists() -> None:
    failed = job(containers=(container("initdb", terminated="Error", exit_code=1),))
    assert told((failed, pod(1, ready=False)))[0] == "provisioning creating"


def test_a_crash_loop_is_one_reason_from_its_second_end_until_the_instance_is_ready() -> None:
    database = Database(ready_database())
    rolling = cluster(phase="Upgrading cluster", ready_instances=1, healthy=("orders-1a2b3c-1",))
    rounds = [
        container(restarts=1, last_terminated="Completed"),
        container(waiting="CrashLoopBackOff", restarts=1, message="back-off 10s restarting"),
        container(restarts=2, last_terminated="Completed"),
        container(terminated="Error", exit_code=1, restarts=2),
        container(waiting="CrashLoopBackOff", restarts=3, message="back-off 40s restarting"),
    ]
    seen = [database.see(rolling, pods=(pod(1), pod(2, ready=False, containers=(c,))), after=3) for c in rounds]
    assert seen == ["updating rolling"] + ["updating crash_looping"] * 4
    well = pod(2, containers=(container(restarts=3, last_terminated="Error"),))
    assert database.see(cluster(), pods=(pod(1), well), after=3) == "ready healthy"


def test_objects_that_a_quota_refuses_are_told_from_the_event() -> None:
    text = 'pods "orders-1a2b3c-1-initdb-x" is forbidden: exceeded quota: compute'
    event = warning("FailedCreate", "orders-1a2b3c-1-initdb", text, "Job")
    state, message = told(events=(event,))
    assert state == "provisioning objects_not_created"
    assert "exceeded quota" in message
    database = Database(new_database())
    assert database.see(CREATING, pods=(), volumes=(), events=(event,), after=700) == "provisioning creating"


def test_pods_that_go_and_poolers_are_no_cause() -> None:
    bad = (container("initdb", waiting="ErrImagePull"),)
    assert told((job(containers=bad, deleting=True), pod(9, ready=False, pooler=True, containers=bad)))[0] == (
        "provisioning creating"
    )


def test_a_cause_is_told_while_a_database_wakes_or_restarts_too() -> None:
    bad = pod(1, ready=False, containers=(container(waiting="ImagePullBackOff"),))
    asleep = cluster(generation=2, hibernation="on", hibernated=True, ready_instances=0, healthy=())
    database = Database(ready_database())
    database.see(asleep, pods=())
    awake = changed(asleep, generation=3, hibernation="off", hibernated=None)
    assert database.see(awake, pods=(bad,), after=5) == "resuming image_pull_failed"
    restarting = cluster(generation=2, restarted_at="x", phase="Upgrading cluster", ready_instances=1)
    assert Database(ready_database()).see(restarting, pods=(bad, pod(2))) == "restarting image_pull_failed"


def test_only_what_waiting_cannot_heal_is_final() -> None:
    assert Reason.IMAGE_PULL_FAILED not in FINAL_REASONS
    assert Reason.PLUGIN_FAILED not in FINAL_REASONS
    assert Reason.OUT_OF_MEMORY in FINAL_REASONS
