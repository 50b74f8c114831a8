"""``status``: what runs, where, since when, how much memory it takes, and whether it can do its work.

Separate because it only looks: nothing here changes a stack, so it needs no lock and works while ``up`` runs.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from postern_devcluster.embedded import DetachedProcess
from postern_devcluster.embedded.ports import port_is_free
from postern_devcluster.stack.errors import StackError
from postern_devcluster.stack.home import PROCESSES, SERVICES, StackHome
from postern_devcluster.stack.running import look_at_cluster, look_at_service, process_of

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One line of the table; ``missing`` says what keeps a running process from being ready."""

    name: str
    pid: int | None
    address: str
    missing: str | None
    uptime: float = 0.0
    memory: int = 0
    died: bool = False


def look(home: StackHome) -> list[ProcessStatus]:
    """Look at every process that this stack may run; own servers of the user are not among them."""
    return [status for name in PROCESSES if (status := _look_at(home, name)) is not None]


def _look_at(home: StackHome, name: str) -> ProcessStatus | None:
    process = process_of(home, name)
    pid = process.pid
    if pid is None:
        died = process.pid_file.exists()
        return ProcessStatus(name, None, "", None, died=died) if died or name in SERVICES else None
    port = server_port(home, name)
    return ProcessStatus(
        name,
        pid,
        f"127.0.0.1:{port}" if port else "",
        _missing(home, name, port),
        uptime=_uptime(pid),
        memory=_memory(process),
    )


def server_port(home: StackHome, name: str) -> int | None:
    """Return the port of a process of this stack at its last start, None when it never ran."""
    from_file = {"postgres": home.root / "postgres.json", "rabbitmq": home.root / "rabbitmq" / "node.json"}
    if name not in from_file:
        return home.ports().get(name)
    path = from_file[name]
    return int(json.loads(path.read_text())["port"]) if path.exists() else None


def _missing(home: StackHome, name: str, port: int | None) -> str | None:
    if name == "cluster":
        return look_at_cluster(home.cluster / "kubeconfig")
    if port is None:
        return "its port is not known"
    if name in SERVICES:
        return look_at_service(port)
    return "it does not listen" if port_is_free(port) else None


def _uptime(pid: int) -> float:
    started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) / _TICKS
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _memory(process: DetachedProcess) -> int:
    """Bytes of the process and of all in its session, shared pages counted once (proportional set size)."""
    session = str(process.pid)
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if stat.read_text().rpartition(")")[2].split()[3] != session:
                continue
            for line in (stat.parent / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


def show_status(home: StackHome, console: Console) -> None:
    """Print the table and, in a sentence, what to do."""
    if not home.root.exists():
        raise StackError("not_started", f"no stack was started in {home.root} yet", next_step="make up")
    statuses = look(home)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (("process", "left"), ("state", "left"), ("address", "left"), ("pid", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_column("up for", justify="right")
    table.add_column("memory", justify="right")
    for status in statuses:
        table.add_row(*_row(status))
    console.print(table)
    console.print(_sentence(home, statuses), soft_wrap=True)


def _row(status: ProcessStatus) -> tuple[str, ...]:
    if status.pid is None:
        state = "[red]died[/]" if status.died else "[dim]stopped[/]"
        return (status.name, state, "", "", "", "")
    state = "[green]ready[/]" if status.missing is None else f"[yellow]not ready[/]: {status.missing}"
    memory = f"{status.memory / 1024**2:.0f} MiB"
    return (status.name, state, status.address, str(status.pid), _duration(status.uptime), memory)


def _duration(seconds: float) -> str:
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours >= 48:
        return f"{hours // 24} d"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _sentence(home: StackHome, statuses: list[ProcessStatus]) -> str:
    running = [status for status in statuses if status.pid is not None]
    if not running:
        return f"\nNothing runs ({home.root}). Start it: make up"
    if len(running) < len(statuses):
        return "\nNot everything runs. Start what is missing: make up; see why it ended: make logs"
    if any(status.missing for status in running):
        return "\nNot everything is ready. See why: make logs"
    return f"\nEverything is ready: {home.read_env()['POSTERN_URL']} (addresses and token: {home.env_file})"
