"""Which system user runs PostgreSQL, and where its data may lie.

Separate because the reason is one of the machine, not of the server: PostgreSQL refuses to run as root, and the user
that runs it instead cannot enter a clone under /root (semantics 41). The development cluster's instances follow the
same rule.
"""

import hashlib
import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from postern_devcluster.embedded.errors import package_missing

SHARED_ROOT = Path("/var/lib/postern")


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """The user that PostgreSQL runs as: the caller, or the ``postgres`` system user when the caller is root."""

    name: str | None
    uid: int
    gid: int

    @classmethod
    def current(cls) -> "ServerAccount":
        """Return the account for this caller; raises ``package_missing`` as root without the ``postgres`` user."""
        if os.geteuid() != 0:
            return cls(name=None, uid=os.geteuid(), gid=os.getegid())
        try:
            entry = pwd.getpwnam("postgres")
        except KeyError:
            raise package_missing("PostgreSQL (and its system user 'postgres')", "postgresql") from None
        return cls(name="postgres", uid=entry.pw_uid, gid=entry.pw_gid)

    def command(self, *argv: str) -> list[str]:
        """Return ``argv`` so that it runs as this account (``setpriv`` executes it in its place: the pid stays)."""
        if self.name is None:
            return list(argv)
        return ["setpriv", f"--reuid={self.name}", f"--regid={self.gid}", "--clear-groups", *argv]

    def private_directory(self, state_directory: Path, name: str) -> Path:
        """Make and return the directory (0700, of this account) for ``name`` of the given state directory.

        As root it lies in ``/var/lib/postern/<hash of the state directory>`` and the state directory links to it.
        """
        link = state_directory / name
        if self.name is None:
            link.mkdir(mode=0o700, parents=True, exist_ok=True)
            return link
        place = shared_directory(state_directory) / name
        if not link.is_symlink() and place.exists():
            _set_aside(place)
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        place.mkdir(mode=0o700, exist_ok=True)
        os.chown(place, self.uid, self.gid)
        state_directory.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(place)
        return place


def _set_aside(place: Path) -> None:
    """Keep what an earlier state directory at the same path left behind: its passwords went with it."""
    previous = place.with_name(f"{place.name}.previous")
    shutil.rmtree(previous, ignore_errors=True)
    place.rename(previous)


def shared_directory(state_directory: Path) -> Path:
    """Return where root keeps the data of this state directory."""
    digest = hashlib.sha256(str(state_directory.resolve()).encode()).hexdigest()
    return SHARED_ROOT / digest[:12]


def remove_state(state_directory: Path) -> None:
    """Remove a state directory and the data that lie elsewhere on its behalf. No server of it may run."""
    shutil.rmtree(shared_directory(state_directory), ignore_errors=True)
    if state_directory.exists():
        shutil.rmtree(state_directory)
