"""API keys: ``pst_<id>_<secret>``, stored as SHA-256 of the secret.

No argon2 here, on purpose: a slow hash protects secrets that people choose. This secret is 256 random bits, which
nobody
can search however fast the hash; argon2 would only cost every single request tens of milliseconds and the memory of a
denial of service. The id finds the row, so that the comparison is one digest, in constant time.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from uuid import UUID

_KEY = re.compile(r"pst_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True, repr=False)
class PresentedKey:
    """A key as a client sent it; without a repr, so that no log can show it."""

    id: UUID
    secret: str

    def matches(self, secret_hash: bytes) -> bool:
        """Whether it is the key of that hash; takes the same time whatever it is."""
        return hmac.compare_digest(hash_secret(self.secret), secret_hash)


def generate_secret() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def format_key(key_id: UUID, secret: str) -> str:
    """The key as its owner sees it, once."""
    return f"pst_{key_id.hex}_{secret}"


def parse_key(token: str) -> PresentedKey | None:
    """The parts of a bearer token that has the form of a key."""
    match = _KEY.fullmatch(token)
    return None if match is None else PresentedKey(UUID(hex=match[1]), match[2])
