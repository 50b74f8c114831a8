"""CloudNativePG's 22 phases as a table: what each means while nothing stronger (deletion, hibernation) decides.

The strings are those of CNPG 1.30 (``api/v1/cluster_types.go``). Separate because it is the one place to touch when the
operator learns a new phase; an unknown one is never taken for health or failure (semantics 9).
"""

from dataclasses import dataclass
from enum import Enum, auto

from postern_common.contracts.reasons import Reason
from postern_watcher.domain.facts import HEALTHY_PHASE


class PhaseKind(Enum):
    """How a phase takes part in the derivation."""

    HEALTHY = auto()
    """The operator is content; comparison with what was asked decides."""
    STARTING = auto()
    """The first instance is being made."""
    MOVING = auto()
    """Instances or configuration change, the primary serves as far as it is ready."""
    RESTARTING = auto()
    """The primary itself restarts."""
    FAILING_OVER = auto()
    """The primary moves to another instance."""
    UPGRADING = auto()
    """A major upgrade: offline."""
    STUCK = auto()
    """The operator cannot make its objects, what runs goes on running."""
    FAILED = auto()
    """The operator has given up, or waits for something outside the cluster."""


@dataclass(frozen=True, slots=True)
class PhaseMeaning:
    """Kind of a phase and the reason it gives by itself."""

    kind: PhaseKind
    reason: Reason


PHASES: dict[str, PhaseMeaning] = {
    "Setting up primary": PhaseMeaning(PhaseKind.STARTING, Reason.CREATING),
    "Creating a new replica": PhaseMeaning(PhaseKind.MOVING, Reason.SCALING),
    "Waiting for the instances to become active": PhaseMeaning(PhaseKind.MOVING, Reason.INSTANCES_MISSING),
    HEALTHY_PHASE: PhaseMeaning(PhaseKind.HEALTHY, Reason.HEALTHY),
    "Applying configuration": PhaseMeaning(PhaseKind.MOVING, Reason.APPLYING),
    "Upgrading cluster": PhaseMeaning(PhaseKind.MOVING, Reason.ROLLING),
    "Cluster upgrade delayed": PhaseMeaning(PhaseKind.MOVING, Reason.UPGRADE_DELAYED),
    "Waiting for user action": PhaseMeaning(PhaseKind.MOVING, Reason.WAITING_FOR_USER),
    "Primary instance is being restarted in-place": PhaseMeaning(PhaseKind.RESTARTING, Reason.ROLLING),
    "Primary instance is being restarted without a switchover": PhaseMeaning(PhaseKind.RESTARTING, Reason.ROLLING),
    "Online upgrade in progress": PhaseMeaning(PhaseKind.MOVING, Reason.ROLLING),
    "Upgrading Postgres major version": PhaseMeaning(PhaseKind.UPGRADING, Reason.MAJOR_UPGRADE),
    "Switchover in progress": PhaseMeaning(PhaseKind.FAILING_OVER, Reason.SWITCHOVER),
    "Failing over": PhaseMeaning(PhaseKind.FAILING_OVER, Reason.FAILOVER),
    "Promoting to primary cluster": PhaseMeaning(PhaseKind.MOVING, Reason.APPLYING),
    "Cluster is unrecoverable and needs manual intervention": PhaseMeaning(
        PhaseKind.FAILED, Reason.CLUSTER_UNRECOVERABLE
    ),
    "Unable to create required cluster objects": PhaseMeaning(PhaseKind.STUCK, Reason.OBJECTS_NOT_CREATED),
    "Invalid cluster definition": PhaseMeaning(PhaseKind.FAILED, Reason.INVALID_DEFINITION),
    "Cluster has incomplete or invalid image catalog": PhaseMeaning(PhaseKind.FAILED, Reason.IMAGE_CATALOG_INCOMPLETE),
    "Cluster cannot execute instance online upgrade due to missing architecture binary": PhaseMeaning(
        PhaseKind.FAILED, Reason.ARCHITECTURE_BINARY_MISSING
    ),
    "Cluster cannot proceed to reconciliation due to an unknown plugin being required": PhaseMeaning(
        PhaseKind.FAILED, Reason.PLUGIN_FAILED
    ),
    "Cluster cannot proceed to reconciliation due to an error while interacting with plugins": PhaseMeaning(
        PhaseKind.FAILED, Reason.PLUGIN_FAILED
    ),
}

_UNKNOWN = PhaseMeaning(PhaseKind.MOVING, Reason.UNKNOWN_PHASE)
_NOT_YET = PhaseMeaning(PhaseKind.STARTING, Reason.CREATING)


def meaning_of(phase: str) -> PhaseMeaning:
    """Meaning of a phase; none yet is a start, and a text that this version does not know is a move."""
    if not phase:
        return _NOT_YET
    return PHASES.get(phase, _UNKNOWN)
