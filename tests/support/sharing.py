"""The servers of one test session: below one directory, started once, used by every worker.

The first process that needs a server starts it under a file lock, the others adopt it. A warden process ends them when
the test session is killed before it could.
"""

import contextlib
import fcntl
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postern_devcluster.embedded import DetachedProcess, PostgresServer, RabbitServer
from postern_devcluster.embedded.accounts import remove_state
from postern_devcluster.embedded.postgres import FOR_TESTS
from postern_devcluster.embedded.processes import start_time

PASSWORD = "only-for-tests"


class SharedServers:
    """The servers below one directory; every method may be called by any worker at any time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        logs = directory / "logs"
        self.postgres = PostgresServer(
            directory, password=PASSWORD, log_file=logs / "postgres.log", settings=FOR_TESTS, durable=False
        )
        self.rabbit = RabbitServer(directory, password=PASSWORD, log_directory=logs, management=True)
        self._warden = DetachedProcess("warden", pid_file=directory / "warden.pid", log_file=logs / "warden.log")

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock ``name`` against the other workers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def start(self, *, postgres: bool, rabbitmq: bool, prepare: Callable[[PostgresServer, Path], None]) -> None:
        """Start what is wanted and not there yet, both at the same time; raises the first error.

        ``prepare`` makes the template database once.
        """
        controller = os.getppid() if os.environ.get("PYTEST_XDIST_WORKER") else os.getpid()
        with self.locked("warden"):
            if self._warden.pid is None:
                self._warden.start(
                    [
                        *(sys.executable, str(Path(__file__).with_name("warden.py"))),
                        *(str(self.directory), str(controller), str(start_time(controller))),
                    ],
                    environment=dict(os.environ),
                    directory=Path("/"),
                )
        errors: list[BaseException] = []

        def guarded(name: str) -> None:
            try:
                with self.locked(name):
                    if name == "postgres":
                        self.postgres.start()
                        prepare(self.postgres, self.directory)
                    else:
                        self.rabbit.start()
            except Exception as error:  # noqa: BLE001 (raised below, by the thread that asked)
                errors.append(error)

        wanted = [name for name, asked in (("postgres", postgres), ("rabbitmq", rabbitmq)) if asked]
        threads = [threading.Thread(target=guarded, args=(name,)) for name in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def end(self) -> None:
        """Kill the servers and remove all that they wrote: nobody wants a test's data."""
        self._warden.kill()
        self.rabbit.kill()
        self.postgres.kill()
        remove_state(self.directory)


SERVERS = pytest.StashKey[SharedServers]()
