"""Ends the servers of a test session that was killed before it could: ``warden.py DIRECTORY PID START_TIME``."""

import sys
import time
from pathlib import Path

from rich.console import Console

from postern_devcluster.embedded import PostgresServer, RabbitServer
from postern_devcluster.embedded.accounts import remove_state
from postern_devcluster.embedded.processes import start_time
from postern_devcluster.stack.home import StackHome
from postern_devcluster.stack.shutdown import clean_data


def main() -> None:
    """Look at the session's process once a second; when it is gone, end stacks and servers and remove their data."""
    directory, pid, started = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    while start_time(pid) == started:
        time.sleep(1)
    for run in directory.glob("*/run"):
        clean_data(StackHome(run.parent), Console(quiet=True))
    log = directory / "logs"
    RabbitServer(directory, password="", log_directory=log).kill()
    PostgresServer(directory, password="", log_file=log / "postgres.log").kill()
    remove_state(directory)


if __name__ == "__main__":
    main()
