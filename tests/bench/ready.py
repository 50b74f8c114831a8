"""How long a database with two instances takes, on real PostgreSQL processes, from its POST to ready."""

import time

from tests.bench.figures import Figure, Result
from tests.bench.stack import Bench
from tests.bench.subscriber import Event, subscribed

DATABASES = 3
_READY_SECONDS = 60


async def post_to_ready(bench: Bench) -> Result:
    """Seconds to the line of ``ready``: of the first database of a new stack, and the best of those after it."""
    databases = await bench.project("ready")
    taken: list[float] = []
    details: list[dict[str, float]] = []
    async with subscribed(bench, "ready") as subscriber:
        for number in range(DATABASES):
            began, seen = time.perf_counter(), len(subscriber.events)
            subject = (await bench.create(databases, f"two{number}", instances=2))["id"]

            def reached(event: Event, subject: str = subject) -> bool:
                return bool(event["subject"] == subject and event["data"].get("to") == "ready")

            last, at = await subscriber.first(reached, start=seen, within=_READY_SECONDS)
            taken.append(at - began)
            details.append(
                {
                    f"{event['type'].removeprefix('dev.postern.')} {_count(event)}".strip(): round(arrived - began, 2)
                    for event, arrived in subscriber.events[seen : last + 1]
                    if event["subject"] == subject
                }
            )
    return Result(
        "ready",
        (
            Figure("two instances, POST → ready, first database", round(taken[0], 2), "s", aim=8),
            Figure("two instances, POST → ready, best of the next two", round(min(taken[1:]), 2), "s", aim=8),
        ),
        {"seconds": [round(each, 2) for each in taken], "lines": details},
    )


def _count(event: Event) -> str:
    observed = event["data"].get("observed") or {}
    return f"{event['data'].get('to', '')} {observed.get('ready_instances', '')}".strip()
