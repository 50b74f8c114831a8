"""Facts for tests: a healthy database of two instances, and everything that a test wants different."""

from typing import Any

import msgspec

from postern_common.contracts.reasons import Reason
from postern_common.contracts.states import DatabaseState
from postern_watcher.domain.derivation import derive_state
from postern_watcher.domain.facts import (
    HEALTHY_PHASE,
    ClusterFacts,
    ContainerFacts,
    PodFacts,
    VolumeFacts,
    WarningFacts,
)
from postern_watcher.domain.observed import Observed, Sight

NOW = 1_000_000.0
LIMITS = {"limits.memory": "1Gi", "requests.memory": "1Gi", "requests.cpu": "500m"}


def cluster(**changes: Any) -> ClusterFacts:
    """Two instances, healthy, at generation 1."""
    facts: dict[str, Any] = {
        "namespace": "postern-acme",
        "name": "orders-1a2b3c",
        "uid": "uid-1",
        "resource_version": "100",
        "spec_generation": 1,
        "project": "acme",
        "project_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "database": "orders",
        "database_id": "01890a5d-ac96-774b-bcce-b30209000001",
        "generation": 1,
        "operation_id": "01890a5d-ac96-774b-bcce-b30209000002",
        "goal": "ready",
        "instances": 2,
        "image": "postgresql:17.2",
        "storage": "1Gi",
        "resources": LIMITS,
        "hidden": "a",
        "phase": HEALTHY_PHASE,
        "status_instances": 2,
        "ready_instances": 2,
        "healthy": ("orders-1a2b3c-1", "orders-1a2b3c-2"),
        "current_primary": "orders-1a2b3c-1",
        "target_primary": "orders-1a2b3c-1",
        "status_image": "postgresql:17.2",
        "major": 17,
    }
    return ClusterFacts(**{**facts, **changes})


def pod(number: int = 1, **changes: Any) -> PodFacts:
    """A ready instance."""
    facts: dict[str, Any] = {
        "name": f"orders-1a2b3c-{number}",
        "ready": True,
        "image": "postgresql:17.2",
        "resources": LIMITS,
    }
    return PodFacts(**{**facts, **changes})


def job(role: str = "initdb", number: int = 1, **changes: Any) -> PodFacts:
    """The pod of a job that makes an instance."""
    return PodFacts(**{"name": f"orders-1a2b3c-{number}-{role}-x7k2p", "job": role, **changes})


def container(name: str = "postgres", **changes: Any) -> ContainerFacts:
    """A container that has something to tell."""
    return ContainerFacts(name=name, **changes)


def volume(number: int = 1, **changes: Any) -> VolumeFacts:
    """A bound volume of the size that was asked."""
    facts: dict[str, Any] = {
        "name": f"orders-1a2b3c-{number}",
        "bound": True,
        "requested": "1Gi",
        "capacity": "1Gi",
        "storage_class": "standard",
    }
    return VolumeFacts(**{**facts, **changes})


def warning(reason: str, name: str, message: str, kind: str = "Pod") -> WarningFacts:
    """A Warning event of this moment."""
    return WarningFacts(kind=kind, name=name, reason=reason, message=message, seen_at=NOW)


PODS = (pod(1), pod(2))
VOLUMES = (volume(1), volume(2))


def ready_database(**changes: Any) -> Observed:
    """What was last derived: ready for a while, generation 1 proven."""
    facts: dict[str, Any] = {
        "state": DatabaseState.READY,
        "reason": Reason.HEALTHY,
        "message": "2 of 2 instances are ready",
        "since": NOW - 600,
        "uid": "uid-1",
        "generation": 1,
        "observed_generation": 1,
        "goal": "ready",
        "ever_ready": True,
        "instances": 2,
        "ready_instances": 2,
        "primary": "orders-1a2b3c-1",
        "version": 17,
        "storage": "1Gi",
        "image": "postgresql:17.2",
        "proven_hidden": "a",
        "sight": Sight(seen_at=NOW - 600, differed=True, reacted=True, calm_since=NOW - 500, proven=True),
    }
    return Observed(**{**facts, **changes})


def new_database(**changes: Any) -> Observed:
    """What was last derived: created, never ready."""
    facts: dict[str, Any] = {
        "state": DatabaseState.PROVISIONING,
        "reason": Reason.CREATING,
        "observed_generation": 0,
        "ever_ready": False,
        "proven_hidden": "",
        "sight": Sight(seen_at=NOW - 30, differed=True, reacted=True),
    }
    return ready_database(**{**facts, **changes})


class Database:
    """A database over time: ``see`` derives from what is given and remembers the result."""

    def __init__(self, before: Observed | None = None) -> None:
        self.observed = before
        self.now = NOW
        self.recheck_after: float | None = None

    def see(
        self,
        facts: ClusterFacts | None,
        *,
        pods: tuple[PodFacts, ...] = PODS,
        volumes: tuple[VolumeFacts, ...] = VOLUMES,
        events: tuple[WarningFacts, ...] = (),
        after: float = 0.0,
    ) -> str:
        """``state reason`` after ``after`` seconds."""
        self.now += after
        self.observed, self.recheck_after = derive_state(self.observed, self.now, facts, volumes, pods, events)
        return f"{self.observed.state} {self.observed.reason}"

    @property
    def generations(self) -> tuple[int, int]:
        """The generation in sight and the observed one."""
        assert self.observed is not None
        return self.observed.generation, self.observed.observed_generation


def changed(facts: ClusterFacts, **changes: Any) -> ClusterFacts:
    """The same Cluster with other facts."""
    return msgspec.structs.replace(facts, **changes)
