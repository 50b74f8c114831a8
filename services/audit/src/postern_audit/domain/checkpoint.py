"""Checkpoints: signed statements, kept outside the database, that the chain had this hash at this position.

Whoever can write to the database can rewrite the whole chain consistently; a checkpoint is what he cannot rewrite.
Ed25519 (RFC 8032) over the RFC 8785 form of ``{hash, key_id, position, time}``.
"""

from collections.abc import Mapping
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from postern_audit.domain.chain import Head

KEY_ID_LENGTH = 16
"""Hex digits of a key's id: the beginning of SHA-256 of its 32 raw bytes."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the checkpoint file. ``hash`` and ``signature`` in hex, ``time`` RFC 3339 in UTC."""

    position: int
    hash: str
    time: str
    key_id: str
    signature: str


class _Signed(msgspec.Struct, frozen=True):
    """Members in the order RFC 8785 sorts them; never reorder."""

    hash: str
    key_id: str
    position: int
    time: str


_ENCODER = msgspec.json.Encoder()


def key_id(key: Ed25519PublicKey) -> str:
    """Short name of a public key, so that a verifier knows which one to use after a rotation."""
    return sha256(key.public_bytes_raw()).hexdigest()[:KEY_ID_LENGTH]


def sign(head: Head, *, time: str, key: Ed25519PrivateKey) -> Checkpoint:
    """A checkpoint of ``head``."""
    name = key_id(key.public_key())
    signature = key.sign(_signed_bytes(head.position, head.hash.hex(), time, name))
    return Checkpoint(position=head.position, hash=head.hash.hex(), time=time, key_id=name, signature=signature.hex())


def is_genuine(checkpoint: Checkpoint, keys: Mapping[str, Ed25519PublicKey]) -> bool:
    """Whether one of ``keys`` (by key id) signed exactly this checkpoint."""
    key = keys.get(checkpoint.key_id)
    if key is None:
        return False
    signed = _signed_bytes(checkpoint.position, checkpoint.hash, checkpoint.time, checkpoint.key_id)
    try:
        key.verify(bytes.fromhex(checkpoint.signature), signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed_bytes(position: int, digest: str, time: str, name: str) -> bytes:
    return _ENCODER.encode(_Signed(hash=digest, key_id=name, position=position, time=time))
