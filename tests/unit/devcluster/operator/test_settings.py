"""Configuration files: what a Cluster asks for wins, what the operator owns stays, quotes hold."""

import pytest

from postern_devcluster.operator.domain.settings import (
    Placement,
    Upstream,
    render_access_rules,
    render_configuration,
    settings_hash,
    slot_name,
)

PLACEMENT = Placement("pg-1", "127.64.0.1", "/run/s", "/tls/server.crt", "/tls/server.key", "/tls/ca.crt")


def lines(parameters: dict[str, str], upstream: Upstream | None = None) -> list[str]:
    return render_configuration(parameters, PLACEMENT, upstream).splitlines()


def test_asked_parameters_win_over_small_defaults() -> None:
    assert "shared_buffers = '1GB'" in lines({"shared_buffers": "1GB"})
    assert "shared_buffers = '16MB'" in lines({})


@pytest.mark.parametrize("name", ["port", "listen_addresses", "archive_command", "log_directory", "ssl", "wal_level"])
def test_parameters_that_the_operator_owns_are_not_taken(name: str) -> None:
    assert f"{name} = 'taken'" not in lines({name: "taken"})


def test_a_value_cannot_break_out_of_its_quotes() -> None:
    assert "work_mem = 'x'' y port = 1'" in lines({"work_mem": "x' y\nport = 1"})


def test_a_standby_streams_by_password_file_and_verified_certificate() -> None:
    upstream = Upstream("127.64.0.2", 5432, "/data/pass", "/tls/ca.crt", "_cnpg_pg_1")
    (conninfo,) = [line for line in lines({}, upstream) if line.startswith("primary_conninfo")]
    assert "passfile=/data/pass" in conninfo
    assert "sslmode=verify-ca" in conninfo
    assert "primary_slot_name = '_cnpg_pg_1'" in lines({}, upstream)


def test_an_allow_list_comes_before_the_catch_all() -> None:
    rules = render_access_rules(["host all all 10.0.0.0/8 scram-sha-256", "host all all all reject"]).splitlines()
    assert rules[-3:] == [
        "host all all 10.0.0.0/8 scram-sha-256",
        "host all all all reject",
        "host all all all scram-sha-256",
    ]


def test_nobody_comes_in_as_superuser_over_the_network() -> None:
    rules = render_access_rules([]).splitlines()
    assert rules.index("host all postgres all reject") < rules.index("host all all all scram-sha-256")


def test_files_are_written_again_exactly_when_they_differ() -> None:
    assert settings_hash({"work_mem": "1MB"}, []) == settings_hash({"work_mem": "1MB", "port": "1"}, [])
    assert settings_hash({"work_mem": "1MB"}, []) != settings_hash({"work_mem": "2MB"}, [])
    assert settings_hash({}, []) != settings_hash({}, ["host all all all reject"])


def test_slots_are_named_as_cloudnativepg_names_them() -> None:
    assert slot_name("orders-a1b2c3-2") == "_cnpg_orders_a1b2c3_2"
