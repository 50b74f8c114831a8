"""The checkpoint file: append-only JSON lines outside the database, and the key that signs them.

Outside, because whoever can rewrite the database must not be able to rewrite what vouches for it.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from postern_audit.domain.checkpoint import Checkpoint, key_id
from postern_common.errors import PermanentError

_DECODER = msgspec.json.Decoder(Checkpoint)


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """One file of checkpoints; one writer at a time, any number of readers. Blocking: call it in a thread."""

    path: Path

    def append(self, checkpoint: Checkpoint) -> None:
        """Write one line and wait until it is on disk. A line torn by a crash is cut off first."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            file.seek(0)
            whole = file.read()
            file.truncate(whole.rfind(b"\n") + 1)
            file.write(msgspec.json.encode(checkpoint) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> tuple[list[Checkpoint], list[int]]:
        """All checkpoints in file order, and the numbers of lines that are none. A missing file is empty."""
        try:
            whole = self.path.read_bytes()
        except FileNotFoundError:
            return [], []
        found: list[Checkpoint] = []
        unreadable: list[int] = []
        for number, line in enumerate(whole[: whole.rfind(b"\n") + 1].splitlines(), start=1):
            try:
                found.append(_DECODER.decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                unreadable.append(number)
        return found, unreadable


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """The key in a PEM file (PKCS 8). Raises ``PermanentError`` in plain words."""
    key = _load(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise PermanentError("checkpoint_key_unusable", f"{path} is not an Ed25519 private key")
    return key


def ensure_signing_key(path: Path) -> Ed25519PrivateKey:
    """The key in ``path``, made when there is none (mode 0600), with its public half beside it as ``<path>.pub``."""
    if path.exists():
        return load_signing_key(path)
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        path.with_name(f"{path.name}.pub").write_bytes(public)
        partial.rename(path)
    except OSError as error:
        raise PermanentError("checkpoint_key_unusable", f"cannot write {path}: {error.strerror}") from error
    return key


def load_public_keys(paths: Iterable[Path]) -> dict[str, Ed25519PublicKey]:
    """Public keys by key id, from PEM files that hold a public key or a private one."""
    keys: dict[str, Ed25519PublicKey] = {}
    for path in paths:
        key = _load(path)
        public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
        keys[key_id(public)] = public
    return keys


def _load(path: Path) -> Ed25519PrivateKey | Ed25519PublicKey:
    try:
        pem = path.read_bytes()
        key = load_pem_public_key(pem) if b"PUBLIC KEY" in pem else load_pem_private_key(pem, password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a PEM key without a passphrase"
        raise PermanentError("checkpoint_key_unusable", f"cannot read the key {path}: {reason}") from error
    if not isinstance(key, Ed25519PrivateKey | Ed25519PublicKey):
        raise PermanentError("checkpoint_key_unusable", f"{path} is not an Ed25519 key")
    return key
