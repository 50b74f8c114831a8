"""Gives every pod and Service an address of its own in 127.0.0.0/8, so that each can listen on 5432 as in a cluster.

A state directory claims whole blocks 127.x.y.0/24 in a registry that the host shares under a lock, and remembers who
has which address, so that addresses survive a restart. A block is only taken when binding in it works: a registry that
another user or container cannot see must not lead to a collision.
"""

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from postern_common.errors import PermanentError

REGISTRY = Path("/var/tmp/postern-addresses")  # noqa: S108 — shared by all users of the host on purpose; holds no secret
PORT = 5432
_FIRST_X, _LAST_X = 64, 191
_HOSTS_PER_BLOCK = 254


class AddressesExhaustedError(PermanentError):
    """No block of loopback addresses is free on this host."""


class AddressBook:
    """Addresses of one state directory. Not for use by two processes at once: the operator is the only one."""

    def __init__(self, state_dir: Path, *, registry: Path = REGISTRY) -> None:
        self._owner = str(state_dir.resolve())
        self._file = state_dir / "addresses.json"
        self._registry = registry
        self._blocks: list[str] = []
        self._assigned: dict[str, str] = {}
        self._read()

    def assign(self, key: str) -> str:
        """Return the address of ``key``, reserved now if it has none. Raises AddressesExhaustedError."""
        address = self._assigned.get(key)
        if address is None:
            address = self._free_address()
            self._assigned[key] = address
            self._write()
        return address

    def release(self, key: str) -> None:
        """Give an address back."""
        if self._assigned.pop(key, None) is not None:
            self._write()

    def release_all_but(self, uids: set[str]) -> None:
        """Give back the addresses of clusters (first part of a key) that are not among these."""
        kept = {key: address for key, address in self._assigned.items() if key.split("/", 1)[0] in uids}
        if kept != self._assigned:
            self._assigned = kept
            self._write()

    def _free_address(self) -> str:
        used = set(self._assigned.values())
        for block in self._blocks:
            for host in range(1, _HOSTS_PER_BLOCK + 1):
                address = f"{block}.{host}"
                if address not in used and bindable(address):
                    return address
        self._blocks.append(self._claim_block())
        return self._free_address()

    def _claim_block(self) -> str:
        with self._registered() as owners:
            for x in range(_FIRST_X, _LAST_X + 1):
                for y in range(256):
                    block = f"127.{x}.{y}"
                    taken_by = owners.get(block)
                    gone = taken_by is not None and _is_gone(Path(taken_by))
                    if (taken_by is None or gone) and bindable(f"{block}.1") and bindable(f"{block}.2"):
                        owners[block] = self._owner
                        return block
        raise AddressesExhaustedError("addresses_exhausted", "no free block of loopback addresses on this host")

    @contextlib.contextmanager
    def _registered(self) -> Iterator[dict[str, str]]:
        """Hold the host's registry, and write it back when it changed."""
        if not self._registry.is_dir():
            self._registry.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(PermissionError):
                self._registry.chmod(0o777)
        # Everyone may write: a stack started by root and one started by a user share the host.
        previous = os.umask(0)
        try:
            descriptor = os.open(self._registry / "blocks.json", os.O_RDWR | os.O_CREAT, 0o666)
        finally:
            os.umask(previous)
        with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            owners = _decode(file.read())
            before = dict(owners)
            yield owners
            if owners != before:
                file.seek(0)
                file.truncate()
                json.dump(owners, file)

    def _read(self) -> None:
        if not self._file.exists():
            return
        stored = json.loads(self._file.read_text(encoding="utf-8"))
        with self._registered() as owners:
            # A block that went to another state directory while this one was away is lost, with its addresses.
            self._blocks = [block for block in stored["blocks"] if owners.setdefault(block, self._owner) == self._owner]
        self._assigned = {
            key: address for key, address in stored["assigned"].items() if address.rsplit(".", 1)[0] in self._blocks
        }

    def _write(self) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps({"blocks": self._blocks, "assigned": self._assigned}), encoding="utf-8")
        draft.replace(self._file)


def bindable(address: str, port: int = PORT) -> bool:
    """Whether nobody listens on that address and port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _is_gone(state_dir: Path) -> bool:
    """Whether an owner was removed; one that another user keeps from our sight is there."""
    try:
        return not state_dir.exists()
    except PermissionError:
        return False


def _decode(text: str) -> dict[str, str]:
    try:
        decoded = json.loads(text or "{}")
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}
