"""A process that outlives its starter: started in its own session, found again by its pid file, ended with a deadline.

Separate because servers, services and the development cluster are all started, adopted and stopped in the same way.
A pid file names the process exactly (pid, start time and boot), so a pid used again by a stranger is never signalled.
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

_POLL = 0.05
_AT_ONCE = 5.0
"""Seconds the kernel gets to end a process after SIGKILL."""


class StopOutcome(StrEnum):
    """How a process ended."""

    NOT_RUNNING = "not_running"
    STOPPED = "stopped"
    KILLED = "killed"


def start_time(pid: int) -> str | None:
    """Return the start time of a live process in clock ticks since boot (proc(5), field 22), None when it is gone."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    state, threads, started = fields[0], int(fields[17]), fields[19]
    # A zombie with threads left still holds its sockets and files; without, it only waits for its parent to look.
    return None if state in {"Z", "X"} and threads <= 1 else started


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class DetachedProcess:
    """One process, its pid file and its log file (output is appended)."""

    def __init__(self, name: str, *, pid_file: Path, log_file: Path) -> None:
        self.name = name
        self.pid_file = pid_file
        self.log_file = log_file

    @property
    def pid(self) -> int | None:
        """Pid of the running process, None when it does not run."""
        try:
            pid, started, boot = self.pid_file.read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if boot == _boot() and start_time(int(pid)) == started else None

    def start(self, argv: Sequence[str], *, environment: Mapping[str, str], directory: Path) -> int:
        """Start ``argv`` in its own session with exactly ``environment``; return its pid. It must not run already."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            "/usr/bin/env",
            ["/usr/bin/env", f"--chdir={directory}", *argv],
            dict(environment),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log_file), append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP],
        )
        started = start_time(pid)
        partial = self.pid_file.with_suffix(".new")
        partial.write_text(f"{pid} {started} {_boot()}\n")
        partial.replace(self.pid_file)
        return pid

    def stop(self, *, deadline: float, first: signal.Signals = signal.SIGTERM) -> StopOutcome:
        """Send ``first``, wait up to ``deadline`` seconds, then SIGKILL; the pid file is removed."""
        outcome = StopOutcome.NOT_RUNNING
        if self._signal(first):
            outcome = StopOutcome.STOPPED
            if not self.wait_gone(deadline):
                self.kill()
                outcome = StopOutcome.KILLED
        self.pid_file.unlink(missing_ok=True)
        return outcome

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone (no error when it does not run)."""
        if self._signal(signal.SIGKILL):
            self.wait_gone(_AT_ONCE)

    def wait_gone(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for the process to end by itself."""
        end = time.monotonic() + timeout
        while self.pid is not None:
            if time.monotonic() > end:
                return False
            time.sleep(_POLL)
        return True

    def _signal(self, number: signal.Signals) -> bool:
        pid = self.pid
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        return True
