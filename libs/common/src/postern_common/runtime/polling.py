"""Wake-ups across processes (semantics 31): one poller per process over the newest revision or position.

However many requests and streams wait, the database sees one cheap query: every 10 ms while things move, up to 1 s
apart when nothing does, none at all while nobody waits.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from postern_common.errors import TransientError
from postern_common.logging import get_logger
from postern_common.runtime.wakeup import Wakeup

logger = get_logger(__name__)

BUSY_SECONDS: Final = 0.01
IDLE_SECONDS: Final = 1.0

T = TypeVar("T")


class RowPoller:
    """Watches a number that only grows. ``wakeup`` is set by this process's own writers: they are seen at once."""

    def __init__(
        self,
        read: Callable[[], Awaitable[int]],
        *,
        wakeup: Wakeup | None = None,
        busy: float = BUSY_SECONDS,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self._read = read
        self._wakeup = wakeup or Wakeup()
        self._busy = busy
        self._idle = idle
        self._waiters = 0
        self._moved = asyncio.Condition()
        self.newest = 0

    async def run(self) -> None:
        """Poll for ever; a task of the process."""
        delay = self._idle
        while True:
            woken = await self._wakeup.wait(delay if self._waiters else 3600.0)
            if not self._waiters and not woken:
                continue
            try:
                moved = await self._poll()
            except TransientError as error:
                logger.warning("poll_failed", code=error.code)
                delay = self._idle
                continue
            delay = self._busy if moved or woken else min(delay * 2, self._idle)

    async def _poll(self) -> bool:
        value = await self._read()
        if value <= self.newest:
            return False
        async with self._moved:
            self.newest = value
            self._moved.notify_all()
        return True

    async def changed(self, seen: int, timeout: float) -> int:
        """The newest value: as soon as it is above ``seen``, or what it is after ``timeout`` seconds."""
        if self.newest > seen:
            return self.newest
        self._waiters += 1
        self._wakeup.set()
        try:
            async with asyncio.timeout(timeout), self._moved:
                await self._moved.wait_for(lambda: self.newest > seen)
        except TimeoutError:
            pass
        finally:
            self._waiters -= 1
        return self.newest


async def wait_for(condition: Callable[[], Awaitable[T | None]], *, poller: RowPoller, timeout: float) -> T | None:
    """Evaluate ``condition`` now and whenever the poller moves, until it gives a value or the time is up (seconds)."""
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        seen = poller.newest
        value = await condition()
        remaining = deadline - asyncio.get_running_loop().time()
        if value is not None or remaining <= 0:
            return value
        await poller.changed(seen, remaining)
