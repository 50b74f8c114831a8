"""The outbox: messages written in the transaction of the change that they announce (design/messages.md).

Owns how a row is made: its shard, exchange and routing key. Sending the rows is the relay's work.
"""

import zlib
from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from postern_common.contracts.broker import MAX_BODY_BYTES
from postern_common.contracts.cloudevent import CloudEvent, encode
from postern_common.contracts.registry import BY_TYPE
from postern_common.errors import PermanentError
from postern_common.runtime.wakeup import Wakeup

SHARDS: Final = 8
_STAMP_BYTES: Final = 64
"""Room that the relay's stamp (shard and sequence) needs in the body."""


def shard_of(subject: str) -> int:
    """The shard of a subject: stable across processes and versions, never change it while rows are unsent."""
    return zlib.crc32(subject.encode()) % SHARDS


class Outbox:
    """Writes outbox rows of one service. ``wakeup`` is set after the commit, by the unit of work."""

    def __init__(self, schema: str, wakeup: Wakeup) -> None:
        self.wakeup = wakeup
        self._insert = text(
            f"INSERT INTO {schema}.outbox (shard, subject, exchange, routing_key, event_id, type, operation_id,"  # noqa: S608
            " traceparent, body) SELECT * FROM unnest(CAST(:shards AS smallint[]), CAST(:subjects AS text[]),"
            " CAST(:exchanges AS text[]), CAST(:routing_keys AS text[]), CAST(:event_ids AS uuid[]),"
            " CAST(:types AS text[]),"
            " CAST(:operation_ids AS uuid[]), CAST(:traceparents AS text[]), CAST(:bodies AS bytea[]))"
        )

    async def write(self, connection: AsyncConnection, staged: Sequence[tuple[CloudEvent, str | None]]) -> None:
        """Insert the staged events, in order, in one statement.

        Raises ``PermanentError("message_too_large")`` for a body over 256 KiB: it must be refused at its source.
        """
        bodies = [encode(event) for event, _ in staged]
        for (event, _), body in zip(staged, bodies, strict=True):
            if len(body) > MAX_BODY_BYTES - _STAMP_BYTES:
                raise PermanentError("message_too_large", f"{event.type} has {len(body)} bytes, over {MAX_BODY_BYTES}")
        events = [event for event, _ in staged]
        await connection.execute(
            self._insert,
            {
                "shards": [shard_of(event.subject) for event in events],
                "subjects": [event.subject for event in events],
                "exchanges": [exchange or BY_TYPE[event.type].exchange for event, exchange in staged],
                "routing_keys": [BY_TYPE[event.type].routing_key for event in events],
                "event_ids": [event.id for event in events],
                "types": [event.type for event in events],
                "operation_ids": [event.operationid for event in events],
                "traceparents": [event.traceparent for event in events],
                "bodies": bodies,
            },
        )
