"""Claims: who works on which target until when, and how an attempt ends.

Separate from the targets because every statement here is fenced by the claim's epoch and generation: a process that
slept through its lease, or was overtaken by a newer command, changes nothing.
"""
# ruff: noqa: S608 - the texts are constants of this package, every value is bound

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from postern_common.persistence import open_transaction
from postern_provisioner.domain.target import Target
from postern_provisioner.storage.rows import COLUMNS, target_of

LEASE_SECONDS = 20.0

_CLAIM = text(f"""
UPDATE provisioner.targets AS t SET lease_owner = :owner, lease_epoch = t.lease_epoch + 1,
    lease_until = due.lease_until, next_attempt_at = due.lease_until
FROM (
    SELECT d.database_id, clock_timestamp() + make_interval(secs => :seconds) AS lease_until
    FROM provisioner.targets d
    WHERE d.next_attempt_at <= clock_timestamp() AND d.lease_until <= clock_timestamp()
    ORDER BY d.next_attempt_at LIMIT :limit FOR UPDATE SKIP LOCKED
) AS due
WHERE t.database_id = due.database_id
RETURNING t.lease_epoch, {COLUMNS}
""")
_NEXT_DUE = text(
    "SELECT extract(epoch FROM min(greatest(next_attempt_at, lease_until)) - clock_timestamp())::float8"
    " FROM provisioner.targets WHERE next_attempt_at IS NOT NULL"
)
# A next_attempt_at other than the lease's end was written by a command or a signal during the attempt: it stays.
_NEXT = "CASE WHEN next_attempt_at = lease_until THEN {} ELSE next_attempt_at END"
_MINE = "WHERE database_id = :database_id AND lease_epoch = :epoch"
_APPLIED = text(
    "UPDATE provisioner.targets SET applied_generation = generation, image = :image, existed = true,"
    " undo_resize = false, pending_switchover = NULL, attempts = 0, failures = 0, last_error_code = NULL,"
    f" next_attempt_at = {_NEXT.format('NULL')}, lease_until = '-infinity' {_MINE} AND generation = :generation"
)
_REMOVED = text(
    "UPDATE provisioner.targets SET applied_generation = generation, removed_at = coalesce(removed_at,"
    " clock_timestamp()), attempts = 0, failures = 0, last_error_code = NULL,"
    f" next_attempt_at = {_NEXT.format('NULL')}, lease_until = '-infinity' {_MINE} AND generation = :generation"
)
_RETRY = text(
    "UPDATE provisioner.targets SET attempts = :attempts, failures = :failures, last_error_code = :code,"
    f" next_attempt_at = {_NEXT.format('clock_timestamp() + make_interval(secs => :delay)')},"
    f" lease_until = '-infinity' {_MINE} AND generation = :generation"
)
_GIVE_UP = text(
    "UPDATE provisioner.targets SET attempts = :attempts, failures = :failures, last_error_code = :code,"
    " failed_generation = CASE WHEN applied_generation < generation THEN generation END, pending_switchover = NULL,"
    f" next_attempt_at = {_NEXT.format('NULL')}, lease_until = '-infinity' {_MINE} AND generation = :generation"
)
_RELEASE = text(
    f"UPDATE provisioner.targets SET next_attempt_at = {_NEXT.format('clock_timestamp()')},"
    f" lease_until = '-infinity' {_MINE}"
)
_EXISTED = text(f"UPDATE provisioner.targets SET existed = true {_MINE}")


@dataclass(frozen=True, slots=True)
class Claim:
    """A target and the epoch under which it was claimed."""

    target: Target
    epoch: int

    @property
    def database_id(self) -> UUID:
        """The claimed database."""
        return self.target.identity.database_id


class ClaimStore:
    """Claims due targets for ``owner`` and ends the claims; the event is written in the same transaction."""

    def __init__(self, engine: AsyncEngine, *, owner: str, seconds: float = LEASE_SECONDS) -> None:
        self._engine = engine
        self._owner = owner
        self.seconds = seconds

    async def claim(self, limit: int) -> Sequence[Claim]:
        """Up to ``limit`` due targets that nobody works on, the longest due first."""
        values = {"owner": self._owner, "seconds": self.seconds, "limit": limit}
        async with open_transaction(self._engine) as connection:
            rows = (await connection.execute(_CLAIM, values)).all()
        return [Claim(target_of(row), row.lease_epoch) for row in rows]

    async def next_due(self) -> float | None:
        """Seconds until a target can be claimed (0 or less: now), None when nothing is waiting."""
        async with open_transaction(self._engine) as connection:
            seconds: float | None = await connection.scalar(_NEXT_DUE)
        return seconds

    async def mark_applied(self, connection: AsyncConnection, claim: Claim, *, image: str) -> bool:
        """The objects are the desired ones. False: overtaken by a newer generation or claim."""
        result = await connection.execute(_APPLIED, {**_key(claim), "image": image})
        return result.rowcount == 1

    async def mark_removed(self, connection: AsyncConnection, claim: Claim) -> bool:
        """No object is left. False: overtaken."""
        return (await connection.execute(_REMOVED, _key(claim))).rowcount == 1

    async def mark_failed(
        self, connection: AsyncConnection, claim: Claim, *, code: str, counted: bool, delay: float | None
    ) -> bool:
        """The attempt failed; ``delay`` seconds until the next, None: it rests. False: overtaken."""
        values: dict[str, Any] = {
            **_key(claim),
            "attempts": claim.target.attempts + counted,
            "failures": claim.target.failures + 1,
            "code": code,
        }
        if delay is None:
            return (await connection.execute(_GIVE_UP, values)).rowcount == 1
        return (await connection.execute(_RETRY, {**values, "delay": delay})).rowcount == 1

    async def mark_existed(self, claim: Claim) -> None:
        """Objects of this database were seen; kept before the first of them is deleted (semantics 15)."""
        async with open_transaction(self._engine) as connection:
            await connection.execute(_EXISTED, {"database_id": claim.database_id, "epoch": claim.epoch})

    async def release(self, claim: Claim) -> None:
        """Give the claim back unfinished; the target is due at once."""
        async with open_transaction(self._engine) as connection:
            await connection.execute(_RELEASE, {"database_id": claim.database_id, "epoch": claim.epoch})


def _key(claim: Claim) -> dict[str, Any]:
    return {"database_id": claim.database_id, "epoch": claim.epoch, "generation": claim.target.generation}
