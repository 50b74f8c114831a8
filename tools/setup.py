"""Sets a clone up: packages of the distribution, virtual environment, locked dependencies, our own distributions.

Runs on the system's Python with the standard library alone, because nothing is installed yet. Every step says what it
does, how long it took and, when it fails, what to do next. Running it again when nothing changed takes a fraction of a
second.
"""

import argparse
import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PROGRAMS = ENVIRONMENT / "bin"
STAMP = ENVIRONMENT / "postern-setup"
DISTRIBUTIONS = (
    *("libs/common", "libs/devcluster"),
    *("services/gateway", "services/provisioner", "services/watcher", "services/audit"),
)
MINIMUM_FREE_BYTES = 2 * 1024**3
RABBITMQ = Path("/usr/lib/rabbitmq/lib")
POSTGRESQL = Path("/usr/lib/postgresql")
POLICY = Path("/usr/sbin/policy-rc.d")


class SetupError(Exception):
    """A step failed; ``next_step`` says what a person can do about it."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step


def main() -> int:
    """Run the steps that are needed; return the exit status."""
    parser = argparse.ArgumentParser(description="Set this clone of Postern up.")
    parser.add_argument("--without-rabbitmq", action="store_true", help="an own broker is used: install none")
    parser.add_argument("--without-postgresql", action="store_true", help="an own server and cluster are used")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        missing = missing_packages(rabbitmq=not options.without_rabbitmq, postgresql=not options.without_postgresql)
        if not missing and STAMP.exists() and STAMP.read_text() == fingerprint():
            return 0
        say(f"Setting up in {ROOT}")
        run_steps(missing)
    except SetupError as error:
        say(f"\n  Set-up stopped: {error.what}\n  What to do: {error.next_step}\n")
        return 1
    except KeyboardInterrupt:
        say("\n  Set-up was interrupted; run the same command again to go on.\n")
        return 130
    say(f"  Set-up took {time.monotonic() - began:.1f} s.\n")
    return 0


def run_steps(missing: list[str]) -> None:
    """Do what is missing, in order."""
    check_machine()
    if missing:
        with step(f"installing {', '.join(missing)} from the distribution"):
            install_packages(missing)
    with step("making the virtual environment .venv"):
        make_environment()
    with step("installing the installer (uv, checked by hash)"):
        install_uv()
    with step("installing the locked dependencies (requirements/dev.txt, checked by hash)"):
        uv("sync", "--require-hashes", "--compile-bytecode", "requirements/dev.txt")
    with step("installing Postern's own distributions from this clone"):
        editable = [argument for path in DISTRIBUTIONS for argument in ("--editable", path)]
        uv("install", "--no-deps", "--no-build-isolation", *editable)
    STAMP.write_text(fingerprint())


def missing_packages(*, rabbitmq: bool, postgresql: bool) -> list[str]:
    """Return the distribution packages that are needed and not there."""
    missing = []
    if rabbitmq and not any(RABBITMQ.glob("rabbitmq_server-*/sbin/rabbitmq-server")):
        missing.append("rabbitmq-server")
    if postgresql and not any(POSTGRESQL.glob("*/bin/initdb")):
        missing.append("postgresql")
    if importlib.util.find_spec("ensurepip") is None and not PROGRAMS.exists():
        missing.append(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    return missing


def check_machine() -> None:
    """Refuse what cannot work before anything is changed."""
    if sys.version_info < (3, 11):  # noqa: UP036 (whoever runs this has not set anything up yet)
        raise SetupError(
            f"Postern needs Python 3.11 or newer, this is {sys.version.split()[0]} ({sys.executable})",
            "install it (sudo apt-get install python3 python3-venv), or name one: make setup PYTHON=/path/to/python",
        )
    free = shutil.disk_usage(ROOT).free
    if free < MINIMUM_FREE_BYTES:
        raise SetupError(
            f"only {free // 1024**2} MiB are free where this clone lies, not {MINIMUM_FREE_BYTES // 1024**2} MiB",
            "free some space, or clone to a larger disk",
        )


def install_packages(packages: list[str]) -> None:
    """Install with apt-get. A server that a package would start system-wide is not wanted: private ones are used."""
    command = f"sudo apt-get update && sudo apt-get install --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise SetupError(
            f"{' and '.join(packages)} must be installed, and this is no Debian or Ubuntu (there is no apt-get)",
            "install RabbitMQ and PostgreSQL servers with your distribution's package tool, or use own servers:"
            " make up POSTERN_AMQP_URL=amqp://… POSTERN_DATABASE_URL=postgresql://… KUBECONFIG=…",
        )
    if os.geteuid() != 0:
        raise SetupError(
            f"{' and '.join(packages)} must be installed, and only root may do that", f"{command}    then this again"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with no_service_starts():
        run(["apt-get", "update", "-q"], environment, explain_apt)
        run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], environment, explain_apt)


@contextlib.contextmanager
def no_service_starts() -> Iterator[None]:
    """Keep packages from starting system-wide servers while they are installed (Debian policy: invoke-rc.d)."""
    if POLICY.exists() or POLICY.is_symlink():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def make_environment() -> None:
    """Make ``.venv``; one that was made by another or a vanished Python is made anew."""
    python = PROGRAMS / "python"
    if python.exists():
        probe = subprocess.run(
            [python, "-c", "import sys; print(sys.version_info[:2] >= (3, 11))"], capture_output=True, check=False
        )
        if probe.stdout.strip() == b"True":
            return
    run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], dict(os.environ), explain_pip)


def install_uv() -> None:
    """Install the pinned uv with pip."""
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
    locked = ["--require-hashes", "-r", "requirements/uv.txt"]
    run([str(PROGRAMS / "python"), "-m", "pip", "install", *quiet, *locked], dict(os.environ), explain_pip)


def uv(command: str, *arguments: str) -> None:
    """Run ``uv pip <command>`` in the virtual environment."""
    environment = {"UV_LINK_MODE": "copy", **index_settings(), **os.environ, "VIRTUAL_ENV": str(ENVIRONMENT)}
    run([str(PROGRAMS / "uv"), "pip", command, "--quiet", *arguments], environment, explain_pip)


def index_settings() -> dict[str, str]:
    """Return this machine's pip settings in uv's words: uv reads none of pip's files."""
    told = subprocess.run(
        [PROGRAMS / "python", "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    settings = {}
    for line in told.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        value = value.strip("'\"")
        if name == "index-url":
            settings["UV_DEFAULT_INDEX"] = value
        elif name == "extra-index-url":
            settings["UV_INDEX"] = value.replace("\\n", " ")
        elif name == "cert":
            settings["SSL_CERT_FILE"] = value
    return settings


def run(command: list[str], environment: dict[str, str], explain: object) -> None:
    """Run a command quietly; when it fails, raise with the end of what it said and what to do."""
    result = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if result.returncode != 0:
        said = "\n    ".join(result.stdout.strip().splitlines()[-12:])
        assert callable(explain)
        raise SetupError(f"{Path(command[0]).name} said:\n    {said}", explain(result.stdout))


def explain_apt(output: str) -> str:
    """Say what to do about a failed apt-get."""
    if "No space left" in output:
        return "the disk is full: free some space, then run the same command again"
    if "Could not get lock" in output or "is another process using it" in output:
        return "another package tool is running: wait until it is done, then run the same command again"
    if "Unable to locate" in output or "no installation candidate" in output:
        return "the package is in none of this machine's sources: see /etc/apt/sources.list.d, then run it again"
    return "check that this machine reaches its package sources (apt-get update), then run the same command again"


def explain_pip(output: str) -> str:
    """Say what to do about a failed pip or uv."""
    if "No space left" in output or "os error 28" in output:
        return "the disk is full: free some space, then run the same command again"
    if "hash" in output.lower() and "mismatch" in output.lower():
        return "the index served a file that is not the locked one: do not install it; check the index that you use"
    if "ensurepip" in output:
        return "install the missing part of Python (sudo apt-get install python3-venv), then run the same command again"
    return (
        "check that this machine reaches a Python package index (pip's own settings and UV_* variables are honoured),"
        " then run the same command again"
    )


def fingerprint() -> str:
    """Return what the virtual environment is made from: another value means that set-up has work to do."""
    digest = hashlib.sha256()
    for path in sorted([ROOT / "requirements/dev.txt", ROOT / "requirements/uv.txt", Path(__file__)]):
        digest.update(path.read_bytes())
    for distribution in DISTRIBUTIONS:
        digest.update((ROOT / distribution / "pyproject.toml").read_bytes())
    return f"{ROOT} {digest.hexdigest()}\n"


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is being done, then how long it took."""
    print(f"  {what} …", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print(f" failed after {time.monotonic() - began:.1f} s", flush=True)
        raise
    print(f" {time.monotonic() - began:.1f} s", flush=True)


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def stop() -> NoReturn:
    """End with the exit status of ``main``."""
    sys.exit(main())


if __name__ == "__main__":
    stop()
