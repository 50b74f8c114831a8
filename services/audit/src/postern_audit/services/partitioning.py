"""Partitions of the ledger are made ahead of the writer, by a function with its owner's rights (semantics 35)."""

import asyncio
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.errors import TransientError
from postern_common.persistence.transactions import open_transaction

logger = structlog.get_logger(__name__)

INTERVAL_SECONDS: Final = 600.0
RETRY_SECONDS: Final = 15.0
_ENSURE: Final = text("SELECT audit.ensure_partitions(1)")


class PartitioningService:
    """Runs while elected: looks when elected and every ten minutes; one partition ahead holds 10 million entries."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                made = await self.ensure()
            except TransientError as error:
                logger.warning("ledger_partitions_not_ensured", code=error.code)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if made:
                logger.info("ledger_partitions_made", count=made)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def ensure(self) -> int:
        """Make what is missing; returns how many were made."""
        async with open_transaction(self._engine) as connection:
            return int(await connection.scalar(_ENSURE) or 0)
