"""One message or request = one transaction (style rule 5): state, inbox and outbox rows are committed together.

Owns the boundary: its deadline, the flush of staged messages, the translation of driver errors, the wake-ups after it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from postern_common.contracts.cloudevent import CloudEvent
from postern_common.persistence.outbox import Outbox
from postern_common.persistence.transactions import open_transaction
from postern_common.runtime.crashpoint import crashpoint
from postern_common.runtime.wakeup import Wakeup


class UnitOfWork:
    """One open transaction and the messages that it will announce."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.staged: list[tuple[CloudEvent, str | None]] = []

    def publish(self, event: CloudEvent, *, exchange: str | None = None) -> None:
        """Stage a message; exchange and routing key come from the registry unless ``exchange`` is given.

        The ledger's copy of a command is the command itself, published once more with ``exchange=EVENTS_EXCHANGE``
        (semantics 25).
        """
        self.staged.append((event, exchange))


class UnitOfWorkFactory:
    """Opens units of work; ``wakeups`` are set after every commit, the outbox's one when messages were staged."""

    def __init__(self, engine: AsyncEngine, outbox: Outbox, *, wakeups: Sequence[Wakeup] = ()) -> None:
        self._engine = engine
        self._outbox = outbox
        self._wakeups = tuple(wakeups)

    def __call__(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Commit when the block ends, roll back when it raises.

        Raises ``DependencyDownError("database_unavailable")`` when the database does not answer,
        ``TransientError("database_contended")`` for deadlocks, serialization failures and lock timeouts.
        """
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[UnitOfWork]:
        async with open_transaction(self._engine) as connection:
            unit = UnitOfWork(connection)
            yield unit
            if unit.staged:
                await self._outbox.write(connection, unit.staged)
                crashpoint("before_commit")
        if unit.staged:
            crashpoint("after_commit")
            self._outbox.wakeup.set()
        for wakeup in self._wakeups:
            wakeup.set()
