"""Bearer tokens become principals: the bootstrap administrator's from settings, API keys from their table.

A key's row is kept for ``CACHE_SECONDS`` so that a burst costs one read. A key deleted through this process is
forgotten at once; through another, it is refused after that time at the latest. Expiry is looked at on every call.
"""

import hashlib
import hmac
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from postern_common.contracts.events import ActionActor
from postern_common.errors import ClientError
from postern_common.persistence import UnitOfWorkFactory
from postern_gateway.domain.access import Principal, Role
from postern_gateway.domain.api_keys import parse_key
from postern_gateway.domain.problems import refuse
from postern_gateway.domain.records import ApiKeyRecord
from postern_gateway.storage.projects import ApiKeyStore

CACHE_SECONDS: Final = 2.0
CACHE_SIZE: Final = 10_000
_MAX_TOKEN: Final = 512


@dataclass(frozen=True, slots=True)
class _Cached:
    record: ApiKeyRecord
    until: float


def unauthenticated(detail: str) -> ClientError:
    """401, with the challenge that RFC 9110 asks for."""
    return refuse("unauthenticated", detail, headers={"WWW-Authenticate": 'Bearer realm="postern"'})


class Authenticator:
    """Decides who a bearer token is. The same answer for every wrong one: which part was wrong is nobody's business."""

    def __init__(self, *, unit_of_work: UnitOfWorkFactory, store: ApiKeyStore, bootstrap_token: str) -> None:
        self._unit_of_work = unit_of_work
        self._store = store
        self._bootstrap = hashlib.sha256(bootstrap_token.encode()).digest()
        self._administrator = Principal(
            actor=ActionActor(kind="administrator", name="bootstrap"), credential="bootstrap"
        )
        self._cache: OrderedDict[UUID, _Cached] = OrderedDict()

    async def authenticate(self, authorization: str | None) -> Principal:
        """The principal of an ``Authorization`` header. Raises ``ClientError`` 401."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise unauthenticated("send `Authorization: Bearer <key>`")
        if len(token) > _MAX_TOKEN:
            raise unauthenticated("the credential is not valid")
        if hmac.compare_digest(hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest(), self._bootstrap):
            return self._administrator
        presented = parse_key(token)
        record = None if presented is None else await self._find(presented.id)
        if presented is None or record is None or not presented.matches(record.secret_hash):
            raise unauthenticated("the credential is not valid")
        if record.expires_at is not None and record.expires_at <= datetime.now(UTC):
            self.forget(record.id)
            raise unauthenticated("the credential is not valid")
        return _principal(record)

    def forget(self, key_id: UUID) -> None:
        """A key was deleted: from now on it is read again."""
        self._cache.pop(key_id, None)

    async def _find(self, key_id: UUID) -> ApiKeyRecord | None:
        cached = self._cache.get(key_id)
        if cached is not None and cached.until > time.monotonic():
            return cached.record
        async with self._unit_of_work() as unit:
            record = await self._store.find(unit.connection, key_id)
        if record is None:
            self._cache.pop(key_id, None)
            return None
        self._cache[key_id] = _Cached(record, time.monotonic() + CACHE_SECONDS)
        self._cache.move_to_end(key_id)
        while len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return record


def _principal(record: ApiKeyRecord) -> Principal:
    return Principal(
        actor=ActionActor(kind="api_key", name=record.name, credential_id=record.id),
        credential=record.id.hex,
        project_id=record.project_id,
        project=record.project,
        role=Role(record.role),
        permissions=frozenset(record.permissions),
        expires_at=record.expires_at,
    )
