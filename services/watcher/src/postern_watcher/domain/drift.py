"""Drift: somebody else edited or deleted a Cluster of ours (semantics 11).

Told by what only moves with a write: Kubernetes' own generation of the spec, and the marks (action annotations and
identity labels). Our own writes come with a new Postern generation, or (repairs, the way out of a refused resize) under
our field manager.
"""

from dataclasses import dataclass

from postern_common.contracts.kubernetes import FIELD_MANAGER
from postern_common.contracts.states import DatabaseState
from postern_watcher.domain.facts import ClusterFacts
from postern_watcher.domain.record import Record

UNKNOWN_EDITOR = "unknown"
_GONE = frozenset({DatabaseState.DELETING, DatabaseState.DELETED})


@dataclass(frozen=True, slots=True)
class Drift:
    """Who (a field manager, where known) did what."""

    who: str
    what: str


def find_drift(record: Record | None, cluster: ClusterFacts | None) -> Drift | None:
    """The drift between the last record and the Cluster as it is now (None: it is gone)."""
    if record is None:
        return None
    if cluster is None or cluster.deleting:
        if record.observed.goal == DatabaseState.DELETED.value or record.observed.state in _GONE:
            return None
        if cluster is not None and cluster.goal == DatabaseState.DELETED.value:
            return None
        return Drift(UNKNOWN_EDITOR, "the cluster was deleted")
    if record.observed.uid != cluster.uid or record.observed.generation != cluster.generation:
        return None
    if cluster.editor == FIELD_MANAGER:
        return None
    who = cluster.editor or UNKNOWN_EDITOR
    if record.spec_generation != cluster.spec_generation:
        return Drift(who, "the spec was edited")
    if record.marks != cluster.marks:
        return Drift(who, "an annotation or a label of ours was edited")
    return None
