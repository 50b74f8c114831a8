"""What a write would do to the database's users: the ``impact`` of a dry run. Pure, on the same decision as the
write.
"""

from typing import Literal

from postern_common.contracts.states import OperationType
from postern_common.errors import ClientError
from postern_gateway.domain.catalogue import Offer
from postern_gateway.domain.quantities import parse_bytes, parse_millicores
from postern_gateway.domain.records import DatabaseRecord
from postern_gateway.domain.representations import Impact, Rejection, StorageChange, Usage
from postern_gateway.domain.validation import changed_restart_parameters
from postern_gateway.domain.writes import Change

Downtime = Literal["none", "seconds", "until_resumed", "permanent"]
Interruption = tuple[bool, Downtime, bool]
"""Do instances restart, for how long does nothing serve, does the primary move."""

_FIXED: dict[OperationType, Interruption] = {
    OperationType.DELETE: (False, "permanent", False),
    OperationType.HIBERNATE: (False, "until_resumed", False),
    OperationType.RESUME: (False, "none", False),
    OperationType.SWITCHOVER: (False, "seconds", True),
    OperationType.RESTART: (True, "seconds", False),
    OperationType.RELOAD: (False, "none", False),
}


def build_impact(offer: Offer, before: DatabaseRecord | None, change: Change, usage: Usage) -> Impact:
    """The effect of an accepted ``change``. ``usage`` is the project's before it."""
    after = change.database
    restarts, downtime, failover = _interruption(offer, before, change)
    storage = None
    if before is not None and before.desired.storage != after.desired.storage:
        storage = StorageChange(before.desired.storage, after.desired.storage)
    return Impact(restarts, downtime, failover, storage, usage_after(usage, before, after), [])


def build_rejected(error: ClientError, usage: Usage) -> Impact:
    """What a write would be refused with, as the state is now."""
    rejected = [Rejection(v.code, v.detail, v.pointer) for v in error.errors] or [Rejection(error.code, error.detail)]
    return Impact(
        restarts=False, downtime="none", failover=False, storage_change=None, quota_after=usage, rejected=rejected
    )


def _interruption(offer: Offer, before: DatabaseRecord | None, change: Change) -> Interruption:
    operation = change.operation
    if before is None or operation is None:
        return False, "none", False
    fixed = _FIXED.get(operation.type)
    if fixed is not None:
        return fixed
    old, new = before.desired, change.database.desired
    restarts = (old.cpu, old.memory) != (new.cpu, new.memory) or bool(changed_restart_parameters(offer, old, new))
    return (True, "seconds", False) if restarts and not new.hibernated else (False, "none", False)


def usage_after(usage: Usage, before: DatabaseRecord | None, after: DatabaseRecord) -> Usage:
    """The project's totals once ``after`` stands in the place of ``before``; a database on its way out counts until
    gone.
    """
    old = Usage(0, 0, 0, 0, 0) if before is None else usage_of(before)
    new = usage_of(after)
    return Usage(
        databases=usage.databases - old.databases + new.databases,
        instances=usage.instances - old.instances + new.instances,
        cpu_millis=usage.cpu_millis - old.cpu_millis + new.cpu_millis,
        memory_bytes=usage.memory_bytes - old.memory_bytes + new.memory_bytes,
        storage_bytes=usage.storage_bytes - old.storage_bytes + new.storage_bytes,
    )


def usage_of(database: DatabaseRecord) -> Usage:
    """What one database takes: a hibernated one keeps its volumes only, one being deleted is counted out."""
    desired = database.desired
    if database.is_deleting:
        return Usage(0, 0, 0, 0, 0)
    running = 0 if desired.hibernated else desired.instances
    return Usage(
        databases=1,
        instances=running,
        cpu_millis=running * parse_millicores(desired.cpu),
        memory_bytes=running * parse_bytes(desired.memory),
        storage_bytes=desired.instances * parse_bytes(desired.storage),
    )
