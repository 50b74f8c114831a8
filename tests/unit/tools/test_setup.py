"""Set-up says what is missing and what to do about it, and installs nothing it was not asked for."""

import contextlib
import os
from pathlib import Path

import pytest
from tools import setup


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without RabbitMQ and PostgreSQL."""
    monkeypatch.setattr(setup, "RABBITMQ", tmp_path / "rabbitmq")
    monkeypatch.setattr(setup, "POSTGRESQL", tmp_path / "postgresql")
    return tmp_path


def test_a_bare_machine_lacks_both_servers(bare: Path) -> None:
    assert setup.missing_packages(rabbitmq=True, postgresql=True)[:2] == ["rabbitmq-server", "postgresql"]


def test_own_servers_are_not_installed(bare: Path) -> None:
    assert not {"rabbitmq-server", "postgresql"} & set(setup.missing_packages(rabbitmq=False, postgresql=False))


def test_what_is_there_is_not_installed_again(bare: Path) -> None:
    for program in ("rabbitmq/rabbitmq_server-3.10.8/sbin/rabbitmq-server", "postgresql/15/bin/initdb"):
        (bare / program).parent.mkdir(parents=True)
        (bare / program).touch()
    assert not {"rabbitmq-server", "postgresql"} & set(setup.missing_packages(rabbitmq=True, postgresql=True))


def test_an_ordinary_user_is_told_the_command_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(setup.shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(setup.SetupError) as error:
        setup.install_packages(["rabbitmq-server"])
    assert "only root" in error.value.what
    assert "sudo apt-get install --no-install-recommends rabbitmq-server" in error.value.next_step


def test_another_distribution_is_told_what_to_install_or_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup.shutil, "which", lambda name: None)
    with pytest.raises(setup.SetupError) as error:
        setup.install_packages(["postgresql"])
    assert "POSTERN_DATABASE_URL" in error.value.next_step


def test_the_policy_against_service_starts_is_undone_and_one_of_the_machine_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(setup, "POLICY", policy)
    with contextlib.suppress(KeyboardInterrupt), setup.no_service_starts():
        assert os.access(policy, os.X_OK)
        raise KeyboardInterrupt
    assert not policy.exists()
    policy.write_text("the machine's own")
    with setup.no_service_starts():
        pass
    assert policy.read_text() == "the machine's own"


def test_a_full_disk_is_refused_before_anything_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "MINIMUM_FREE_BYTES", 2**62)
    with pytest.raises(setup.SetupError, match="are free"):
        setup.check_machine()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("E: You don't have enough free space … No space left on device", "disk is full"),
        ("E: Could not get lock /var/lib/dpkg/lock", "another package tool"),
        ("E: Unable to locate package rabbitmq-server", "sources"),
        ("Temporary failure resolving", "reaches its package sources"),
    ],
)
def test_a_failed_installation_says_what_to_do(said: str, expected: str) -> None:
    assert expected in setup.explain_apt(said)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("No space left on device (os error 28)", "disk is full"),
        ("Hash mismatch for `aio-pika`", "not the locked one"),
        ("ensurepip is not available", "python3-venv"),
        ("Failed to fetch: connection refused", "package index"),
    ],
)
def test_a_failed_download_says_what_to_do(said: str, expected: str) -> None:
    assert expected in setup.explain_pip(said)
