"""What ``up`` does, in which order, and what may run at the same time.

``build_plan`` is pure; ``run_plan`` starts every step as soon as the steps before it are done, each in a thread: the
steps wait for processes, not for this one.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from postern_devcluster.stack.home import SERVICES
from postern_devcluster.stack.targets import Targets


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do; ``after`` names the steps that must be done before."""

    name: str
    title: str
    after: tuple[str, ...] = ()


def build_plan(targets: Targets) -> tuple[Step, ...]:
    """Return the steps for these targets; every step comes after those it waits for."""
    broker = "RabbitMQ" if targets.amqp_url is None else "RabbitMQ (yours)"
    database = "PostgreSQL" if targets.database_url is None else "PostgreSQL (yours)"
    cluster = "development cluster" if targets.kubeconfig is None else "Kubernetes (yours)"
    steps = [
        Step("rabbitmq", broker),
        Step("postgres", database),
        Step("cluster", cluster),
        Step("prepare", "roles and schemas", ("postgres",)),
        *(Step(f"migrate-{service}", f"tables of {service}", ("prepare",)) for service in SERVICES),
        Step("topology", "queues", ("rabbitmq", "prepare")),
        *(Step(service, service, (f"migrate-{service}", "topology", *_needs(service))) for service in SERVICES),
    ]
    return tuple(steps)


def _needs(service: str) -> tuple[str, ...]:
    return ("cluster",) if service in {"provisioner", "watcher"} else ()


def run_plan(
    steps: Sequence[Step],
    actions: Mapping[str, Callable[[], str]],
    *,
    begun: Callable[[Step], None],
    done: Callable[[Step, str, float], None],
) -> None:
    """Run the steps; ``done`` gets what the action said and its seconds.

    After an error nothing new is begun; it is raised when what was under way has ended.
    """
    finished: set[str] = set()
    left = list(steps)
    running: dict[Future[str], tuple[Step, float]] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(max_workers=len(steps)) as pool:
        while running or (left and failure is None):
            for step in [s for s in left if failure is None and set(s.after) <= finished]:
                left.remove(step)
                begun(step)
                running[pool.submit(actions[step.name])] = (step, time.monotonic())
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                step, began = running.pop(future)
                error = future.exception()
                if error is None:
                    finished.add(step.name)
                    done(step, future.result(), time.monotonic() - began)
                failure = failure or error
    if failure is not None:
        raise failure
