"""Rows of ``idempotency_keys``: claimed by an advisory lock, written with the change they belong to (semantics 19)."""

from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from postern_gateway.domain.idempotency import KEPT_HOURS, IdempotencyKey, StoredAnswer
from postern_gateway.storage.columns import insert_values, to_json

_COLUMNS: Final = {
    "credential": "text",
    "key": "text",
    "fingerprint": "bytea",
    "status": "smallint",
    "headers": "jsonb",
    "body": "bytea",
}
_NAMES, _VALUES = insert_values(_COLUMNS, "k_")
INSERT_TEMPLATE: Final = f"INSERT INTO gateway.idempotency_keys ({_NAMES}) SELECT {_VALUES}"
"""For the CTEs of the stores; followed by ``FROM <cte>`` where the row depends on another."""

_CLAIM = text(
    "SELECT pg_try_advisory_xact_lock(:lock) AS locked, k.fingerprint, k.status, k.headers, k.body"
    " FROM (SELECT 1) AS one LEFT JOIN gateway.idempotency_keys k"
    " ON k.credential = :credential AND k.key = :key AND k.created_at > clock_timestamp()"
    " - make_interval(hours => :hours)"
)
_INSERT = text(INSERT_TEMPLATE)
_CLEAN = text(
    "DELETE FROM gateway.idempotency_keys WHERE (credential, key) IN (SELECT credential, key"
    " FROM gateway.idempotency_keys WHERE created_at < clock_timestamp() - make_interval(hours => :hours)"
    " ORDER BY created_at LIMIT 1000)"
)
_CLEAN_ONE = text(
    "DELETE FROM gateway.idempotency_keys WHERE credential = :credential AND key = :key"
    " AND created_at <= clock_timestamp() - make_interval(hours => :hours)"
)


class Claim(msgspec.Struct, frozen=True):
    """``locked``: nobody else is working on the key. ``stored``: it was answered, for a request of ``fingerprint``."""

    locked: bool
    fingerprint: bytes | None = None
    stored: StoredAnswer | None = None


async def claim_key(connection: AsyncConnection, key: IdempotencyKey) -> Claim:
    """Lock the key for this transaction and look it up, in one statement.

    The snapshot is older than the lock: an answer committed in between is not seen here, but then the insert hits the
    primary key (``is_key_race``) and the request starts again.
    """
    row = (
        await connection.execute(
            _CLAIM, {"lock": key.lock, "credential": key.credential, "key": key.key, "hours": KEPT_HOURS}
        )
    ).one()
    if row.fingerprint is None:
        return Claim(row.locked)
    return Claim(row.locked, row.fingerprint, StoredAnswer(row.status, row.headers, row.body))


def key_values(key: IdempotencyKey, answer: StoredAnswer) -> dict[str, Any]:
    """Parameters for ``INSERT_TEMPLATE``."""
    return {
        "k_credential": key.credential,
        "k_key": key.key,
        "k_fingerprint": key.fingerprint,
        "k_status": answer.status,
        "k_headers": to_json(answer.headers),
        "k_body": answer.body,
    }


async def insert_key(connection: AsyncConnection, key: IdempotencyKey, answer: StoredAnswer) -> None:
    """Store an answer on its own."""
    await connection.execute(_INSERT, key_values(key, answer))


def is_key_race(error: IntegrityError) -> bool:
    """Whether another request with the key was answered between the look-up and the insert."""
    return "idempotency_keys_pkey" in str(error.orig)


async def drop_expired_key(connection: AsyncConnection, key: IdempotencyKey) -> None:
    """Remove a row that is past its time but not cleaned yet; it would stand in the way of the new one."""
    await connection.execute(_CLEAN_ONE, {"credential": key.credential, "key": key.key, "hours": KEPT_HOURS})


async def clean_keys(connection: AsyncConnection) -> int:
    """Delete up to 1,000 keys older than 24 hours; returns how many."""
    result = await connection.execute(_CLEAN, {"hours": KEPT_HOURS})
    return result.rowcount
