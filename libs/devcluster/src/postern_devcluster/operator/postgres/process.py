"""One postmaster: started in a session of its own, adopted by its pid file, watched through a pidfd.

Apart from everything that knows about clusters: it owns a pid, its exit and its log, and outlives the operator.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from postern_devcluster.operator.postgres.account import ServerAccount

_LARGEST_LOG = 8 * 1024 * 1024
_FAST_SHUTDOWN_SECONDS = 10.0
_IMMEDIATE_SHUTDOWN_SECONDS = 5.0


class Postmaster:
    """A running postmaster. ``on_exit`` is called once in the event loop when it has ended, whoever ended it."""

    def __init__(self, pid: int, *, child: bool, on_exit: Callable[["Postmaster"], None]) -> None:
        self.pid = pid
        self.stopping = False
        self._child = child
        self._on_exit = on_exit
        self._exited = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(pid)
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def alive(self) -> bool:
        """Whether the process has not ended yet."""
        return not self._exited.is_set()

    async def wait(self) -> None:
        """Wait until the process has ended."""
        await self._exited.wait()

    async def stop(self) -> None:
        """Shut down fast, then immediately, then by kill; returns when the process has ended."""
        self.stopping = True
        for number, patience in (
            (signal.SIGINT, _FAST_SHUTDOWN_SECONDS),
            (signal.SIGQUIT, _IMMEDIATE_SHUTDOWN_SECONDS),
            (signal.SIGKILL, _IMMEDIATE_SHUTDOWN_SECONDS),
        ):
            if not self.alive:
                return
            self.signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._exited.wait()

    def signal(self, number: int) -> None:
        """Send a signal; a process that has ended takes none."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def detach(self) -> None:
        """Stop watching without ending the process: it is adopted by the next operator."""
        if self.alive:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._exited.set()

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        if self._child:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        os.close(self._pidfd)
        self._exited.set()
        self._on_exit(self)


def spawn_postmaster(
    account: ServerAccount, argv: Sequence[str], log_file: Path, on_exit: Callable[[Postmaster], None]
) -> Postmaster:
    """Start a postmaster in its own session with its output appended to ``log_file``."""
    if log_file.exists() and log_file.stat().st_size > _LARGEST_LOG:
        log_file.replace(log_file.with_suffix(".log.1"))
    log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Opened before the account changes: the log is the caller's, in a directory that PostgreSQL need not enter.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    command = [*account.prefix, *argv]
    pid = os.posix_spawnp(
        command[0],
        command,
        {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log_file), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE, signal.SIGHUP],
        setsigmask=[],
    )
    return Postmaster(pid, child=True, on_exit=on_exit)


def adopt_postmaster(data_directory: Path, on_exit: Callable[[Postmaster], None]) -> Postmaster | None:
    """Take over the postmaster of a data directory, if one runs; a pid that another program got is not taken."""
    pid = running_pid(data_directory)
    if pid is None:
        return None
    with contextlib.suppress(ProcessLookupError):
        return Postmaster(pid, child=False, on_exit=on_exit)
    return None


def running_pid(data_directory: Path) -> int | None:
    """Return the pid of the postmaster of a data directory, or None when none runs."""
    try:
        first = (data_directory / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]
        pid = int(first)
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if str(data_directory).encode() in command else None


def strays(root: Path) -> list[int]:
    """Return pids of postmasters whose data directory lies below ``root``, found by their command lines."""
    marker = f"{root}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().split(b"\0")
                if (
                    len(command) > 2
                    and command[0].endswith(b"/postgres")
                    and any(a.startswith(marker) for a in command)
                ):
                    found.append(int(entry.name))
    return found
