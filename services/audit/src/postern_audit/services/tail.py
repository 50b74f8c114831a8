"""The live end of the ledger: one database reader per process wakes every stream (semantics 31).

However many clients listen, each new entry is read once, encoded once, and handed to each as a reference. A client that
does not keep up is closed, never waited for; it resumes from its last id.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, Protocol

import structlog

from postern_audit import metrics
from postern_audit.domain.entry import Entry
from postern_audit.domain.stream import Line, line_of
from postern_common.errors import DependencyDownError, TransientError
from postern_common.runtime import Wakeup, backoff

logger = structlog.get_logger(__name__)

BUSY_SECONDS: Final = 0.01
IDLE_SECONDS: Final = 1.0
BATCH_ROWS: Final = 500
QUEUE_LINES: Final = 1_000
"""References a stream may fall behind before it is closed."""
START_SECONDS: Final = 5.0


class Closed(StrEnum):
    """Why a stream ended from our side."""

    SLOW = "slow"
    SHUTDOWN = "shutdown"


class NewEntries(Protocol):
    """What the tail reads from."""

    async def newest_position(self) -> int:
        """Position of the newest entry; 0 for an empty ledger."""
        ...

    async def entries_after(self, position: int, *, limit: int) -> Sequence[Entry]:
        """Entries after ``position`` in order."""
        ...


class Subscription:
    """A stream's queue of new lines of one project."""

    def __init__(self, project: str, capacity: int, *, on_slow: Callable[[], None] = lambda: None) -> None:
        self.project = project
        self._on_slow = on_slow
        self.closed: Closed | None = None
        self._capacity = capacity
        self._lines: deque[Line] = deque()
        self._changed = asyncio.Event()

    def offer(self, line: Line) -> None:
        """Queue a line; a full queue closes the subscription instead and lets go of what it held."""
        if self.closed is not None:
            return
        if len(self._lines) >= self._capacity:
            self.close(Closed.SLOW)
            return
        self._lines.append(line)
        self._changed.set()

    def close(self, reason: Closed) -> None:
        """End the stream; what is queued is dropped."""
        if self.closed is None:
            self.closed = reason
            self._lines.clear()
            self._changed.set()
            if reason is Closed.SLOW:
                self._on_slow()

    async def take(self, timeout: float) -> list[Line]:
        """All queued lines, waiting up to ``timeout`` seconds for the first; empty: nothing came, or it is closed."""
        if not self._lines and self.closed is None:
            try:
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
            except TimeoutError:
                return []
        self._changed.clear()
        lines = list(self._lines)
        self._lines.clear()
        return lines


class Tail:
    """Reads new entries while anybody listens and hands them out. ``wakeup`` is set by this process's writer."""

    def __init__(self, entries: NewEntries, wakeup: Wakeup, *, capacity: int = QUEUE_LINES) -> None:
        self._entries = entries
        self._capacity = capacity
        self._wakeup = wakeup
        self._subscriptions: dict[str, set[Subscription]] = defaultdict(set)
        self._position: int | None = None
        self._following = asyncio.Event()
        self._stopped = False

    async def subscribe(self, project: str, *, on_slow: Callable[[], None] = lambda: None) -> Subscription:
        """A subscription that gets every entry committed after this returns, and maybe some from just before.
        ``on_slow`` is called when it is closed because it does not keep up.

        Raises ``DependencyDownError`` when the database does not answer within 5 s.
        """
        subscription = Subscription(project, self._capacity, on_slow=on_slow)
        if self._stopped:
            subscription.close(Closed.SHUTDOWN)
            return subscription
        self._subscriptions[project].add(subscription)
        metrics.SUBSCRIBERS.inc()
        self._wakeup.set()
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._following.wait()
        except TimeoutError:
            self.unsubscribe(subscription)
            raise DependencyDownError("database_unavailable", "the ledger cannot be followed at the moment") from None
        except BaseException:
            self.unsubscribe(subscription)
            raise
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a subscription; harmless when it is forgotten already."""
        listeners = self._subscriptions.get(subscription.project, set())
        if subscription in listeners:
            listeners.discard(subscription)
            metrics.SUBSCRIBERS.dec()
        if not listeners:
            self._subscriptions.pop(subscription.project, None)

    async def close(self) -> None:
        """End every stream: the process is stopping. Clients resume elsewhere."""
        self._stopped = True
        for listeners in list(self._subscriptions.values()):
            for subscription in list(listeners):
                subscription.close(Closed.SHUTDOWN)

    async def run(self) -> None:
        """Follow the ledger for ever; a task of the process. Without listeners the database is left alone."""
        delay, delays = IDLE_SECONDS, backoff()
        while True:
            if not self._subscriptions:
                self._position = None
                self._following.clear()
                await self._wakeup.wait(3600.0)
                continue
            try:
                moved = await self._read()
                delays = backoff()
            except TransientError as error:
                logger.warning("ledger_tail_interrupted", code=error.code)
                await self._wakeup.wait(next(delays))
                continue
            delay = BUSY_SECONDS if moved else min(delay * 2, IDLE_SECONDS)
            if await self._wakeup.wait(delay):
                delay = BUSY_SECONDS

    async def _read(self) -> bool:
        if self._position is None:
            self._position = await self._entries.newest_position()
            self._following.set()
            return False
        moved = False
        while entries := await self._entries.entries_after(self._position, limit=BATCH_ROWS):
            moved = True
            for entry in entries:
                self._hand_out(entry)
            self._position = entries[-1].position
            if len(entries) < BATCH_ROWS:
                break
        return moved

    def _hand_out(self, entry: Entry) -> None:
        listeners = self._subscriptions.get(entry.project or "")
        if not listeners:
            return
        line = line_of(entry)
        if line is None:
            return
        for subscription in listeners:
            subscription.offer(line)
