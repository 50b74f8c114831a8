"""Opaque, signed cursors of keyset lists: a position that a client can send back, but neither read nor forge.

The signature covers the list and its filters, so that a cursor of one list is refused by another.
"""

import base64
import binascii
import hashlib
import hmac
from uuid import UUID

from postern_common.errors import Violation
from postern_gateway.domain.problems import invalid

_MAC_BYTES = 12
_LENGTH = 16 + _MAC_BYTES


class CursorSigner:
    """Makes and checks cursors with a key derived from the installation's secret."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"postern list cursors v1", "sha256")

    def sign(self, scope: str, position: UUID) -> str:
        """A cursor of the list that ``scope`` describes: route, project, filters and order."""
        raw = position.bytes + self._mac(scope, position.bytes)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    def read(self, scope: str, cursor: str) -> UUID:
        """The position. Raises ``ClientError`` 422 ``invalid_cursor`` for anything this list did not give."""
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != _LENGTH or not hmac.compare_digest(raw[16:], self._mac(scope, raw[:16])):
            raise invalid(Violation("cursor", "invalid_cursor", "not a cursor of this list with these filters"))
        return UUID(bytes=raw[:16])

    def _mac(self, scope: str, position: bytes) -> bytes:
        return hmac.new(self._key, scope.encode() + b"\0" + position, hashlib.sha256).digest()[:_MAC_BYTES]
