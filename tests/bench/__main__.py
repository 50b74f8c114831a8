"""``make bench``: runs the measurements, prints a table and writes everything to ``bench-results/latest.json``.

Nothing here decides whether a build is good: figures depend on the machine, so they are read by people, side by side
with those of the same run.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table
from tests.bench.applied import post_to_applied
from tests.bench.changes import status_to_line
from tests.bench.figures import Figure, Result, machine_facts
from tests.bench.idle import idle_empty, idle_many
from tests.bench.ready import post_to_ready
from tests.bench.stack import REPOSITORY, Bench, running_stack
from tests.bench.throughput import throughput

RESULTS = REPOSITORY / "bench-results" / "latest.json"
INTERRUPTED = 130
_LIMIT_SECONDS = 300


@dataclass(frozen=True)
class Measurement:
    """One thing to measure; those of the same ``mode`` (of the development cluster) share a stack, in this order."""

    name: str
    mode: str
    words: str
    measure: Callable[[Bench], Awaitable[Result]]


MEASUREMENTS = (
    Measurement("idle-0", "api-only", "watching the services do nothing (35 s)", idle_empty),
    Measurement("applied", "api-only", "creating databases one at a time", post_to_applied),
    Measurement("changes", "api-only", "changing the status of a cluster", status_to_line),
    Measurement("throughput", "api-only", "posting as fast as it goes, in turns with Starlette", throughput),
    Measurement("idle-many", "api-only", "the same with 1,000 databases, which are made first", idle_many),
    Measurement("ready", "processes", "waiting for databases with two instances", post_to_ready),
)


async def run(names: Sequence[str], console: Console) -> list[Result]:
    """Run the named measurements; one that fails is told and does not stop the others."""
    chosen = [each for each in MEASUREMENTS if each.name in names]
    results: list[Result] = []
    for mode in dict.fromkeys(each.mode for each in chosen):
        began = time.monotonic()
        console.print(f"[dim]starting a stack ({mode})[/]")
        async with running_stack(mode) as bench:
            console.print(f"[dim]  ready after {time.monotonic() - began:.1f} s[/]")
            for measurement in (each for each in chosen if each.mode == mode):
                results.append(await _measure(measurement, bench, console))  # noqa: PERF401 (progress is printed)
    return results


async def _measure(measurement: Measurement, bench: Bench, console: Console) -> Result:
    console.print(f"{measurement.name}: {measurement.words} …")
    began, load = time.monotonic(), os.getloadavg()[0]
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            result = await measurement.measure(bench)
    except Exception as error:  # noqa: BLE001 - the other figures are still worth having
        console.print(f"[red]{measurement.name} failed:[/] {type(error).__name__}: {error}", markup=True)
        return Result(measurement.name, (), {"failed": f"{type(error).__name__}: {error}"})
    seconds = round(time.monotonic() - began, 1)
    console.print(f"[dim]  done after {seconds} s[/]")
    result.details.update(took_seconds=seconds, load_average=[round(load, 2), round(os.getloadavg()[0], 2)])
    return result


def show(results: Sequence[Result], console: Console) -> None:
    """Print the table: each figure and, where there is one, the aim beside it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (("", "left"), ("measured", "right"), ("aim", "right"), ("", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for figure in (figure for result in results for figure in result.figures):
        table.add_row(figure.title, f"{figure.value:g} {figure.unit}", *_aim(figure))
    console.print()
    console.print(table)


def _aim(figure: Figure) -> tuple[str, str]:
    if figure.aim is None:
        return "", ""
    return f"≤ {figure.aim:g} {figure.unit}", "[green]met[/]" if figure.met else "[yellow]missed[/]"


def write(results: Sequence[Result], facts: dict[str, Any], seconds: float) -> None:
    """Write the figures and details of this run and what they depend on."""
    RESULTS.parent.mkdir(exist_ok=True)
    report = {
        "machine": facts,
        "took_seconds": round(seconds, 1),
        "results": {
            result.name: {"figures": [asdict(figure) for figure in result.figures], "details": result.details}
            for result in results
        },
    }
    RESULTS.write_text(json.dumps(report, indent=2) + "\n")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Postern on this machine.")
    known = [each.name for each in MEASUREMENTS]
    parser.add_argument("--only", nargs="+", choices=known, default=known, metavar="NAME", help=", ".join(known))
    return parser.parse_args(arguments)


async def _interruptible(names: Sequence[str], console: Console) -> list[Result]:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(names, console)


def main() -> None:
    """Status 0 when everything could be measured, whatever the figures are; 1 else; 130 when interrupted."""
    given = _parse(None)
    console = Console(highlight=False)
    facts, began = machine_facts(), time.monotonic()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results = runner.run(_interruptible(given.only, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("\nInterrupted; what was started is stopped and removed.")
        sys.exit(INTERRUPTED)
    except RuntimeError as error:
        console.print(f"[red]Stopped:[/] {error}", soft_wrap=True)
        sys.exit(1)
    write(results, facts, time.monotonic() - began)
    show(results, console)
    console.print(f"\nAll figures: {RESULTS.relative_to(REPOSITORY)} ({time.monotonic() - began:.0f} s)")
    sys.exit(any("failed" in result.details for result in results))


if __name__ == "__main__":
    main()
