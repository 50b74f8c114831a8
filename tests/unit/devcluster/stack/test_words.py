"""What a person reads: log lines, events of the demonstration, the commands to type next."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from postern_devcluster.stack.demo.events import describe, state_after
from postern_devcluster.stack.demo.sql import choose_endpoint
from postern_devcluster.stack.demo.story import what_next
from postern_devcluster.stack.errors import StackError
from postern_devcluster.stack.home import StackHome
from postern_devcluster.stack.launch import Launched
from postern_devcluster.stack.logs import readable
from postern_devcluster.stack.services import Addresses

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def event(kind: str, **data: Any) -> dict[str, Any]:
    return {"type": f"dev.postern.{kind}.v1", "time": "2026-01-01T00:00:01.500000Z", "data": data}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (event("command.database.apply", generation=1), "+1.50 s  command.database.apply    generation 1"),
        (
            event("database.state_changed", **{"from": None, "to": "provisioning", "reason": "first_instance"}),
            "+1.50 s  database.state_changed    · → provisioning   (first_instance)",
        ),
        (
            event("database.observed", observed={"ready_instances": 1, "instances": 2}),
            "+1.50 s  database.observed         1 of 2 instances ready",
        ),
        (
            event("database.applied", objects=[{"kind": "NetworkPolicy"}, {"kind": "Cluster"}]),
            "+1.50 s  database.applied          Cluster, NetworkPolicy",
        ),
        (event("something.new"), "+1.50 s  something.new"),
    ],
)
def test_an_event_is_one_line_with_its_time_type_and_meaning(given: dict[str, Any], expected: str) -> None:
    assert describe(given, BEGAN).strip() == expected


def test_only_a_transition_moves_the_state() -> None:
    assert state_after(event("database.state_changed", **{"from": "updating", "to": "ready", "reason": ""})) == "ready"
    assert state_after(event("database.observed", to="ready")) is None


def test_an_address_from_outside_the_cluster_comes_first() -> None:
    endpoints = [
        {"role": "primary", "scope": "cluster", "host": "inside", "port": 5432},
        {"role": "primary", "scope": "external", "host": "outside", "port": 5433},
    ]
    assert choose_endpoint({"endpoints": endpoints}, "primary") == ("outside", 5433)
    with pytest.raises(StackError, match="no address"):
        choose_endpoint({"endpoints": endpoints}, "replicas")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '{"timestamp": "2026-01-01T10:20:30.123Z", "level": "info", "event": "row_sent", "position": 4}',
            "10:20:30.123 info    row_sent position=4",
        ),
        ("plain text of a server", "plain text of a server"),
        ('["not", "a", "record"]', '["not", "a", "record"]'),
        ("{broken", "{broken"),
    ],
)
def test_a_log_line_is_readable_whoever_wrote_it(line: str, expected: str) -> None:
    assert readable(line) == expected


def test_what_to_type_next_names_the_real_places_and_shows_no_secret(tmp_path: Path) -> None:
    addresses = Addresses("amqp://u:hidden@h/", "postgresql://u:hidden@h/d", {"admin": "/somewhere/kubeconfig"})
    text = what_next(Launched(addresses, "http://127.0.0.1:8123", "hidden"), StackHome(tmp_path))
    assert str(tmp_path / "env") in text
    assert "/somewhere/kubeconfig" in text
    assert "http://127.0.0.1:8123/docs" in text
    assert "hidden" not in text
