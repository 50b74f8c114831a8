"""Waiting for a condition with a deadline, instead of sleeping for it."""

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, timeout: float = 10.0, every: float = 0.01
) -> None:
    """Return once ``condition`` is true; fail with its name after ``timeout`` seconds."""
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        outcome = condition()
        if (await outcome if isinstance(outcome, Awaitable) else outcome) is True:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not true within {timeout} s: {condition}")
        await asyncio.sleep(every)
