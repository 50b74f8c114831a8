"""A standby starts with what its primary had at the WAL it replays, where that is more than is configured."""

import pytest

from postern_devcluster.operator.domain.settings import STANDBY_SENSITIVE
from postern_devcluster.operator.domain.standby import held_parameters, read_control_data

PRINTED = """\
pg_control version number:            1300
Database cluster state:               shut down in recovery
Latest checkpoint's REDO location:    0/3000028
wal_level setting:                    replica
wal_log_hints setting:                on
max_connections setting:              100
max_worker_processes setting:         8
max_wal_senders setting:              10
max_prepared_xacts setting:           0
max_locks_per_xact setting:           64
track_commit_timestamp setting:       off
"""
CONTROL = read_control_data(PRINTED)


def test_the_control_file_tells_every_setting_that_a_standby_is_sensitive_to() -> None:
    assert CONTROL == {
        "max_connections": 100,
        "max_worker_processes": 8,
        "max_wal_senders": 10,
        "max_prepared_transactions": 0,
        "max_locks_per_transaction": 64,
    }
    assert set(CONTROL) == set(STANDBY_SENSITIVE)


def test_output_without_the_settings_holds_nothing() -> None:
    assert read_control_data("WARNING: something else\nmax_connections setting: many\n") == {}


@pytest.mark.parametrize(
    ("configured", "held"),
    [
        ({"max_connections": "30"}, {"max_connections": "100"}),
        ({"max_connections": "0x1e", "max_wal_senders": "4"}, {"max_connections": "100", "max_wal_senders": "10"}),
        ({"max_connections": "100"}, {}),
        ({"max_connections": "300"}, {}),
        ({"max_connections": "a lot"}, {}),
        ({}, {}),
    ],
)
def test_the_larger_of_the_configured_and_the_replayed_value_holds(
    configured: dict[str, str], held: dict[str, str]
) -> None:
    assert held_parameters(configured, CONTROL) == held


def test_a_parameter_that_was_taken_away_holds_until_its_default_was_replayed() -> None:
    assert held_parameters({}, CONTROL | {"max_prepared_transactions": 5}) == {"max_prepared_transactions": "5"}
