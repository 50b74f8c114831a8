"""Own servers are taken from the command line, checked there, and never shown with their password."""

from pathlib import Path

import pytest

from postern_devcluster.stack.errors import StackError
from postern_devcluster.stack.targets import Targets, check_targets, role_url, without_password


@pytest.mark.parametrize(
    ("administrator", "expected"),
    [
        ("postgresql://root:x@db.example:6432/control", "postgresql://control_audit:p%2Fw@db.example:6432/control"),
        ("postgresql://db.example/control", "postgresql://control_audit:p%2Fw@db.example/control"),
        ("postgres://r:x@h/c?sslmode=require", "postgres://c_audit:p%2Fw@h/c?sslmode=require"),
    ],
)
def test_a_service_connects_as_its_own_role_to_the_same_place(administrator: str, expected: str) -> None:
    assert role_url(administrator, "audit", "p/w") == expected


@pytest.mark.parametrize("url", ["amqp://user:secret@h:5672/%2F", "postgresql://user:secret@h:5432/d?password=secret"])
def test_an_address_is_shown_without_its_password(url: str) -> None:
    assert "secret" not in without_password(url)
    assert "user@h" in without_password(url)


@pytest.mark.parametrize(
    ("targets", "variable"),
    [
        (Targets(amqp_url="http://h"), "POSTERN_AMQP_URL"),
        (Targets(database_url="mysql://h/d"), "POSTERN_DATABASE_URL"),
        (Targets(database_url="postgresql://h"), "POSTERN_DATABASE_URL"),
        (Targets(kubeconfig="/no/such/file"), "KUBECONFIG"),
        (Targets(address_mode="carrier-pigeon"), "POSTERN_ADDRESS_MODE"),
        (Targets(postgres_versions="newest"), "POSTERN_POSTGRES_VERSIONS"),
    ],
)
def test_a_target_that_cannot_work_is_refused_by_name(targets: Targets, variable: str) -> None:
    with pytest.raises(StackError) as error:
        check_targets(targets)
    assert error.value.detail.startswith(variable)
    assert variable in error.value.next_step


def test_a_relative_kubeconfig_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").touch()
    monkeypatch.chdir(tmp_path)
    assert check_targets(Targets(kubeconfig="config")).kubeconfig == str(tmp_path / "config")


def test_without_targets_everything_is_the_stacks_own() -> None:
    assert check_targets(Targets()) == Targets(None, None, None)
    assert Targets().needs_postgres_programs
    assert not Targets(database_url="postgresql://h/d", kubeconfig="k").needs_postgres_programs
