"""Reconnect delays: 0.2 s doubling to 15 s, full jitter (design/reliability.md, constants)."""

import random
from collections.abc import Iterator

INITIAL_SECONDS = 0.2
CEILING_SECONDS = 15.0
HEALTHY_SECONDS = 60.0
"""After so long without a fault the delays begin anew."""


def backoff(initial: float = INITIAL_SECONDS, ceiling: float = CEILING_SECONDS) -> Iterator[float]:
    """Endless delays in seconds: uniform between 0 and a bound that doubles up to ``ceiling``."""
    bound = initial
    while True:
        yield random.uniform(0, bound)
        bound = min(bound * 2, ceiling)


def delay_for(attempts: int, initial: float = INITIAL_SECONDS, ceiling: float = CEILING_SECONDS) -> float:
    """The jittered delay in seconds after ``attempts`` failures, for loops that keep their count in a table."""
    return random.uniform(0.5, 1.0) * min(initial * 2.0 ** min(attempts, 32), ceiling)
