"""Phases, reasons and conditions in CloudNativePG's own words (1.30, from recordings of the real operator)."""

from collections.abc import Mapping
from typing import Any, Final

from postern_common.contracts.kubernetes import CONDITION_HIBERNATION

SETTING_UP: Final = "Setting up primary"
CREATING_REPLICA: Final = "Creating a new replica"
WAITING: Final = "Waiting for the instances to become active"
HEALTHY: Final = "Cluster in healthy state"
APPLYING_CONFIGURATION: Final = "Applying configuration"
UPGRADING: Final = "Upgrading cluster"
RESTARTING_IN_PLACE: Final = "Primary instance is being restarted in-place"
RESTARTING_PRIMARY: Final = "Primary instance is being restarted without a switchover"
SWITCHOVER: Final = "Switchover in progress"
FAILING_OVER: Final = "Failing over"
MAJOR_UPGRADE: Final = "Upgrading Postgres major version"
UNRECOVERABLE: Final = "Cluster is unrecoverable and needs manual intervention"
BAD_CATALOG: Final = "Cluster has incomplete or invalid image catalog"

WAITING_REASON: Final = "Some instances are not yet active. Please wait."
RESTARTED_BY_ANNOTATION: Final = "cluster has been explicitly restarted via annotation"
RESOURCES_DIFFER: Final = "original and target PodSpec differ in containers: container postgres differs in resources"
CONFIGURATION_NEEDS_RESTART: Final = "Postgres needs a restart to apply some configuration changes"
RESTARTED_IN_PLACE: Final = "Primary instance restarted in-place"

PENDING: Final = "pending"
"""``status.targetPrimary`` while nobody knows yet who the next primary is."""

_MESSAGES = {
    ("Ready", "ClusterIsReady"): "Cluster is Ready",
    ("Ready", "ClusterIsNotReady"): "Cluster Is Not Ready",
    ("Initialized", "BootstrapPending"): "Cluster has not been bootstrapped yet",
    ("Initialized", "BootstrapCompleted"): "Cluster has been bootstrapped",
    ("ConsistentSystemID", "NotFound"): "No instances are present in the cluster to report a system ID.",
    ("ConsistentSystemID", "Unique"): "A single, unique system ID was found across reporting instances.",
    ("ContinuousArchiving", "ContinuousArchivingSuccess"): "Continuous archiving is working",
    (CONDITION_HIBERNATION, "DeletingPods"): "Hibernation is in progress",
    (CONDITION_HIBERNATION, "Hibernated"): "Cluster has been hibernated",
    (
        CONDITION_HIBERNATION,
        "WaitingForHealthy",
    ): "Waiting for the cluster to be healthy before proceeding with hibernation",
}


def condition_of(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return a condition, or None when it is absent."""
    return next((each for each in status.get("conditions") or () if each.get("type") == kind), None)


def set_condition(
    status: dict[str, Any], kind: str, reason: str, *, holds: bool, now: str, message: str | None = None
) -> None:
    """Set a condition in place; ``lastTransitionTime`` moves only with its status."""
    conditions = [dict(each) for each in status.get("conditions") or ()]
    value = "True" if holds else "False"
    text = message or _MESSAGES.get((kind, reason), reason)
    present = next((each for each in conditions if each["type"] == kind), None)
    if present is None:
        present = {"type": kind}
        conditions.append(present)
    if present.get("status") != value:
        present["lastTransitionTime"] = now
    present.update(status=value, reason=reason, message=text)
    status["conditions"] = conditions


def drop_condition(status: dict[str, Any], kind: str) -> None:
    """Remove a condition in place."""
    status["conditions"] = [each for each in status.get("conditions") or () if each.get("type") != kind]


def set_phase(status: dict[str, Any], phase: str, reason: str | None, *, now: str) -> None:
    """Set phase and reason in place; ``Ready`` never says more than that the phase is healthy."""
    status["phase"] = phase
    if reason is None:
        status.pop("phaseReason", None)
    else:
        status["phaseReason"] = reason
    healthy = phase == HEALTHY
    set_condition(status, "Ready", "ClusterIsReady" if healthy else "ClusterIsNotReady", holds=healthy, now=now)
