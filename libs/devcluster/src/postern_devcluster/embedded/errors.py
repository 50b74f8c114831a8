"""What can go wrong with a private server, each with what to do next in plain words.

Separate so that callers can catch it without importing a server.
"""

import shutil
from pathlib import Path

from postern_common.errors import PosternError

MINIMUM_FREE_BYTES = 300 * 1024 * 1024
"""RabbitMQ takes no messages below 50 MB, an empty PostgreSQL needs 40 MB; the rest is working room."""


class EmbeddedServerError(PosternError):
    """A private server could not be started or stopped; ``next_step`` says what a person can do about it."""

    def __init__(self, code: str, detail: str, *, next_step: str) -> None:
        super().__init__(code, detail)
        self.next_step = next_step


def check_disk_space(directory: Path) -> None:
    """Raise ``disk_full`` when the file system of ``directory`` (or of its nearest parent) has too little room."""
    place = directory
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < MINIMUM_FREE_BYTES:
        raise EmbeddedServerError(
            "disk_full",
            f"only {free // 1024**2} MiB are free where {directory} lies, not {MINIMUM_FREE_BYTES // 1024**2} MiB",
            next_step="free some space, or choose another place: make up POSTERN_HOME=/a/larger/disk/postern",
        )


def package_missing(program: str, package: str) -> EmbeddedServerError:
    """Return the error for a server whose distribution package is not installed."""
    return EmbeddedServerError(
        "package_missing",
        f"{program} is not installed on this machine",
        next_step=f"install it once: sudo apt-get install {package}",
    )


def explain_log(name: str, log: Path, *, lines: int = 12) -> tuple[str, str, str]:
    """Read the end of a failed server's log; return ``(code, detail, next step)``."""
    text = log.read_text(errors="replace") if log.exists() else ""
    tail = "\n".join(text.splitlines()[-lines:])
    if "No space left on device" in tail or "enospc" in tail:
        return "disk_full", f"{name} stopped because the disk is full", "free some space and run the command again"
    if "Address already in use" in tail or "eaddrinuse" in tail:
        return (
            "port_taken",
            f"{name} stopped because its port was taken",
            "run the command again: it takes a new port",
        )
    return (
        "server_failed",
        f"{name} did not start; the end of {log}:\n{tail}",
        f"read {log}, then run the command again",
    )
