"""``Prefer: wait``: requests that wait for operations, woken by one poller per process (semantics 31).

The poller asks which of the waited-for operations have ended. It looks at the rows themselves, not at a counter above
them: transactions commit in another order than they draw numbers, and a counter's newest value would hide the late one.
The projector of this process wakes it at once; changes by another gateway are seen by polling. No waiter, no query.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.persistence import Wakeup, open_transaction
from postern_common.runtime import RowPoller
from postern_gateway.storage.operations import read_finished


class OperationWaits:
    """Waits for the end of operations."""

    def __init__(self, engine: AsyncEngine, wakeup: Wakeup) -> None:
        self._engine = engine
        self._waiting: Counter[UUID] = Counter()
        self._ended: set[UUID] = set()
        self._count = 0
        self._poller = RowPoller(self._read, wakeup=wakeup)

    async def run(self) -> None:
        """Poll while somebody waits; a task of the process."""
        await self._poller.run()

    async def wait(self, operation_id: UUID, seconds: float) -> bool:
        """Wait until the operation has ended, ``seconds`` at most. True: it has."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        async with self._listed(operation_id):
            while operation_id not in self._ended:
                remaining = deadline - loop.time()
                if remaining <= 0:
                    return False
                await self._poller.changed(self._poller.newest, remaining)
        return True

    @asynccontextmanager
    async def _listed(self, operation_id: UUID) -> AsyncIterator[None]:
        self._waiting[operation_id] += 1
        try:
            yield
        finally:
            self._waiting[operation_id] -= 1
            if not self._waiting[operation_id]:
                del self._waiting[operation_id]
                self._ended.discard(operation_id)

    async def _read(self) -> int:
        ids = [operation_id for operation_id in self._waiting if operation_id not in self._ended]
        if ids:
            async with open_transaction(self._engine) as connection:
                finished = await read_finished(connection, ids)
            self._ended.update(finished)
            self._count += len(finished)
        return self._count
