"""From a POST to the line of ``database.applied`` at a subscriber of the event stream, one create at a time.

No operator runs here: in production its work is another machine's, and here it would compete for the cores.
"""

import asyncio
import time

from tests.bench.figures import Figure, Result, spread
from tests.bench.stack import Bench
from tests.bench.subscriber import Event, subscribed

CREATES = 100
WARM_UP = 10
_STAGES = ("command.database.apply", "database.received", "database.applied")


async def post_to_applied(bench: Bench) -> Result:
    """Milliseconds from sending the POST to each stage's line."""
    databases = await bench.project("latency")
    taken: dict[str, list[float]] = {stage: [] for stage in ("answered", *_STAGES)}
    async with subscribed(bench, "latency") as subscriber:
        for number in range(WARM_UP + CREATES):
            began, seen = time.perf_counter(), len(subscriber.events)
            database = await bench.create(databases, f"l{number}")
            answered = time.perf_counter()
            arrivals = {"answered": answered}
            for stage in _STAGES:

                def reached(event: Event, stage: str = stage, subject: str = database["id"]) -> bool:
                    return bool(event["subject"] == subject and event["type"] == f"dev.postern.{stage}.v1")

                _, arrivals[stage] = await subscriber.first(reached, start=seen)
            if number >= WARM_UP:
                for stage, at in arrivals.items():
                    taken[stage].append((at - began) * 1000)
            await asyncio.sleep(0.05)  # what is left of this create is not to slow the next one
    applied = spread(taken["database.applied"])
    return Result(
        "applied",
        (
            Figure("POST → applied, at a subscriber, p50", applied["p50_ms"], "ms", aim=60),
            Figure("POST → applied, at a subscriber, p99", applied["p99_ms"], "ms"),
        ),
        {stage: spread(values) for stage, values in taken.items()},
    )
