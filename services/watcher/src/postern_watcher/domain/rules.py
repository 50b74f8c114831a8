"""The ordered rules of the derivation: first match wins (kubernetes.md "State derivation", semantics 9)."""

from collections.abc import Callable
from dataclasses import dataclass

from postern_common.contracts.reasons import Reason
from postern_common.contracts.states import DatabaseState
from postern_watcher.domain.comparison import Mismatch, has_ready_primary, unrequested_volumes
from postern_watcher.domain.facts import ClusterFacts, PodFacts, VolumeFacts, instance_pods
from postern_watcher.domain.observed import Observed
from postern_watcher.domain.phases import PhaseKind, PhaseMeaning, meaning_of
from postern_watcher.domain.progress import Progress

REFUSAL_SECONDS = 15.0
"""The operator asks for a larger volume within 0.2 s; where it has not after this long, the expansion is refused."""
BUSY_REFUSAL_SECONDS = 60.0
"""The same while the operator is in another phase than healthy and may have other things to do first."""

_HIBERNATION_STATES = frozenset({DatabaseState.HIBERNATING, DatabaseState.HIBERNATED, DatabaseState.RESUMING})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule decides. ``patient``: to be held back for a moment, in case it passes."""

    state: DatabaseState
    reason: Reason
    message: str
    recheck_after: float | None = None
    patient: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a rule may look at."""

    previous: Observed | None
    now: float
    cluster: ClusterFacts
    volumes: tuple[VolumeFacts, ...]
    pods: tuple[PodFacts, ...]
    progress: Progress

    @property
    def meaning(self) -> PhaseMeaning:
        """What the phase means by itself."""
        return meaning_of(self.cluster.phase)

    @property
    def counts(self) -> str:
        """How many instances are ready, in words."""
        return f"{self.cluster.ready_instances} of {self.cluster.instances} instances are ready"

    @property
    def phase_text(self) -> str:
        """The operator's own words."""
        return ": ".join(text for text in (self.cluster.phase, self.cluster.phase_reason) if text)

    @property
    def was(self) -> DatabaseState | None:
        """The previous state, of the same object."""
        if self.previous is None or self.previous.uid != self.cluster.uid:
            return None
        return self.previous.state


def decide(view: View) -> Verdict:
    """The verdict of the first rule that applies."""
    for rule in _RULES:
        verdict = rule(view)
        if verdict is not None:
            return verdict
    return _ready(view)


def _deleting(view: View) -> Verdict | None:
    """Being deleted, or to be deleted next: the goal is applied right before the delete (semantics 15)."""
    asked = view.cluster.goal == DatabaseState.DELETED.value
    if not view.cluster.deleting and not asked:
        return None
    reason = Reason.DELETION_REQUESTED if asked else Reason.VANISHED
    return Verdict(DatabaseState.DELETING, reason, "the cluster is being deleted")


def _hibernation(view: View) -> Verdict | None:
    cluster = view.cluster
    if cluster.hibernation != "on":
        return None
    running = [pod for pod in instance_pods(view.pods) if not pod.ended]
    if cluster.hibernated and cluster.ready_instances == 0 and not running:
        return Verdict(DatabaseState.HIBERNATED, Reason.HIBERNATION_REQUESTED, "no instance runs, the volumes are kept")
    return Verdict(
        DatabaseState.HIBERNATING,
        Reason.HIBERNATION_REQUESTED,
        f"instances are being shut down, {cluster.ready_instances} left",
    )


def _resuming(view: View) -> Verdict | None:
    condition_left = view.cluster.hibernated is not None
    from_sleep = view.was in _HIBERNATION_STATES
    complete = view.progress.ready and view.meaning.kind is PhaseKind.HEALTHY
    if condition_left or (from_sleep and not complete):
        return Verdict(DatabaseState.RESUMING, Reason.RESUME_REQUESTED, view.counts)
    return None


def _failed(view: View) -> Verdict | None:
    if view.meaning.kind is not PhaseKind.FAILED:
        return None
    # While the operator finds its plugins it says for a moment that it cannot: only that failure passes by itself.
    passing = view.meaning.reason is Reason.PLUGIN_FAILED
    return Verdict(DatabaseState.FAILED, view.meaning.reason, view.phase_text, patient=passing)


def _failing_over(view: View) -> Verdict | None:
    if view.meaning.kind is not PhaseKind.FAILING_OVER:
        return None
    return Verdict(DatabaseState.FAILING_OVER, view.meaning.reason, view.phase_text)


def _restarting(view: View) -> Verdict | None:
    """An asked restart from first sight to its end; otherwise a restart of the primary that is no step of a rollout."""
    if not view.progress.ever_ready:
        return None
    kind = view.meaning.kind
    if view.progress.restart_asked and kind in (PhaseKind.HEALTHY, PhaseKind.MOVING, PhaseKind.RESTARTING):
        return Verdict(DatabaseState.RESTARTING, Reason.RESTART_REQUESTED, view.counts)
    if kind is not PhaseKind.RESTARTING:
        return None
    if not view.progress.sight.proven or view.was is DatabaseState.UPDATING:
        return Verdict(DatabaseState.UPDATING, Reason.ROLLING, view.phase_text)
    return Verdict(DatabaseState.RESTARTING, view.meaning.reason, view.phase_text)


