"""The system account that PostgreSQL runs as, and where its files may lie.

PostgreSQL refuses to run as root, and the ``postgres`` account cannot enter a state directory below a closed home
(semantics 41). Both facts are decided here once, so that nothing else asks who the caller is.
"""

import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

_SHARED_ROOT = Path("/var/lib/postern")
_SYSTEM_ACCOUNT = "postgres"
_LONGEST_SOCKET_DIRECTORY = 80


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """Who runs PostgreSQL. ``prefix`` goes before every argument list; ``None`` ids mean the caller itself."""

    prefix: tuple[str, ...]
    uid: int | None
    gid: int | None

    def own(self, path: Path) -> None:
        """Hand a file or directory over to the account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def make_directory(self, path: Path) -> Path:
        """Create a directory of mode 0700 that belongs to the account; its parents stay the caller's but passable."""
        if not path.is_dir():
            self._make_parents(path.parent)
            path.mkdir(mode=0o700, exist_ok=True)
            self.own(path)
        return path

    def write(self, path: Path, text: str, *, mode: int = 0o600) -> None:
        """Replace a file atomically; it belongs to the account."""
        temporary = path.with_name(f".{path.name}.new")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(text)
        self.own(temporary)
        temporary.replace(path)

    def _make_parents(self, path: Path) -> None:
        if not path.is_dir():
            self._make_parents(path.parent)
            path.mkdir(mode=0o755, exist_ok=True)


def server_account() -> ServerAccount:
    """Return the caller's own account, or the ``postgres`` system account when the caller is root.

    Raises KeyError when root has no ``postgres`` account to step down to.
    """
    if os.geteuid() != 0:
        return ServerAccount((), None, None)
    entry = pwd.getpwnam(_SYSTEM_ACCOUNT)
    prefix = ("setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--")
    return ServerAccount(prefix, entry.pw_uid, entry.pw_gid)


def state_hash(state_dir: Path) -> str:
    """Twelve hex characters that stand for one state directory on this host."""
    return hashlib.sha256(str(state_dir.resolve()).encode()).hexdigest()[:12]


def data_root(state_dir: Path, account: ServerAccount) -> Path:
    """Return the directory for data: in the state directory, or outside where the account cannot enter it."""
    inside = state_dir / "postgres"
    if account.uid is None or _passable(state_dir.resolve()):
        return account.make_directory(inside)
    outside = account.make_directory(_SHARED_ROOT / state_hash(state_dir))
    if not inside.is_symlink() and not inside.exists():
        inside.symlink_to(outside)
    return outside


def socket_root(state_dir: Path, root: Path, account: ServerAccount) -> Path:
    """Return a directory for sockets whose path leaves room for the 107 bytes of a socket address."""
    inside = root / "s"
    if len(str(inside)) <= _LONGEST_SOCKET_DIRECTORY:
        return account.make_directory(inside)
    return account.make_directory(Path("/tmp") / f"postern-{state_hash(state_dir)}")  # noqa: S108 — mode 0700, checked below


def _passable(path: Path) -> bool:
    return all(directory.stat().st_mode & stat.S_IXOTH for directory in (path, *path.parents))
