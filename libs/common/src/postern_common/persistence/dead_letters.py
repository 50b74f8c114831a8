"""Why a message was dead-lettered: the parking queue keeps the message, this table the reason (semantics 26)."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.persistence.transactions import open_transaction

_DETAIL_LENGTH: Final = 1000


class DeadLetterStore:
    """Records reasons before the reject: a message never lies in the parking queue without one."""

    def __init__(self, engine: AsyncEngine, schema: str) -> None:
        self._engine = engine
        self._insert = text(
            f"INSERT INTO {schema}.dead_letters (queue, source, id, reason, detail)"  # noqa: S608
            " VALUES (:queue, :source, :id, :reason, :detail)"
            " ON CONFLICT (queue, source, id) DO UPDATE SET reason = excluded.reason, detail = excluded.detail,"
            " recorded_at = clock_timestamp()"
        )

    async def record(self, *, queue: str, source: str, id: str, reason: str, detail: str) -> None:  # noqa: A002
        """Store why. ``id`` is text: a message that cannot be decoded has none of ours.

        Raises ``DependencyDownError`` when the database does not answer.
        """
        values = {
            "queue": queue,
            "source": _clean(source),
            "id": _clean(id),
            "reason": reason,
            "detail": _clean(detail),
        }
        async with open_transaction(self._engine) as connection:
            await connection.execute(self._insert, values)


def _clean(value: str) -> str:
    """What PostgreSQL's text accepts, cut: the value comes from a message that may hold anything."""
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()[:_DETAIL_LENGTH]