def _upgrading(view: View) -> Verdict | None:
    if view.meaning.kind is not PhaseKind.UPGRADING:
        return None
    return Verdict(DatabaseState.UPGRADING, view.meaning.reason, view.phase_text)


def _expansion_refused(view: View) -> Verdict | None:
    """An accepted resize whose volumes the operator never asks to grow: it has stopped reconciling (semantics 18)."""
    if not view.progress.ever_ready or not unrequested_volumes(view.cluster, view.volumes):
        return None
    healthy = view.meaning.kind is PhaseKind.HEALTHY
    left = (REFUSAL_SECONDS if healthy else BUSY_REFUSAL_SECONDS) - (view.now - view.progress.sight.seen_at)
    if left > 0:
        return None
    return Verdict(
        DatabaseState.FAILED,
        Reason.VOLUME_EXPANSION_REFUSED,
        f"the volumes do not grow to {view.cluster.storage}: their storage class does not allow it",
    )


def _no_ready_primary(view: View) -> Verdict | None:
    if has_ready_primary(view.cluster, view.pods):
        return None
    if not view.progress.ever_ready:
        return _provisioning(view)
    others_serve = view.meaning.kind is PhaseKind.HEALTHY and view.cluster.ready_instances > 0
    reason = view.meaning.reason if view.meaning.kind is PhaseKind.STUCK else Reason.NO_READY_PRIMARY
    return Verdict(DatabaseState.UNAVAILABLE, reason, f"no primary is ready, {view.counts}", patient=others_serve)


def _never_ready(view: View) -> Verdict | None:
    if view.progress.ever_ready or (view.progress.ready and view.meaning.kind is PhaseKind.HEALTHY):
        return None
    return _provisioning(view)


def _provisioning(view: View) -> Verdict:
    meaning = view.meaning
    telling = meaning.kind is PhaseKind.STUCK or meaning.reason is Reason.UNKNOWN_PHASE
    reason = meaning.reason if telling else Reason.CREATING
    return Verdict(DatabaseState.PROVISIONING, reason, view.phase_text or "the cluster is being created")


def _updating(view: View) -> Verdict | None:
    progress = view.progress
    kind = view.meaning.kind
    if kind is PhaseKind.STUCK:
        return None
    moving = kind in (PhaseKind.MOVING, PhaseKind.STARTING)
    lasting = progress.mismatches - {Mismatch.INSTANCES, Mismatch.PRIMARY}
    if progress.sight.proven and not moving and not lasting:
        return None
    reason = view.meaning.reason if moving else _reason_of(progress)
    if reason is Reason.INSTANCES_MISSING and (not progress.sight.proven or view.was is DatabaseState.UPDATING):
        reason = _kept_reason(view)
    message = view.phase_text if moving else _explain(view)
    return Verdict(DatabaseState.UPDATING, reason, message, recheck_after=_recheck_refusal(view))


def _kept_reason(view: View) -> Reason:
    """A rollout alternates two phases per pod; the second says nothing new, so the reason stays."""
    if view.was is DatabaseState.UPDATING and view.previous is not None:
        return view.previous.reason
    return _reason_of(view.progress)


def _reason_of(progress: Progress) -> Reason:
    if progress.mismatches & {Mismatch.RESOURCES, Mismatch.IMAGE, Mismatch.RESTART}:
        return Reason.ROLLING
    if Mismatch.INSTANCES in progress.mismatches and not progress.sight.proven:
        return Reason.SCALING
    return Reason.APPLYING


def _explain(view: View) -> str:
    differs = sorted(mismatch.name.lower() for mismatch in view.progress.mismatches)
    if differs:
        return f"not yet as asked: {', '.join(differs)}"
    return "the change was accepted, waiting for the operator to take it up"


def _recheck_refusal(view: View) -> float | None:
    if not unrequested_volumes(view.cluster, view.volumes):
        return None
    healthy = view.meaning.kind is PhaseKind.HEALTHY
    left = (REFUSAL_SECONDS if healthy else BUSY_REFUSAL_SECONDS) - (view.now - view.progress.sight.seen_at)
    return left if left > 0 else None


def _degraded(view: View) -> Verdict | None:
    if view.meaning.kind is PhaseKind.STUCK:
        return Verdict(DatabaseState.DEGRADED, view.meaning.reason, view.phase_text, patient=True)
    if not view.progress.mismatches:
        return None
    return Verdict(DatabaseState.DEGRADED, Reason.INSTANCES_MISSING, view.counts, patient=True)


def _ready(view: View) -> Verdict:
    return Verdict(DatabaseState.READY, Reason.HEALTHY, view.counts)


_RULES: tuple[Callable[[View], Verdict | None], ...] = (
    _deleting,
    _hibernation,
    _resuming,
    _failed,
    _failing_over,
    _restarting,
    _upgrading,
    _expansion_refused,
    _no_ready_primary,
    _never_ready,
    _updating,
    _degraded,
)
