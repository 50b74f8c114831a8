"""``derive_state``: the state of a database from what its objects show (semantics 6-10).

Pure, so that every phase and every trap is a row in a table of cases, and so that recorded histories can be replayed
through it. The rules are a list; the first that applies decides. What is proven about the generation in sight is worked
out before (``progress``), causes from pods and volumes after.
"""

from dataclasses import dataclass

from postern_common.contracts.reasons import FINAL_REASONS, Reason
from postern_common.contracts.states import DatabaseState
from postern_watcher.domain.causes import Cause, Symptoms, find_cause, recheck_cause_after
from postern_watcher.domain.facts import ClusterFacts, PodFacts, VolumeFacts, WarningFacts
from postern_watcher.domain.observed import Observed, Sight
from postern_watcher.domain.progress import Progress, follow_progress
from postern_watcher.domain.quantities import parse_quantity
from postern_watcher.domain.rules import Verdict, View, decide

DEGRADED_PATIENCE = 1.0
"""Seconds that a lack of instances is held back: every failover begins with a moment of it (semantics 8)."""
MAX_MESSAGE = 500

_CAUSE_STATES = frozenset(
    {
        DatabaseState.PROVISIONING,
        DatabaseState.UPDATING,
        DatabaseState.RESTARTING,
        DatabaseState.RESUMING,
        DatabaseState.UNAVAILABLE,
        DatabaseState.DEGRADED,
    }
)


def derive_state(  # noqa: PLR0917 (the past, the clock, and one argument a kind)
    previous: Observed | None,
    now: float,
    cluster: ClusterFacts | None,
    pvcs: tuple[VolumeFacts, ...],
    pods: tuple[PodFacts, ...],
    events: tuple[WarningFacts, ...],
) -> tuple[Observed, float | None]:
    """What the database is at ``now`` (seconds since the epoch), and after how many seconds to look again unasked.

    ``previous`` is the last result for this database, None when there is none; without a Cluster there must be one.
    """
    if cluster is None:
        if previous is None:
            raise ValueError("a database without a Cluster and without a past has no state")
        return _without_cluster(previous, now, pvcs, pods), None
    progress = follow_progress(previous, now, cluster, pvcs, pods)
    symptoms = Symptoms(pods, pvcs, events, now)
    view = View(previous=previous, now=now, cluster=cluster, volumes=pvcs, pods=pods, progress=progress)
    verdict = decide(view)
    cause = find_cause(symptoms) if verdict.state in _CAUSE_STATES and not progress.ready else None
    if cause is not None:
        verdict = _explained(verdict, cause, progress)
    held = _hold(previous, now, verdict)
    waits = [progress.recheck_after, verdict.recheck_after, held.recheck_after]
    if verdict.state in _CAUSE_STATES:
        waits.append(recheck_cause_after(symptoms))
    recheck_after = min((wait for wait in waits if wait is not None), default=None)
    return _result(view, held, now), recheck_after


@dataclass(frozen=True, slots=True)
class _Held:
    """A verdict after the patience for ``degraded``."""

    state: DatabaseState
    reason: Reason
    message: str
    troubled_since: float | None
    recheck_after: float | None


def _without_cluster(
    previous: Observed, now: float, volumes: tuple[VolumeFacts, ...], pods: tuple[PodFacts, ...]
) -> Observed:
    """``deleted`` only when pods and volumes are gone, too; a Pooler survives its Cluster and does not count."""
    asked = previous.goal == DatabaseState.DELETED.value
    left = [pod.name for pod in pods if not pod.pooler] + [volume.name for volume in volumes]
    if left:
        state = DatabaseState.DELETING
        reason = Reason.DELETION_REQUESTED if asked else Reason.VANISHED
        message = f"the cluster is gone, {len(left)} of its pods and volumes are not yet"
    else:
        state = DatabaseState.DELETED
        reason = Reason.REMOVED if asked else Reason.VANISHED
        message = "the cluster, its pods and its volumes are gone"
    if not asked:
        message += "; nobody asked for that here"
    return Observed(
        state=state,
        reason=reason,
        message=message,
        since=previous.since if previous.state is state else now,
        uid=previous.uid,
        generation=previous.generation,
        observed_generation=max(previous.observed_generation, previous.generation if asked and not left else 0),
        goal=previous.goal,
        ever_ready=previous.ever_ready,
        instances=0,
        ready_instances=0,
        primary=None,
        version=previous.version,
        storage=previous.storage,
        image=previous.image,
        handled_restarted_at=previous.handled_restarted_at,
        proven_hidden=previous.proven_hidden,
        sight=Sight(seen_at=previous.sight.seen_at),
    )


def _explained(verdict: Verdict, cause: Cause, progress: Progress) -> Verdict:
    """The verdict with a cause that pods, volumes or events show; final for a database that never was ready."""
    final = cause.reason in FINAL_REASONS and not progress.ever_ready
    state = DatabaseState.FAILED if final and verdict.state is DatabaseState.PROVISIONING else verdict.state
    return Verdict(state, cause.reason, cause.message, recheck_after=verdict.recheck_after, patient=verdict.patient)


def _hold(previous: Observed | None, now: float, verdict: Verdict) -> _Held:
    """Keep the previous state for a moment where a verdict asks for patience."""
    plain = _Held(verdict.state, verdict.reason, verdict.message, None, None)
    if not verdict.patient or previous is None or previous.state is verdict.state:
        return plain
    since = previous.troubled_since if previous.troubled_since is not None else now
    left = DEGRADED_PATIENCE - (now - since)
    if left <= 0:
        return plain
    return _Held(previous.state, previous.reason, previous.message, since, left)


def _result(view: View, held: _Held, now: float) -> Observed:
    cluster, progress, previous = view.cluster, view.progress, view.previous
    proven = progress.sight.proven
    ready = held.state is DatabaseState.READY
    return Observed(
        state=held.state,
        reason=held.reason,
        message=_plain(held.message),
        since=previous.since if previous is not None and previous.state is held.state else now,
        uid=cluster.uid,
        generation=cluster.generation,
        observed_generation=progress.observed_generation,
        goal=cluster.goal,
        ever_ready=progress.ever_ready or ready,
        instances=cluster.status_instances,
        ready_instances=cluster.ready_instances,
        primary=cluster.current_primary if held.state is not DatabaseState.HIBERNATED else None,
        version=cluster.major,
        storage=_smallest_capacity(view.volumes),
        image=cluster.status_image,
        handled_restarted_at=progress.handled_restarted_at,
        proven_hidden=cluster.hidden if proven else progress.proven_hidden,
        troubled_since=held.troubled_since,
        sight=progress.sight,
    )


def _smallest_capacity(volumes: tuple[VolumeFacts, ...]) -> str | None:
    sizes: list[str] = [volume.capacity for volume in volumes if volume.data and volume.capacity]
    try:
        return min(sizes, key=parse_quantity, default=None)
    except ValueError:
        return sizes[0]


def _plain(text: str) -> str:
    """One line without control characters, at most ``MAX_MESSAGE`` long: it comes from outside."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= MAX_MESSAGE else words[: MAX_MESSAGE - 1] + "…"
