"""Leadership: one watcher works, the others stand by (semantics 11a).

The lease only keeps two from doing the same work. What keeps a paused leader from harm is its epoch in every write.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from postern_common.errors import PosternError, TransientError
from postern_common.logging import get_logger
from postern_common.runtime import Wakeup, delay_for
from postern_watcher.metrics import LEADER

logger = get_logger(__name__)

RENEW_SECONDS = 4.0
STANDBY_SECONDS = 2.0
STEADY_SECONDS = 60.0


class Lease(Protocol):
    """The one lease of all watchers of an installation."""

    async def acquire(self) -> int | None:
        """Take or renew it; its epoch, or None while another holds it."""
        ...

    async def release(self) -> None:
        """Give it back."""
        ...


class LeadershipService:
    """Runs ``work(epoch)`` while this process holds the lease, and ends it as soon as it does not."""

    def __init__(self, lease: Lease, work: Callable[[int], Awaitable[None]]) -> None:
        self._lease = lease
        self._work = work
        self._doubt = Wakeup()
        self.epoch: int | None = None
        """The epoch while this process leads."""
        self.decided = False
        """Whether the lease was reached once: before that nobody can say who watches."""
        self._led = False

    def doubt(self) -> None:
        """Somebody saw a sign of another leader: look at the lease at once."""
        self._doubt.set()

    async def run(self) -> None:
        """Stand by, lead, stand by, for ever."""
        failures = 0
        while True:
            try:
                epoch = await self._lease.acquire()
            except TransientError as error:
                logger.warning("lease_not_reached", code=error.code, detail=error.detail)
                await asyncio.sleep(delay_for(failures))
                failures += 1
                continue
            self.decided = True
            if epoch is None:
                failures = 0
                await asyncio.sleep(STANDBY_SECONDS)
                continue
            started = asyncio.get_running_loop().time()
            await self._lead(epoch)
            failures = 0 if asyncio.get_running_loop().time() - started > STEADY_SECONDS else failures + 1
            await asyncio.sleep(delay_for(failures))

    async def release(self) -> None:
        """Let another lead without waiting for the lease's end."""
        if self._led:
            await self._lease.release()

    async def _lead(self, epoch: int) -> None:
        self.epoch, self._led = epoch, True
        LEADER.set(1)
        logger.info("leadership_began", epoch=epoch)
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(self._work_until_failure(epoch), name="watch")
                keeping = group.create_task(self._keep(epoch), name="lease")
                await asyncio.wait({work, keeping}, return_when=asyncio.FIRST_COMPLETED)
                work.cancel()
                keeping.cancel()
        finally:
            self.epoch = None
            LEADER.set(0)
            logger.info("leadership_ended", epoch=epoch)

    async def _work_until_failure(self, epoch: int) -> None:
        try:
            await self._work(epoch)
        except* PosternError as failures:
            for error in failures.exceptions:
                logger.warning("watching_broke_off", detail=str(error))

    async def _keep(self, epoch: int) -> None:
        """Renew until the lease is another's. A database that does not answer proves nothing: it fences itself."""
        while True:
            await self._doubt.wait(RENEW_SECONDS)
            try:
                held = await self._lease.acquire()
            except TransientError as error:
                logger.warning("lease_not_renewed", code=error.code, detail=error.detail)
                continue
            if held != epoch:
                logger.warning("leadership_lost", epoch=epoch, held=held)
                return
