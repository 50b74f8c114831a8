"""``logs``: the logs of all processes, one after the other or as they are written.

Separate because the services write one JSON document a line, which is for machines: here they become readable.
"""

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from postern_devcluster.stack.errors import StackError
from postern_devcluster.stack.home import PROCESSES, StackHome

_COLOURS = ("cyan", "magenta", "blue", "green", "yellow", "bright_cyan", "bright_magenta")
_POLL = 0.3
_HIDDEN = {"timestamp", "level", "event", "service", "logger"}


def show_logs(home: StackHome, console: Console, names: Iterable[str], *, lines: int, follow: bool) -> None:
    """Print the last ``lines`` of each log, then go on until interrupted when ``follow``."""
    wanted = list(names) or list(PROCESSES)
    unknown = set(wanted) - set(PROCESSES)
    if unknown:
        raise StackError(
            "unknown_process",
            f"there is no process {', '.join(sorted(unknown))}",
            next_step=f"name some of: {', '.join(PROCESSES)}",
        )
    positions: dict[str, int] = {}
    for name in wanted:
        path = home.log_file(name)
        text = path.read_bytes() if path.exists() else b""
        positions[name] = len(text)
        for line in text.decode(errors="replace").splitlines()[-lines:]:
            _print(console, name, line)
    while follow:
        for name in wanted:
            for line in _new_lines(home.log_file(name), positions, name):
                _print(console, name, line)
        time.sleep(_POLL)


def _new_lines(path: Path, positions: dict[str, int], name: str) -> Iterator[str]:
    if not path.exists():
        return
    size = path.stat().st_size
    if size < positions[name]:
        positions[name] = 0
    with path.open("rb") as file:
        file.seek(positions[name])
        new = file.read()
    whole, newline, _ = new.rpartition(b"\n")
    positions[name] += len(whole) + len(newline)
    if whole:
        yield from whole.decode(errors="replace").splitlines()


def readable(line: str) -> str:
    """Return a line of a log as a person reads it: time, level, event, then what it is about."""
    try:
        record = json.loads(line)
    except ValueError:
        return line
    if not isinstance(record, dict) or "event" not in record:
        return line
    clock = str(record.get("timestamp", ""))[11:23]
    rest = " ".join(f"{key}={value}" for key, value in record.items() if key not in _HIDDEN and value is not None)
    return f"{clock} {record.get('level', ''):<7} {record['event']} {rest}".strip()


def _print(console: Console, name: str, line: str) -> None:
    colour = _COLOURS[PROCESSES.index(name) % len(_COLOURS)]
    console.print(Text.assemble((f"{name:<11} ", colour), readable(line)), soft_wrap=True)
