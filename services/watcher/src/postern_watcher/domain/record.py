"""The record of a database: its row, and what a new derivation makes of it.

``advance`` is the one place that decides whether something is worth an event, numbers it (``revision``: +1 each, never
restarted, semantics 7 and 11a) and attributes it to an operation (semantics 10). Pure, so that what a restart or a
second derivation would emit can be tested without a database.
"""

from dataclasses import dataclass

import msgspec

from postern_common.contracts.goals import parse_goal
from postern_common.contracts.states import DatabaseState
from postern_watcher.domain.facts import ClusterFacts
from postern_watcher.domain.observed import Observed

OPERATION_SECONDS = 3600.0
"""An operation that never reaches its goal stops being the cause of what happens after this long."""


class Operation(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The operation whose id stands in the annotations."""

    id: str
    generation: int
    goal: str | None
    traceparent: str | None
    seen_at: float
    done: bool = False
    """Its goal was emitted."""

    def is_open(self, now: float) -> bool:
        """Whether what happens now is still part of it."""
        return not self.done and now - self.seen_at < OPERATION_SECONDS


class Record(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What is persisted about a database. ``revision`` 0 is only before the first event."""

    database_id: str
    project_id: str
    project: str
    name: str
    namespace: str
    cluster_name: str
    revision: int
    observed: Observed
    operation: Operation | None = None
    resource_version: str = ""
    spec_generation: int = 0
    marks: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """One event to be: ``changed`` tells a new state or reason from a mere change of counts."""

    record: Record
    """As it is after the transition; its revision is the event's."""
    from_state: DatabaseState | None
    changed: bool
    operation: Operation | None
    """The open operation that this is attributed to."""
    last_operation: Operation | None
    """The newest one known, open or not, for a link between traces."""


@dataclass(frozen=True, slots=True)
class Advance:
    """A record after a derivation. ``keep``: something changed that must be stored, with or without an event."""

    record: Record
    transition: Transition | None
    keep: bool


def believe(record: Record | None, cluster: ClusterFacts | None) -> ClusterFacts | None:
    """The Cluster with the generation that is recorded for it, where somebody else wrote another (docs/adr/0018)."""
    if record is None or cluster is None or cluster.generation_is_ours is not False:
        return cluster
    if record.observed.uid != cluster.uid:
        return cluster
    return msgspec.structs.replace(cluster, generation=record.observed.generation)


def advance(record: Record | None, observed: Observed, cluster: ClusterFacts | None, now: float) -> Advance:
    """Carry ``record`` over to what was observed now. Without a record there must be a Cluster."""
    operation = _follow_operation(record, cluster, now)
    before = record.observed if record is not None else None
    state_changed = before is None or (before.state, before.reason) != (observed.state, observed.reason)
    counted = before is None or _counts(before) != _counts(observed) or _resized(before, observed)
    moved = state_changed or counted
    current = operation if operation is not None and operation.is_open(now) else None
    fresh = _build(record, cluster, observed, revision=(record.revision if record else 0) + (1 if moved else 0))
    fresh = msgspec.structs.replace(fresh, operation=_settle(operation, observed) if moved else operation)
    if not moved:
        return Advance(fresh, None, keep=_must_keep(record, fresh))
    transition = Transition(
        record=fresh,
        from_state=before.state if before is not None else None,
        changed=state_changed,
        operation=current,
        last_operation=operation,
    )
    return Advance(fresh, transition, keep=True)


def _build(record: Record | None, cluster: ClusterFacts | None, observed: Observed, *, revision: int) -> Record:
    if cluster is None:
        if record is None:
            raise ValueError("a record begins with a Cluster")
        return msgspec.structs.replace(record, observed=observed, revision=revision)
    return Record(
        database_id=cluster.database_id,
        project_id=cluster.project_id,
        project=cluster.project,
        name=cluster.database,
        namespace=cluster.namespace,
        cluster_name=cluster.name,
        revision=revision,
        observed=observed,
        resource_version=cluster.resource_version,
        spec_generation=cluster.spec_generation,
        marks=cluster.marks,
    )


def _counts(observed: Observed) -> tuple[object, ...]:
    return observed.observed_generation, observed.primary, observed.instances, observed.ready_instances


def _resized(before: Observed, observed: Observed) -> bool:
    """Whether volumes that served have another size: growth made outside (an autoscaler) moves nothing else."""
    return before.ever_ready and None not in (before.storage, observed.storage) and before.storage != observed.storage


def _must_keep(before: Record | None, after: Record) -> bool:
    """Whether a restart would go wrong without it: generation in sight, its operation, and what drift is told by."""
    if before is None:
        return True
    return _kept(before) != _kept(after)


def _kept(record: Record) -> tuple[object, ...]:
    seen = record.observed
    operation = record.operation.id if record.operation else None
    return (
        seen.uid,
        seen.generation,
        seen.goal,
        seen.handled_restarted_at,
        operation,
        record.spec_generation,
        record.marks,
    )


def _follow_operation(record: Record | None, cluster: ClusterFacts | None, now: float) -> Operation | None:
    known = record.operation if record is not None else None
    if cluster is None or not cluster.operation_id:
        return known
    if known is not None and known.id == cluster.operation_id:
        return known
    return Operation(
        id=cluster.operation_id,
        generation=cluster.generation,
        goal=cluster.goal,
        traceparent=cluster.traceparent,
        seen_at=now,
    )


def _settle(operation: Operation | None, observed: Observed) -> Operation | None:
    """Mark the operation done when this event says that its goal is reached."""
    if operation is None or operation.done or not operation.goal:
        return operation
    try:
        goal = parse_goal(operation.goal)
    except ValueError:
        return operation
    reached = goal.is_met_by(observed.state, observed.primary) and observed.observed_generation >= operation.generation
    return msgspec.structs.replace(operation, done=True) if reached else operation
