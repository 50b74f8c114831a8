"""Where a primary moves to: the one decision of a switchover (semantics 5), from the Cluster's status alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postern_common.contracts.reasons import Reason
from postern_common.errors import PermanentError, TransientError

DEADLINE_SECONDS = 10 * 60.0
"""Deadline of an action (semantics 16): a primary must not move an hour after somebody asked for it."""


@dataclass(frozen=True, slots=True)
class SwitchoverDone:
    """The primary is another one already, or on its way there."""


@dataclass(frozen=True, slots=True)
class MoveTo:
    """Ask the operator to promote this instance."""

    instance: str


def plan_switchover(status: Mapping[str, Any], *, expected_primary: str, age_seconds: float) -> SwitchoverDone | MoveTo:
    """What to do so that ``expected_primary`` stops being the primary.

    Raises ``TransientError`` while no replica is healthy or a failover is under way, ``PermanentError`` after the
    action's deadline.
    """
    current = status.get("currentPrimary")
    if current and current != expected_primary:
        return SwitchoverDone()
    target = status.get("targetPrimary")
    if target and target not in (expected_primary, "pending"):
        return SwitchoverDone()
    if age_seconds > DEADLINE_SECONDS:
        raise PermanentError(
            Reason.DEADLINE_EXCEEDED, "no replica became healthy in time, the primary stays where it is"
        )
    if target == "pending":
        raise TransientError(Reason.FAILOVER, "a failover is under way")
    candidates = sorted(healthy_instances(status) - {expected_primary})
    if not current or not candidates:
        raise TransientError(Reason.INSTANCES_MISSING, "no healthy replica to switch over to")
    return MoveTo(candidates[0])


def healthy_instances(status: Mapping[str, Any]) -> set[str]:
    """Names of the instances that the operator calls healthy."""
    by_health = status.get("instancesStatus")
    healthy = by_health.get("healthy") if isinstance(by_health, Mapping) else None
    return {name for name in healthy or () if isinstance(name, str)}
