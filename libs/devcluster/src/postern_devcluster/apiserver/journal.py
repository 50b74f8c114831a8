"""Durability: an append-only log of writes beside a snapshot, so that state survives a restart and ``kill -9``.

Separate from the maps it protects: it knows bytes and versions, not Kubernetes. A line reaches the kernel before the
write is answered; it is not fsynced, so a power cut (not a crash) may lose the last writes. A torn last line is cut off
on load.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

EventType = Literal["ADDED", "MODIFIED", "DELETED"]

_SNAPSHOT = "snapshot.jsonl"
_LOG = "log.jsonl"


class StateDirectoryBusyError(Exception):
    """Another process serves from this directory."""


@dataclass(frozen=True, slots=True)
class Record:
    """One write as it was made: the object after it (for a removal: the last one)."""

    version: int
    resource: str
    type: EventType
    object: dict[str, Any]


class Journal:
    """The files of one state directory; holds a lock on it while open."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StateDirectoryBusyError(f"another development cluster serves from {directory}") from None
        self._log = -1
        self.lines = 0
        """Lines in the log since the snapshot: what decides when to compact."""

    def snapshot(self) -> tuple[int, list[Record]]:
        """The version of the snapshot and its objects; (0, []) when there is none."""
        path = self._directory / _SNAPSHOT
        if not path.exists():
            return 0, []
        lines = path.read_bytes().splitlines()
        version = int(msgspec.json.decode(lines[0])["version"])
        return version, [_decode(line) for line in lines[1:]]

    def replay(self, after: int) -> Iterator[Record]:
        """Writes of the log newer than ``after``, in order; then the log is open for appending."""
        path = self._directory / _LOG
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            record = _decode(line)
            self.lines += 1
            if record.version > after:
                yield record
        self._open_log(truncate_to=len(whole))

    def append(self, version: int, resource: str, event: EventType, raw: bytes) -> None:
        """Write one line; it is with the kernel when this returns. Raises ``OSError`` (disk full)."""
        head = f'{{"v":{version},"r":"{resource}","t":"{event}","o":'.encode()
        line = b"".join((head, raw, b"}\n"))
        written = os.write(self._log, line)
        if written != len(line):
            os.ftruncate(self._log, os.fstat(self._log).st_size - written)
            raise OSError(28, "the state directory's disk is full")
        self.lines += 1

    def compact(self, version: int, objects: Iterable[tuple[str, bytes]]) -> None:
        """Replace the snapshot by ``objects`` (resource, raw) as of ``version`` and start an empty log."""
        temporary = self._directory / f"{_SNAPSHOT}.new"
        with temporary.open("wb") as file:
            file.write(f'{{"version":{version}}}\n'.encode())
            for resource, raw in objects:
                file.write(f'{{"v":{version},"r":"{resource}","t":"ADDED","o":'.encode() + raw + b"}\n")
        temporary.replace(self._directory / _SNAPSHOT)
        os.close(self._log)
        self._open_log(truncate_to=0)
        self.lines = 0

    def close(self) -> None:
        """Release the files and the lock; a second time does nothing."""
        for descriptor in (self._log, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._log = self._lock = -1

    def _open_log(self, *, truncate_to: int) -> None:
        self._log = os.open(self._directory / _LOG, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.ftruncate(self._log, truncate_to)


def _decode(line: bytes) -> Record:
    entry = msgspec.json.decode(line)
    return Record(entry["v"], entry["r"], entry["t"], entry["o"])
