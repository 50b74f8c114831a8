"""A detached process is found by its pid file, and never mistaken for a stranger with its pid."""

import os
import sys
from pathlib import Path

import pytest

from postern_devcluster.embedded import DetachedProcess, StopOutcome

pytestmark = pytest.mark.integration

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
OBEDIENT = "import time; print('up', flush=True); time.sleep(60)"


@pytest.fixture
def process(state: Path) -> DetachedProcess:
    return DetachedProcess("sleeper", pid_file=state / "run" / "sleeper.pid", log_file=state / "sleeper.log")


def start(process: DetachedProcess, code: str) -> int:
    pid = process.start([sys.executable, "-c", code], environment={"PATH": os.environ["PATH"]}, directory=Path("/"))
    while "up" not in process.log_file.read_text():
        assert process.pid == pid, process.log_file.read_text()
    return pid


def test_it_runs_in_a_session_of_its_own_with_exactly_the_given_environment(process: DetachedProcess) -> None:
    pid = start(process, OBEDIENT)
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/environ").read_bytes().startswith(b"PATH=")
    assert Path(f"/proc/{pid}/cwd").resolve() == Path("/")
    assert process.stop(deadline=5) is StopOutcome.STOPPED
    assert process.pid is None


def test_one_that_does_not_obey_is_killed_at_the_deadline(process: DetachedProcess) -> None:
    start(process, STUBBORN)
    assert process.stop(deadline=0.2) is StopOutcome.KILLED
    assert process.pid is None


def test_another_handle_finds_it(process: DetachedProcess) -> None:
    pid = start(process, OBEDIENT)
    other = DetachedProcess("sleeper", pid_file=process.pid_file, log_file=process.log_file)
    assert other.pid == pid
    other.kill()
    assert process.pid is None


def test_a_stranger_with_the_same_pid_is_left_alone(process: DetachedProcess) -> None:
    process.pid_file.parent.mkdir(parents=True, exist_ok=True)
    process.pid_file.write_text(f"{os.getpid()} 1 another-boot\n")
    assert process.pid is None
    assert process.stop(deadline=1) is StopOutcome.NOT_RUNNING


@pytest.mark.parametrize("text", ["", "12", "not a pid file at all", "x y z"])
def test_a_damaged_pid_file_means_that_nothing_runs(process: DetachedProcess, text: str) -> None:
    process.pid_file.parent.mkdir(parents=True, exist_ok=True)
    process.pid_file.write_text(text)
    assert process.pid is None
