"""Names, goals and topology: the small agreements."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_common.contracts.broker import (
    AUDIT_LEDGER,
    COMMANDS_EXCHANGE,
    DEAD_EXCHANGE,
    GATEWAY_PROJECTION,
    PROVISIONER_COMMANDS,
    TOPOLOGY,
    parking_queue,
)
from postern_common.contracts.goals import DELETED, HIBERNATED, READY, Goal, parse_goal
from postern_common.contracts.identifiers import cluster_name, is_valid_name, namespace_name, new_id
from postern_common.contracts.states import DatabaseState


@pytest.mark.parametrize("name", ["a", "orders", "a-b", "x1", "a" * 40])
def test_names_that_kubernetes_takes_are_valid(name: str) -> None:
    assert is_valid_name(name)


@pytest.mark.parametrize(
    "name", ["", "A", "1a", "-a", "a-", "a.b", "a_b", "a" * 41, "a\n", "a/b", "ä", "a b", "../a", "a\x00"]
)
def test_names_that_kubernetes_refuses_are_invalid(name: str) -> None:
    assert not is_valid_name(name)


@given(st.text(max_size=60))
def test_a_valid_name_is_always_a_path_segment_and_a_label(name: str) -> None:
    if is_valid_name(name):
        assert name.isascii()
        assert name == name.lower()
        assert "/" not in name


def test_cluster_names_end_in_the_random_part_of_the_id() -> None:
    database_id = UUID("01a1f937-6913-7004-9791-ceeca1f8610c")
    assert cluster_name("orders", database_id) == "orders-f8610c"
    assert len(cluster_name("a" * 40, database_id)) <= 50
    assert namespace_name("postern-", "acme") == "postern-acme"


def test_ids_sort_by_creation() -> None:
    ids = [new_id() for _ in range(100)]
    assert ids == sorted(ids)
    assert all(i.version == 7 for i in ids)


@pytest.mark.parametrize("goal", [READY, HIBERNATED, DELETED, Goal(DatabaseState.READY, "orders-f8610c-1")])
def test_goals_survive_their_text_form(goal: Goal) -> None:
    assert parse_goal(str(goal)) == goal


@pytest.mark.parametrize(
    "text", ["", "failed", "ready;", "ready;primary!=", "hibernated;primary!=x", "ready;primary=x"]
)
def test_an_unknown_goal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unknown goal"):
        parse_goal(text)


@pytest.mark.parametrize(
    ("goal", "state", "primary", "met"),
    [
        (READY, DatabaseState.READY, None, True),
        (READY, DatabaseState.DEGRADED, "a-1", False),
        (Goal(DatabaseState.READY, "a-1"), DatabaseState.READY, "a-1", False),
        (Goal(DatabaseState.READY, "a-1"), DatabaseState.READY, None, False),
        (Goal(DatabaseState.READY, "a-1"), DatabaseState.READY, "a-2", True),
        (HIBERNATED, DatabaseState.HIBERNATED, None, True),
    ],
)
def test_a_goal_is_met_only_by_its_state_and_primary(
    goal: Goal, state: DatabaseState, primary: str | None, met: bool
) -> None:
    assert goal.is_met_by(state, primary) is met


def test_only_the_provisioner_is_bound_to_commands() -> None:
    bound = [queue.name for queue in TOPOLOGY.queues for exchange, _ in queue.bindings if exchange == COMMANDS_EXCHANGE]
    assert bound == [PROVISIONER_COMMANDS], "a second binding would hide an unroutable command (semantics 25)"


def test_every_work_queue_dead_letters_into_its_own_parking_queue() -> None:
    names = {queue.name for queue in TOPOLOGY.queues}
    for queue in TOPOLOGY.queues:
        if queue.delivery_limit is not None:
            assert queue.arguments["x-dead-letter-exchange"] == DEAD_EXCHANGE
            assert queue.arguments["x-dead-letter-routing-key"] == queue.name
            assert parking_queue(queue.name) in names


def test_lost_connections_never_dead_letter_the_projection_or_the_ledger() -> None:
    limits = {queue.name: queue.delivery_limit for queue in TOPOLOGY.queues}
    assert limits[GATEWAY_PROJECTION] == limits[AUDIT_LEDGER] == 1_000_000
