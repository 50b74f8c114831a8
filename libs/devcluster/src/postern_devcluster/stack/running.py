"""Start, adopt and wait for the processes of a stack, one at a time.

Separate from the order in which ``launch`` does it and from what the processes are told (``services``).
"""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from postern_devcluster.embedded import DetachedProcess
from postern_devcluster.stack.errors import StackError
from postern_devcluster.stack.home import PROCESSES, StackHome, write_private
from postern_devcluster.stack.logs import readable
from postern_devcluster.stack.services import ProcessSpec

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
"""A service drains for 10 s and closes for 3 s at most."""
STUCK_SECONDS = 30.0
"""A process that says the same fault for so long waits for a person, not for time."""
NOT_LISTENING = frozenset({"it does not listen yet", "its API server does not listen yet"})
_POLL = 0.1


def process_of(home: StackHome, name: str) -> DetachedProcess:
    """Return the handle of a process of this stack, running or not."""
    return DetachedProcess(name, pid_file=home.pid_file(name), log_file=home.log_file(name))


def ensure_running(home: StackHome, spec: ProcessSpec) -> str:
    """Start the process, or leave it when it runs with the same command and environment; return what was done."""
    process = process_of(home, spec.name)
    told = home.root / "run" / f"{spec.name}.told"
    done = "started"
    if process.pid is not None:
        if told.exists() and told.read_text() == spec.fingerprint:
            return "running"
        process.stop(deadline=STOP_SECONDS)
        done = "restarted"
    write_private(told, spec.fingerprint)
    process.start(list(spec.command), environment=spec.environment, directory=Path("/"))
    return done


def wait_ready(
    process: DetachedProcess,
    look: Callable[[], str | None],
    *,
    note: Callable[[str], None],
    seconds: float = READY_SECONDS,
) -> None:
    """Wait until ``look`` returns None; it returns what is still missing, in words.

    Raises ``process_ended`` with the end of the log, or ``not_ready`` with the last thing that was missing.
    """
    began = same_since = time.monotonic()
    last = None
    while (missing := look()) is not None:
        now = time.monotonic()
        if missing != last:
            last, same_since = missing, now
        if process.pid is None:
            raise process_ended(process)
        stuck = missing not in NOT_LISTENING and now - same_since > STUCK_SECONDS
        if stuck or now - began > seconds:
            raise StackError(
                "not_ready",
                f"{process.name} is not ready after {now - began:.0f} s: {missing}",
                next_step=f"mend what it says, then: make up (it goes on trying; its log is {process.log_file})",
            )
        note(missing)
        time.sleep(_POLL)


def process_ended(process: DetachedProcess) -> StackError:
    """Return the error for a process that ended by itself, with the end of its log."""
    return StackError(
        "process_ended",
        f"{process.name} ended by itself; the end of {process.log_file}:\n{log_end(process.log_file)}",
        next_step=f"read {process.log_file}, then: make up",
    )


def refuse_dead_processes(home: StackHome) -> None:
    """Raise ``process_ended`` when a process of this stack has ended that nobody stopped."""
    for name in PROCESSES:
        process = process_of(home, name)
        if process.pid_file.exists() and process.pid is None:
            raise process_ended(process)


def look_at_service(port: int) -> str | None:
    """Ask a service's readiness; None when it is ready."""
    try:
        status, body = fetch(f"http://127.0.0.1:{port}/readyz", timeout=4)
    except OSError:
        return "it does not listen yet"
    if status == 200:
        return None
    try:
        checks = json.loads(body)["checks"]
        return "; ".join(f"{check['name']}: {check['detail']}" for check in checks if not check["ready"])
    except (ValueError, KeyError, TypeError):
        return f"it answers {status} to /readyz"


def look_at_cluster(kubeconfig: Path) -> str | None:
    """Ask the development cluster's API server; None when it is ready."""
    try:
        config = json.loads(kubeconfig.read_text())
        server = config["clusters"][0]["cluster"]["server"]
        token = config["users"][0]["user"]["token"]
    except (OSError, ValueError, KeyError, IndexError):
        return "it has written no kubeconfig yet"
    try:
        status, _ = fetch(f"{server}/readyz", timeout=4, headers={"Authorization": f"Bearer {token}"})
    except OSError:
        return "its API server does not listen yet"
    return None if status == 200 else f"its API server answers {status}"


def fetch(url: str, *, timeout: float, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """GET a loopback address; raises OSError when nobody answers."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        # Our own server on loopback, found by a file that only we can read: its name is not what is in question.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", parts.path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def log_end(path: Path, *, lines: int = 12) -> str:
    """Return the last lines of a log, as a person reads them."""
    if not path.exists():
        return "(there is no log)"
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 16_384, 0))
        text = file.read().decode(errors="replace")
    told = "\n".join(readable(line) for line in text.splitlines())
    return "\n".join(told.splitlines()[-lines:])
