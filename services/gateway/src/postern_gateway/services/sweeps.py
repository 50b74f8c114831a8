"""What time does: deadlines, commands that were not received, old idempotency keys.

Each sweep reads an index that holds open or due rows only: its cost does not grow with idle databases.
"""

import asyncio
from typing import Final

from postern_common.contracts.broker import COMMANDS_EXCHANGE
from postern_common.errors import TransientError
from postern_common.logging import get_logger
from postern_common.persistence import UnitOfWorkFactory
from postern_gateway.services.projection import ProjectionService
from postern_gateway.storage.idempotency import clean_keys
from postern_gateway.storage.operations import find_expired, take_unreceived

logger = get_logger(__name__)

SWEEP_SECONDS: Final = 5.0
CLEAN_SECONDS: Final = 600.0
BATCH: Final = 100


class Sweeper:
    """Several gateways may sweep at the same time: rows are locked and looked at again, and ``SKIP LOCKED`` shares
    them.
    """

    def __init__(self, *, unit_of_work: UnitOfWorkFactory, projection: ProjectionService) -> None:
        self._unit_of_work = unit_of_work
        self._projection = projection

    async def run(self) -> None:
        """Sweep for ever; a task of the process."""
        until_clean = 0.0
        while True:
            try:
                await self.sweep()
                if until_clean <= 0:
                    await self.clean()
                    until_clean = CLEAN_SECONDS
            except TransientError as error:
                logger.warning("sweep_postponed", code=error.code)
            until_clean -= SWEEP_SECONDS
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        """Fail what is past its deadline; emit again what was not received. Raises ``TransientError``."""
        async with self._unit_of_work() as unit:
            expired = await find_expired(unit.connection, BATCH)
            # semantics 14: same id and body, a new outbox row, for the provisioner only
            for command in await take_unreceived(unit.connection, BATCH):
                unit.publish(command, exchange=COMMANDS_EXCHANGE)
                logger.warning("command_emitted_again", operation_id=str(command.operationid))
        for database_id in expired:
            await self._projection.expire(database_id)

    async def clean(self) -> None:
        """Delete idempotency keys older than a day. Raises ``TransientError``."""
        while True:
            async with self._unit_of_work() as unit:
                if not await clean_keys(unit.connection):
                    return
