"""How the database is entered: within a deadline, driver errors translated, doubtful connections thrown away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from postern_common.persistence.engine import discard
from postern_common.persistence.failures import translated_errors

TRANSACTION_SECONDS: Final = 5.5
"""Over all of it, the wait for a connection included: a caller has its answer within 6 s (fault matrix 29)."""


@asynccontextmanager
async def open_transaction(
    engine: AsyncEngine, *, seconds: float = TRANSACTION_SECONDS
) -> AsyncIterator[AsyncConnection]:
    """A connection whose work is committed when the block ends and rolled back when it raises.

    Raises ``DependencyDownError("database_unavailable")`` when the database does not answer in time,
    ``TransientError("database_contended")`` for deadlocks, serialization failures and lock timeouts.
    """
    with translated_errors():
        async with asyncio.timeout(seconds), engine.connect() as connection:
            try:
                yield connection
                await connection.commit()
            except (TimeoutError, asyncio.CancelledError):
                await discard(connection)
                raise
