"""Idempotency keys: what makes two requests the same (semantics 19)."""

import hashlib
import re
from dataclasses import dataclass

from postern_common.errors import Violation
from postern_gateway.domain.problems import refuse

_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")
KEPT_HOURS = 24


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key within its credential, and the fingerprint of the request that carries it."""

    credential: str
    key: str
    fingerprint: bytes

    @property
    def lock(self) -> int:
        """A signed 64-bit number for the advisory lock."""
        digest = hashlib.blake2b(f"{self.credential}\0{self.key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, signed=True)


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer that is replayed as it was."""

    status: int
    headers: dict[str, str]
    body: bytes


def read_key(header: str) -> str:
    """The key of an ``Idempotency-Key`` header. Raises ``ClientError`` 400 for what no key can be."""
    if _KEY.fullmatch(header) is None:
        raise refuse("malformed_request", "Idempotency-Key takes 1 to 255 printable ASCII characters")
    return header


def fingerprint(method: str, path: str, query: bytes, body: bytes, if_match: str | None) -> bytes:
    """Hash of all that makes a request: method, path, query, raw body, If-Match. Each part is length-prefixed."""
    digest = hashlib.sha256()
    for part in (method.encode(), path.encode("utf-8", "surrogateescape"), query, body, (if_match or "").encode()):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.digest()


def refuse_reused() -> Exception:
    """422: the key was used for another request."""
    fault = Violation("Idempotency-Key", "idempotency_key_reused", "this key was used for another request")
    return refuse("idempotency_key_reused", "this Idempotency-Key was used for another request", errors=[fault])
