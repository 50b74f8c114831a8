"""Keeps outbox and inbox small (semantics 28): sent rows go after a day, inbox rows after 30 days, in short batches."""

import asyncio
import random
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.errors import TransientError
from postern_common.logging import get_logger
from postern_common.persistence.transactions import open_transaction

logger = get_logger(__name__)

OUTBOX_HOURS: Final = 24
INBOX_DAYS: Final = 30
BATCH_ROWS: Final = 1000
INTERVAL_SECONDS: Final = 600.0
PAUSE_SECONDS: Final = 0.05


class Retention:
    """Deletes what is past its time in one service's schema."""

    def __init__(self, engine: AsyncEngine, schema: str) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._deletes = (
            text(
                f"DELETE FROM {schema}.outbox WHERE position = ANY(ARRAY(SELECT position FROM {schema}.outbox"  # noqa: S608
                f" WHERE sent_at < clock_timestamp() - interval '{OUTBOX_HOURS} hours'"
                f" ORDER BY position LIMIT {BATCH_ROWS}))"
            ),
            text(
                f"DELETE FROM {schema}.inbox WHERE ctid = ANY(ARRAY(SELECT ctid FROM {schema}.inbox"  # noqa: S608
                f" WHERE received_at < clock_timestamp() - interval '{INBOX_DAYS} days' LIMIT {BATCH_ROWS}))"
            ),
        )

    async def run(self) -> None:
        """Sweep every ten minutes for ever; a task of the process."""
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.0) * INTERVAL_SECONDS)
            try:
                deleted = await self.sweep()
            except TransientError as error:
                logger.warning("retention_paused", code=error.code)
                continue
            if deleted:
                logger.info("retention_swept", rows=deleted)

    async def sweep(self) -> int:
        """Delete everything that is due now; returns the number of rows."""
        total = 0
        for statement in self._deletes:
            while True:
                async with open_transaction(self._engine) as connection:
                    deleted = (await connection.execute(statement)).rowcount
                total += deleted
                if deleted < BATCH_ROWS:
                    break
                await asyncio.sleep(PAUSE_SECONDS)
        return total
