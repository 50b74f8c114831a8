"""The locks install the same files everywhere and say nothing of where one machine got them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE | re.IGNORECASE)


def pins(lock: Path) -> set[tuple[str, str]]:
    return set(PINNED.findall(lock.read_text()))


def test_every_service_has_a_lock() -> None:
    assert {lock.stem for lock in LOCKS} == {"dev", "uv", "gateway", "provisioner", "watcher", "audit"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_holds_no_address(lock: Path) -> None:
    assert "://" not in lock.read_text()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_package_of_a_lock_has_a_hash(lock: Path) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text())
    without = [entry.split()[0] for entry in entries if PINNED.match(entry) and "--hash=sha256:" not in entry]
    assert pins(lock)
    assert without == []


@pytest.mark.parametrize("service", ["gateway", "provisioner", "watcher", "audit"])
def test_a_service_runs_the_versions_that_are_tested(service: str) -> None:
    assert pins(ROOT / "requirements" / f"{service}.txt") <= pins(ROOT / "requirements" / "dev.txt")
