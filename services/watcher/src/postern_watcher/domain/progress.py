"""Whether the generation in sight is proven: the answer to "is the cluster what was asked?" (semantics 6).

Right after an apply the old status still stands there, healthy and complete. So a match alone proves nothing: it needs
evidence that the operator noticed, or two quiet seconds where a change leaves no trace.
"""

from dataclasses import dataclass

from postern_watcher.domain.comparison import Mismatch, compare, restart_pending
from postern_watcher.domain.facts import HEALTHY_PHASE, ClusterFacts, PodFacts, VolumeFacts
from postern_watcher.domain.observed import Observed, Sight

QUIET_SECONDS = 2.0
"""Healthy and matching for this long without contradiction counts as observed."""
REACTION_SECONDS = 0.5
"""A healthy phase sooner than this after the generation appeared may stem from a reconcile that had not read it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known about the generation in sight."""

    mismatches: frozenset[Mismatch]
    sight: Sight
    observed_generation: int
    ever_ready: bool
    restart_asked: bool
    """A restart was asked and not every instance has been through it."""
    handled_restarted_at: str | None
    proven_hidden: str
    recheck_after: float | None

    @property
    def ready(self) -> bool:
        """Everything matches and is proven; the phase has still to agree."""
        return self.sight.proven and not self.mismatches


def follow_progress(
    previous: Observed | None,
    now: float,
    cluster: ClusterFacts,
    volumes: tuple[VolumeFacts, ...],
    pods: tuple[PodFacts, ...],
) -> Progress:
    """Carry the marks of the generation in sight forward to ``now``."""
    same_object = previous is not None and previous.uid == cluster.uid
    past = previous if same_object else None
    mismatches = compare(cluster, volumes, pods)
    sight = _look(past, now, cluster, mismatches)
    proven_hidden = past.proven_hidden if past else ""
    recheck_after = None
    if not sight.proven:
        proven, recheck_after = _prove(sight, now, cluster, mismatches, proven_hidden)
        if proven:
            sight = Sight(
                seen_at=sight.seen_at, differed=sight.differed, reacted=sight.reacted, calm_since=sight.calm_since,
                proven=True,
            )  # fmt: skip
    observed = previous.observed_generation if previous else 0
    if cluster.generation_is_ours and observed > cluster.generation:
        # what was observed before was somebody else's number: ours is the highest that there can be (docs/adr/0018)
        observed = cluster.generation - 1
    handled = _handled_restart(past, cluster, pods, sight)
    return Progress(
        mismatches=mismatches,
        sight=sight,
        observed_generation=max(observed, cluster.generation) if sight.proven else observed,
        ever_ready=past.ever_ready if past else False,
        restart_asked=bool(cluster.restarted_at) and cluster.restarted_at != handled,
        handled_restarted_at=handled,
        proven_hidden=proven_hidden,
        recheck_after=recheck_after,
    )


def _look(past: Observed | None, now: float, cluster: ClusterFacts, mismatches: frozenset[Mismatch]) -> Sight:
    known = past is not None and past.generation == cluster.generation
    before = past.sight if past is not None and known else Sight(seen_at=now, differed=bool(mismatches))
    healthy = cluster.phase == HEALTHY_PHASE
    matches = healthy and not mismatches
    calm_since = (before.calm_since if before.calm_since is not None else now) if matches else None
    return Sight(
        seen_at=before.seen_at,
        differed=before.differed,
        reacted=before.reacted or not healthy,
        calm_since=calm_since,
        proven=before.proven,
    )


def _prove(
    sight: Sight, now: float, cluster: ClusterFacts, mismatches: frozenset[Mismatch], proven_hidden: str
) -> tuple[bool, float | None]:
    """Whether the generation is proven now, else after how many seconds it may be without a further change."""
    if cluster.hibernation == "on":
        return bool(cluster.hibernated) and cluster.ready_instances == 0, None
    if mismatches or sight.calm_since is None:
        return False, None
    hidden_changed = bool(proven_hidden) and cluster.hidden != proven_hidden
    if sight.differed and not hidden_changed:
        return True, None
    waits = [QUIET_SECONDS - (now - sight.calm_since)]
    if sight.reacted and not (sight.differed and hidden_changed):
        waits.append(REACTION_SECONDS - (now - sight.seen_at))
    wait = min(waits)
    return (True, None) if wait <= 0 else (False, wait)


def _handled_restart(
    past: Observed | None, cluster: ClusterFacts, pods: tuple[PodFacts, ...], sight: Sight
) -> str | None:
    """The restart that every instance has been through; a new object's instances start with theirs."""
    if sight.proven and not restart_pending(cluster, pods):
        return cluster.restarted_at
    return past.handled_restarted_at if past else cluster.restarted_at
