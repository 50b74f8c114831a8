"""``down`` and ``clean-data``: stops every process in the reverse order of its start; data stay, or go.

Separate from ``launch`` because it must work whatever state a stack was left in, and needs no server's address.
"""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from postern_devcluster.embedded import StopOutcome
from postern_devcluster.embedded.accounts import remove_state, shared_directory
from postern_devcluster.stack.home import StackHome
from postern_devcluster.stack.progress import Progress
from postern_devcluster.stack.running import process_of

ROUNDS = (("gateway",), ("provisioner", "watcher", "audit"), ("cluster",), ("rabbitmq", "postgres"))
DEADLINES = {"cluster": 60.0, "rabbitmq": 30.0, "postgres": 30.0}
SERVICE_DEADLINE = 20.0
FIRST_SIGNAL = {"postgres": signal.SIGINT}
"""PostgreSQL's fast shutdown; SIGTERM would wait for sessions to end."""

_WORDS = {
    StopOutcome.STOPPED: "stopped",
    StopOutcome.KILLED: "did not stop in time and was killed; nothing that was acknowledged is lost",
}


def shut_down(home: StackHome, console: Console) -> int:
    """Stop what runs; return how many processes were stopped."""
    stopped = 0
    with home.locked(), Progress(console) as progress, ThreadPoolExecutor() as pool:
        for names in ROUNDS:
            outcomes = pool.map(lambda name: _stop(home, progress, name), names)
            stopped += sum(outcome is not StopOutcome.NOT_RUNNING for outcome in outcomes)
    return stopped


def _stop(home: StackHome, progress: Progress, name: str) -> StopOutcome:
    began = time.monotonic()
    process = process_of(home, name)
    if process.pid is None:
        process.pid_file.unlink(missing_ok=True)
        return StopOutcome.NOT_RUNNING
    progress.begin(name, f"stopping {name}")
    outcome = process.stop(deadline=DEADLINES.get(name, SERVICE_DEADLINE), first=FIRST_SIGNAL.get(name, signal.SIGTERM))
    progress.done(name, name, _WORDS[outcome], time.monotonic() - began)
    return outcome


def clean_data(home: StackHome, console: Console) -> list[str]:
    """Stop everything and remove all data; return the directories that were removed."""
    shut_down(home, console)
    places = [home.root, shared_directory(home.root), shared_directory(home.cluster)]
    removed = [str(place) for place in places if place.exists()]
    remove_state(home.cluster)
    remove_state(home.root)
    return removed
