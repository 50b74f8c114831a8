"""Every phase of CloudNativePG, on a database that was never ready, on a ready one, and on one without a primary."""

from typing import Any

import pytest
from tests.unit.watcher.making import Database, cluster, new_database, ready_database

from postern_watcher.domain.phases import PHASES

HALF: dict[str, Any] = {"ready_instances": 1, "healthy": ("orders-1a2b3c-1",)}
NONE: dict[str, Any] = {"ready_instances": 0, "healthy": ()}

# phase: never ready · was ready, all but one instance ready · was ready, no primary
TABLE = {
    "Setting up primary": ("provisioning creating", "updating creating", "unavailable no_ready_primary"),
    "Creating a new replica": ("provisioning creating", "updating scaling", "unavailable no_ready_primary"),
    "Waiting for the instances to become active": (
        "provisioning creating",
        "updating instances_missing",
        "unavailable no_ready_primary",
    ),
    "Cluster in healthy state": ("provisioning creating", "degraded instances_missing", "unavailable no_ready_primary"),
    "Applying configuration": ("provisioning creating", "updating applying", "unavailable no_ready_primary"),
    "Upgrading cluster": ("provisioning creating", "updating rolling", "unavailable no_ready_primary"),
    "Cluster upgrade delayed": ("provisioning creating", "updating upgrade_delayed", "unavailable no_ready_primary"),
    "Waiting for user action": ("provisioning creating", "updating waiting_for_user", "unavailable no_ready_primary"),
    "Primary instance is being restarted in-place": (
        "provisioning creating",
        "restarting rolling",
        "restarting rolling",
    ),
    "Primary instance is being restarted without a switchover": (
        "provisioning creating",
        "restarting rolling",
        "restarting rolling",
    ),
    "Online upgrade in progress": ("provisioning creating", "updating rolling", "unavailable no_ready_primary"),
    "Upgrading Postgres major version": ("upgrading major_upgrade",) * 3,
    "Switchover in progress": ("failing_over switchover",) * 3,
    "Failing over": ("failing_over failover",) * 3,
    "Promoting to primary cluster": ("provisioning creating", "updating applying", "unavailable no_ready_primary"),
    "Cluster is unrecoverable and needs manual intervention": ("failed cluster_unrecoverable",) * 3,
    "Unable to create required cluster objects": (
        "provisioning objects_not_created",
        "degraded objects_not_created",
        "unavailable objects_not_created",
    ),
    "Invalid cluster definition": ("failed invalid_definition",) * 3,
    "Cluster has incomplete or invalid image catalog": ("failed image_catalog_incomplete",) * 3,
    "Cluster cannot execute instance online upgrade due to missing architecture binary": (
        "failed architecture_binary_missing",
    )
    * 3,
    "Cluster cannot proceed to reconciliation due to an unknown plugin being required": ("failed plugin_failed",) * 3,
    "Cluster cannot proceed to reconciliation due to an error while interacting with plugins": ("failed plugin_failed",)
    * 3,
}


def test_the_table_holds_all_22_phases() -> None:
    assert set(TABLE) == set(PHASES)
    assert len(TABLE) == 22


@pytest.mark.parametrize("phase", TABLE)
def test_a_phase_of_a_database_that_never_was_ready(phase: str) -> None:
    database = Database(new_database())
    database.see(cluster(phase=phase, **NONE), pods=())
    assert database.see(cluster(phase=phase, **NONE), pods=(), after=1.1) == TABLE[phase][0]


@pytest.mark.parametrize("phase", TABLE)
def test_a_phase_of_a_database_that_serves_with_one_instance_less(phase: str) -> None:
    database = Database(ready_database())
    database.see(cluster(phase=phase, **HALF), pods=())
    assert database.see(cluster(phase=phase, **HALF), pods=(), after=1.1) == TABLE[phase][1]


@pytest.mark.parametrize("phase", TABLE)
def test_a_phase_of_a_database_without_a_ready_primary(phase: str) -> None:
    database = Database(ready_database())
    database.see(cluster(phase=phase, **NONE), pods=())
    assert database.see(cluster(phase=phase, **NONE), pods=(), after=1.1) == TABLE[phase][2]


@pytest.mark.parametrize("phase", ["Doing something new", "cluster in healthy state"])
def test_a_phase_that_is_not_known_is_neither_health_nor_failure_and_is_told(phase: str) -> None:
    database = Database(ready_database())
    assert database.see(cluster(phase=phase, phase_reason="for a test")) == "updating unknown_phase"
    assert database.observed is not None
    assert database.observed.message == f"{phase}: for a test"
    assert Database(ready_database()).see(cluster(phase=phase, **NONE), pods=()) == "unavailable no_ready_primary"
    assert Database(new_database()).see(cluster(phase=phase)) == "provisioning unknown_phase"


def test_no_phase_yet_is_a_creation() -> None:
    database = Database()
    facts = cluster(phase="", status_instances=0, ready_instances=0, healthy=(), current_primary=None)
    assert database.see(facts, pods=(), volumes=()) == "provisioning creating"
