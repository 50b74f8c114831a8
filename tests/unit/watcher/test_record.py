"""What is worth an event, how events are numbered and attributed, and what a restart must find stored."""

from typing import Any

import msgspec
import pytest
from tests.unit.watcher.making import NOW, Database, changed, cluster, new_database, ready_database

from postern_common.contracts.reasons import Reason
from postern_common.contracts.states import DatabaseState
from postern_watcher.domain.record import Record, advance, believe

CREATED = advance(None, new_database(), cluster(traceparent="00-trace"), NOW).record
READY = advance(CREATED, ready_database(), cluster(), NOW + 8).record


def test_the_first_sight_is_an_event_from_nothing_with_revision_one() -> None:
    step = advance(None, new_database(), cluster(), NOW)
    assert step.transition is not None
    assert step.transition.changed
    assert step.transition.from_state is None
    assert step.record.revision == 1


def test_nothing_new_is_no_event_and_needs_no_row() -> None:
    step = advance(READY, ready_database(message="other words"), changed(cluster(), resource_version="101"), NOW + 9)
    assert step.transition is None
    assert not step.keep
    assert step.record.revision == READY.revision


@pytest.mark.parametrize(
    ("change", "is_changed"),
    [
        ({"state": DatabaseState.DEGRADED}, True),
        ({"reason": Reason.SCALING}, True),
        ({"observed_generation": 2}, False),
        ({"primary": "orders-1a2b3c-2"}, False),
        ({"ready_instances": 1}, False),
        ({"instances": 3}, False),
        ({"storage": "20Gi"}, False),
    ],
    ids=["state", "reason", "observed generation", "primary", "ready instances", "instances", "volumes"],
)
def test_what_makes_an_event_and_which(change: dict[str, Any], is_changed: bool) -> None:
    step = advance(READY, ready_database(**change), cluster(), NOW + 60)
    assert step.transition is not None
    assert step.transition.changed is is_changed
    assert step.transition.from_state is DatabaseState.READY
    assert step.record.revision == READY.revision + 1


def test_an_operation_is_open_from_first_sight_until_its_goal_was_told() -> None:
    first = advance(None, new_database(), cluster(), NOW)
    assert first.transition is not None
    assert first.transition.operation is not None
    last = advance(first.record, ready_database(), cluster(), NOW + 8)
    assert last.transition is not None
    assert last.transition.operation is not None, "the event that reaches the goal still belongs to it"
    later = advance(last.record, ready_database(state=DatabaseState.FAILING_OVER), cluster(), NOW + 9)
    assert later.transition is not None
    assert later.transition.operation is None
    assert later.transition.last_operation is not None


def test_an_operation_whose_goal_is_never_reached_is_closed_after_an_hour() -> None:
    step = advance(CREATED, new_database(reason=Reason.IMAGE_PULL_FAILED), cluster(), NOW + 3599)
    assert step.transition is not None
    assert step.transition.operation is not None
    late = advance(CREATED, new_database(reason=Reason.IMAGE_PULL_FAILED), cluster(), NOW + 3601)
    assert late.transition is not None
    assert late.transition.operation is None


def test_ready_at_an_older_generation_does_not_reach_the_goal() -> None:
    asked = cluster(generation=2, operation_id="01890a5d-ac96-774b-bcce-b30209000009")
    step = advance(READY, ready_database(generation=2, primary="other"), asked, NOW + 10)
    assert step.record.operation is not None
    assert not step.record.operation.done


def test_a_switchover_reaches_its_goal_with_another_primary_only() -> None:
    goal = {"generation": 2, "goal": "ready;primary!=orders-1a2b3c-1", "operation_id": "o-2"}
    same = advance(READY, ready_database(generation=2, observed_generation=2), cluster(**goal), NOW + 10).record
    assert same.operation is not None
    assert not same.operation.done
    moved = ready_database(generation=2, observed_generation=2, primary="orders-1a2b3c-2")
    done = advance(same, moved, cluster(**goal), NOW + 20).record
    assert done.operation is not None
    assert done.operation.done


def test_a_goal_that_cannot_be_read_never_counts_as_reached() -> None:
    step = advance(None, ready_database(), cluster(goal="happiness"), NOW)
    assert step.record.operation is not None
    assert not step.record.operation.done


@pytest.mark.parametrize(
    "facts",
    [
        {"operation_id": "o-2"},
        {"spec_generation": 2},
        {"marks": "other"},
    ],
    ids=["operation", "spec", "marks"],
)
def test_what_a_restart_must_know_is_stored_without_an_event(facts: dict[str, Any]) -> None:
    step = advance(READY, ready_database(), cluster(**facts), NOW + 10)
    assert step.transition is None
    assert step.keep


def test_a_generation_in_sight_is_stored_even_when_nothing_else_changed() -> None:
    step = advance(READY, ready_database(generation=2), cluster(generation=2), NOW + 10)
    assert step.keep


def test_without_a_cluster_the_record_keeps_whose_it_is() -> None:
    gone = ready_database(state=DatabaseState.DELETED, reason=Reason.REMOVED)
    step = advance(READY, gone, None, NOW + 10)
    assert step.transition is not None
    assert (step.record.project, step.record.cluster_name) == ("acme", "orders-1a2b3c")
    with pytest.raises(ValueError, match="begins with a Cluster"):
        advance(None, gone, None, NOW)


def test_a_record_survives_its_stored_form() -> None:
    assert msgspec.json.decode(msgspec.json.encode(READY), type=Record) == READY


def test_a_generation_that_somebody_else_wrote_is_not_believed() -> None:
    forged = cluster(generation=99, generation_is_ours=False)
    assert believe(READY, forged) == changed(forged, generation=1)
    for true in (cluster(generation=2, generation_is_ours=True), cluster(generation=2), changed(forged, uid="uid-2")):
        assert believe(READY, true) == true
    assert believe(None, forged) == forged
    assert believe(READY, None) is None


def test_a_number_that_was_believed_once_is_corrected_by_our_next_write() -> None:
    polluted = ready_database(generation=99, observed_generation=99)
    database = Database(polluted)
    database.see(cluster(generation=2, generation_is_ours=True))
    assert database.observed is not None
    assert database.observed.observed_generation == 1
    database.see(cluster(generation=2, generation_is_ours=True), after=3)
    assert database.observed.observed_generation == 2
