"""Why a pod could not run in a cluster: pure checks in place of scheduler, volume binder, kubelet and OOM killer."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from postern_devcluster.operator.domain.images import pullable
from postern_devcluster.operator.domain.quantities import parse_quantity
from postern_devcluster.operator.domain.spec import ClusterSpec

SMALLEST_MEMORY = Fraction(64 * 2**20)
"""initdb of a current PostgreSQL does not get through with this much memory or less."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a pod from running: kind is ``storage``, ``memory``, ``image`` or ``killed``."""

    kind: str
    message: str


def find_obstacle(
    spec: ClusterSpec, *, majors: Sequence[int], class_exists: bool, allocatable_memory: Fraction | None
) -> Obstacle | None:
    """Return the first thing in a pod's way, in the order in which Kubernetes would meet it; None when it runs."""
    if not class_exists:
        return Obstacle("storage", f'storageclass.storage.k8s.io "{spec.storage_class}" not found')
    request, limit = _memory(spec, "requests"), _memory(spec, "limits")
    asked = request if request is not None else limit
    if asked is not None and allocatable_memory is not None and asked > allocatable_memory:
        return Obstacle(
            "memory",
            "0/1 nodes are available: 1 Insufficient memory. no new claims to deallocate, preemption: 0/1 nodes are "
            "available: 1 Preemption is not helpful for scheduling.",
        )
    if not pullable(spec.image, majors):
        return Obstacle("image", f'failed to resolve reference "{spec.image}": not found on this machine')
    if limit is not None and limit <= SMALLEST_MEMORY:
        return Obstacle("killed", "the container used more memory than its limit")
    return None


def _memory(spec: ClusterSpec, kind: str) -> Fraction | None:
    value = (spec.resources.get(kind) or {}).get("memory")
    try:
        return None if value is None else parse_quantity(value)
    except ValueError:
        return None
