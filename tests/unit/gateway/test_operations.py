"""Phases, ends and deadlines of operations (semantics 13-16)."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.gateway.test_projection import NOW, operation

from postern_common.contracts.states import OperationStatus, OperationType, Phase
from postern_gateway.domain.operations import (
    deadline_error,
    deadline_of,
    fail,
    note_reason,
    progress_of,
    record_phase,
    succeed,
    supersede,
)
from postern_gateway.domain.records import OperationError

LATER = NOW + timedelta(seconds=5)


def test_a_later_phase_fills_the_missing_ones_with_its_time() -> None:
    after = record_phase(operation("create", "pending"), Phase.APPLIED, LATER)
    assert [name for name, _ in after.phases] == ["accepted", "published", "received", "applied"]
    assert {at for _, at in after.phases[1:]} == {LATER}
    assert (after.status, after.revision) == (OperationStatus.RUNNING, 2)


def test_an_earlier_phase_that_comes_late_changes_nothing() -> None:
    applied = record_phase(operation("create", "pending"), Phase.APPLIED, NOW)
    assert record_phase(applied, Phase.RECEIVED, LATER) is applied


def test_published_alone_is_not_running_yet() -> None:
    assert record_phase(operation("create", "pending"), Phase.PUBLISHED, NOW).status is OperationStatus.PENDING


def test_progress_only_grows_and_ends_at_100() -> None:
    current, percents = operation("create", "pending"), []
    for phase in Phase:
        current = record_phase(current, phase, NOW)
        percents.append(progress_of(current))
    assert percents == sorted(set(percents))
    assert percents[-1] == 100


def test_success_completes_the_phases() -> None:
    done = succeed(operation("create", "pending"), LATER)
    assert (done.status, done.finished_at, done.phases[-1]) == (OperationStatus.SUCCEEDED, LATER, (Phase.DONE, LATER))


@pytest.mark.parametrize("status", ["succeeded", "failed", "superseded", "cancelled"])
def test_what_has_ended_never_changes(status: str) -> None:
    ended = operation("create", status)
    error = OperationError("x", "y", retryable=False)
    assert succeed(ended, LATER) is ended
    assert fail(ended, error, LATER) is ended
    assert supersede(ended, LATER) is ended
    assert note_reason(ended, "late") is ended


def test_changes_have_15_minutes_and_actions_10() -> None:
    minutes = {kind.value: deadline_of(kind).total_seconds() / 60 for kind in OperationType}
    assert {name for name, value in minutes.items() if value == 15} == {"create", "update", "undo_resize"}
    assert set(minutes.values()) == {10, 15}


def test_the_deadlines_error_tells_the_last_reason() -> None:
    late = replace(operation("update", "running"), deadline=NOW + timedelta(minutes=15))
    assert "15 minutes; last known reason: unschedulable" in deadline_error(late, "unschedulable").detail
    noted = note_reason(late, "kubernetes_unavailable: away")
    assert deadline_error(noted, "creating").detail.endswith("kubernetes_unavailable: away")
    assert deadline_error(noted, "creating").retryable is True
