"""An in-process signal: "look again". Stores set it and loops wait for it without knowing each other."""

import asyncio


class Wakeup:
    """A signal for one waiting loop. A ``set`` while nobody waits is kept; several of them count once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the waiter now, or let its next wait return at once."""
        self._event.set()

    async def wait(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds. True: it was set; false: time is up."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
