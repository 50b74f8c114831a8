"""A queue of keys: each key is in work once at a time, comes again when it was asked for meanwhile, and can be cut off.

The model is controller-runtime's work queue. The number of workers is fixed: a thousand clusters at rest cost no task.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NoReturn, TypeVar

import structlog

from postern_common.errors import PosternError

K = TypeVar("K", bound=Hashable)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 15.0

_logger = structlog.get_logger(__name__)


class KeyedQueue(Generic[K]):
    """Runs ``work(key)``; it returns seconds after which the key comes again by itself, or None."""

    def __init__(self, work: Callable[[K], Awaitable[float | None]]) -> None:
        self._work = work
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._running: dict[K, asyncio.Timeout] = {}
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}

    def add(self, key: K) -> None:
        """Ask for work on a key."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._running:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def interrupt(self, key: K) -> None:
        """Cut off work on a key and begin it anew: what it waits for will not come."""
        scope = self._running.get(key)
        if scope is not None:
            scope.reschedule(asyncio.get_running_loop().time())
        self.add(key)

    async def run_worker(self) -> NoReturn:
        """Work on keys for ever; several of these share a queue."""
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            pause = await self._attempt(key)
            del self._running[key]
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            elif pause is not None:
                self._timers[key] = asyncio.get_running_loop().call_later(pause, self.add, key)

    async def _attempt(self, key: K) -> float | None:
        scope = asyncio.timeout(None)
        self._running[key] = scope
        try:
            async with scope:
                pause = await self._work(key)
        except TimeoutError:
            if not scope.expired():
                return self._failed(key, "timed_out", "")
            _logger.info("work_interrupted", key=key)
            return 0.0
        except PosternError as error:
            return self._failed(key, error.code, error.detail)
        except Exception as error:
            # A Cluster is anybody's input: one that nobody foresaw must not stop the databases of all the others.
            _logger.exception("work_failed_unexpectedly", key=key)
            return self._failed(key, "unexpected", type(error).__name__)
        self._failures.pop(key, None)
        return pause

    def _failed(self, key: K, code: str, detail: str) -> float:
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(count, 16)) * random.uniform(0.5, 1.0)
        _logger.warning("work_failed", key=key, code=code, detail=detail, pause=round(pause, 3))
        return pause
