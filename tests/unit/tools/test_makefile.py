"""make's targets: a shell's environment never chooses a server; the command line does."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
VARIABLES = {
    "POSTERN_AMQP_URL": "--amqp-url",
    "POSTERN_DATABASE_URL": "--database-url",
    "KUBECONFIG": "--kubeconfig",
}


def make(*arguments: str, **environment: str) -> str:
    """Return what make would run."""
    base = {key: value for key, value in os.environ.items() if key not in {"MAKEFLAGS", "MAKELEVEL", *VARIABLES}}
    result = subprocess.run(
        ["make", "-n", *arguments], cwd=ROOT, env={**base, **environment}, capture_output=True, text=True, check=True
    )
    return result.stdout


@pytest.mark.parametrize("target", ["up", "demo"])
@pytest.mark.parametrize(("variable", "option"), VARIABLES.items())
def test_a_target_is_taken_from_the_command_line(target: str, variable: str, option: str) -> None:
    assert f"{option} 'its $value'\\''s'" in make(target, f"{variable}=its $value's")


@pytest.mark.parametrize("target", ["up", "demo"])
@pytest.mark.parametrize(("variable", "option"), VARIABLES.items())
def test_a_target_is_never_taken_from_the_environment(target: str, variable: str, option: str) -> None:
    planned = make(target, **{variable: "production"})
    assert "production" not in planned
    assert option not in planned


def test_own_servers_need_no_packages() -> None:
    assert "--without-rabbitmq" in make("up", "POSTERN_AMQP_URL=amqp://h")
    assert "--without-postgresql" not in make("up", "POSTERN_DATABASE_URL=postgresql://h/d")
    assert "--without-postgresql" in make("up", "POSTERN_DATABASE_URL=postgresql://h/d", "KUBECONFIG=k")


def test_help_lists_every_target_that_is_for_people() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    for target in targets.split()[1:]:
        assert f"make {target} " in listed
