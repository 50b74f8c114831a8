"""What a measurement gives: figures with the aim beside each, and everything else that helps to explain them."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_DISTRIBUTIONS = (
    "uvicorn",
    "uvloop",
    "starlette",
    "fastapi",
    "asyncpg",
    "sqlalchemy",
    "aio-pika",
    "pydantic",
    "msgspec",
)


@dataclass(frozen=True)
class Figure:
    """One line of the table. ``aim`` is an upper bound in the same unit; None where there is none."""

    title: str
    value: float
    unit: str
    aim: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the aim is met."""
        return None if self.aim is None else self.value <= self.aim


@dataclass(frozen=True)
class Result:
    """The figures of one measurement, and its details for the file."""

    name: str
    figures: Sequence[Figure]
    details: dict[str, Any] = field(default_factory=dict)


def percentile(values: Sequence[float], fraction: float) -> float:
    """Nearest-rank percentile."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(fraction * len(ranked)))]


def spread(milliseconds: Sequence[float]) -> dict[str, float]:
    """Median, tail and count of latencies."""
    return {
        "samples": len(milliseconds),
        "p50_ms": round(statistics.median(milliseconds), 2),
        "p90_ms": round(percentile(milliseconds, 0.9), 2),
        "p99_ms": round(percentile(milliseconds, 0.99), 2),
        "max_ms": round(max(milliseconds), 2),
    }


def machine_facts() -> dict[str, Any]:
    """What the figures depend on beside the code."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "packages": {name: version(name) for name in _DISTRIBUTIONS},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
