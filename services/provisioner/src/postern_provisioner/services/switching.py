"""Switchovers: the one action that is no desired state; a status patch under an optimistic lock (semantics 5)."""

from datetime import UTC, datetime
from typing import Any

from postern_common.contracts.reasons import Reason
from postern_common.errors import TransientError
from postern_common.kube.errors import ConflictError
from postern_common.kube.paths import CLUSTERS
from postern_common.logging import get_logger
from postern_common.runtime import crashpoint
from postern_provisioner.domain.crashpoints import AFTER_SWITCHOVER
from postern_provisioner.domain.switchover import SwitchoverDone, plan_switchover
from postern_provisioner.domain.target import Target
from postern_provisioner.services.lease import Lease
from postern_provisioner.storage.objects import ObjectStore

PHASE = "Switchover in progress"
PLANS = 5
"""The operator writes the status often; so many conflicts are answered at once by reading again."""

log = get_logger(__name__)


class SwitchoverService:
    """Moves a primary away from the instance that the command named."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def switch(self, target: Target, cluster: dict[str, Any], lease: Lease) -> None:
        """Ask the operator for another primary, unless there is one already. ``cluster`` is fresh from the apply.

        Raises ``TransientError`` while nobody can take over, ``PermanentError`` after the action's deadline.
        """
        assert target.pending_switchover is not None
        found: dict[str, Any] | None = cluster
        for _ in range(PLANS):
            if found is None:
                break
            plan = plan_switchover(
                found.get("status") or {},
                expected_primary=target.pending_switchover,
                age_seconds=target.age_seconds,
            )
            if isinstance(plan, SwitchoverDone):
                return
            lease.require()
            try:
                await self._objects.patch_status(found, _status(plan.instance))
            except ConflictError:
                found = await self._objects.get(CLUSTERS, target.identity.cluster_name, target.identity.namespace)
                continue
            crashpoint(AFTER_SWITCHOVER)
            log.info("switchover_started", instance=plan.instance)
            return
        raise TransientError(Reason.APPLY_CONFLICT, "the cluster's status changes too often to write to it")


def _status(instance: str) -> dict[str, str]:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        "targetPrimary": instance,
        "targetPrimaryTimestamp": now,
        "phase": PHASE,
        "phaseReason": f"Switching over to {instance}",
    }
