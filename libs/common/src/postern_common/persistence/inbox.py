"""The inbox: which messages a consumer has handled already, by ``(consumer, source, id)``.

Its insert is part of the transaction of the message's effect, so that a redelivery has none.
"""

from collections.abc import Sequence

from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from postern_common.contracts.cloudevent import CloudEvent

_duplicates = Counter("postern_inbox_duplicates", "Messages that were delivered again and had no effect", ("consumer",))


class Inbox:
    """The inbox of one consumer of one service."""

    def __init__(self, schema: str, consumer: str) -> None:
        self._consumer = consumer
        self._insert = text(
            f"INSERT INTO {schema}.inbox (consumer, source, id) VALUES (:consumer, :source, :id) ON CONFLICT DO NOTHING"  # noqa: S608
        )
        self._insert_many = text(
            f"INSERT INTO {schema}.inbox (consumer, source, id)"  # noqa: S608
            " SELECT :consumer, s, i FROM unnest(CAST(:sources AS text[]), CAST(:ids AS uuid[])) AS u (s, i)"
            " ON CONFLICT DO NOTHING RETURNING source, id"
        )

    async def insert(self, connection: AsyncConnection, event: CloudEvent) -> bool:
        """Note the message. False: it was seen before."""
        result = await connection.execute(
            self._insert, {"consumer": self._consumer, "source": event.source, "id": event.id}
        )
        new = result.rowcount == 1
        if not new:
            _duplicates.labels(self._consumer).inc()
        return new

    async def insert_many(self, connection: AsyncConnection, events: Sequence[CloudEvent]) -> list[bool]:
        """Note several in one statement; of equal ones within ``events`` the first counts as new."""
        if not events:
            return []
        rows = await connection.execute(
            self._insert_many,
            {"consumer": self._consumer, "sources": [e.source for e in events], "ids": [e.id for e in events]},
        )
        new = {(row.source, row.id) for row in rows}
        flags: list[bool] = []
        for event in events:
            key = (event.source, event.id)
            flags.append(key in new)
            new.discard(key)
        if duplicates := flags.count(False):
            _duplicates.labels(self._consumer).inc(duplicates)
        return flags
