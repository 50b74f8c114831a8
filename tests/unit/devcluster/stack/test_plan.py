"""Steps run as early as what they need allows, and nothing new is begun after a failure."""

import threading

import pytest

from postern_devcluster.stack.plan import Step, build_plan, run_plan
from postern_devcluster.stack.targets import Targets


def before(name: str, steps: tuple[Step, ...]) -> set[str]:
    """All that is done before ``name``."""
    after = {step.name: step.after for step in steps}
    found: set[str] = set()
    left = list(after[name])
    while left:
        current = left.pop()
        found.add(current)
        left.extend(after[current])
    return found


@pytest.mark.parametrize("service", ["gateway", "provisioner", "watcher", "audit"])
def test_a_service_starts_when_its_tables_and_the_queues_are_there(service: str) -> None:
    needed = before(service, build_plan(Targets()))
    assert {f"migrate-{service}", "topology", "prepare", "postgres", "rabbitmq"} <= needed
    assert ("cluster" in needed) == (service in {"provisioner", "watcher"})


def test_servers_and_cluster_start_at_the_same_time() -> None:
    assert {step.name for step in build_plan(Targets()) if not step.after} == {"rabbitmq", "postgres", "cluster"}


def test_the_plan_says_which_servers_are_the_users_own() -> None:
    titles = {step.name: step.title for step in build_plan(Targets(amqp_url="amqp://h", kubeconfig="k"))}
    assert titles["rabbitmq"] == "RabbitMQ (yours)"
    assert titles["cluster"] == "Kubernetes (yours)"
    assert titles["postgres"] == "PostgreSQL"


def test_steps_without_a_need_of_each_other_run_together() -> None:
    together = threading.Barrier(2, timeout=5)
    finished: list[str] = []

    def meet() -> str:
        together.wait()
        return "met"

    run_plan(
        [Step("a", "a"), Step("b", "b"), Step("c", "c", ("a", "b"))],
        {"a": meet, "b": meet, "c": lambda: "last"},
        begun=lambda step: None,
        done=lambda step, said, seconds: finished.append(f"{step.name} {said}"),
    )
    assert sorted(finished[:2]) == ["a met", "b met"]
    assert finished[2] == "c last"


def test_after_a_failure_what_runs_is_awaited_and_nothing_new_begins() -> None:
    failed = threading.Event()
    begun: list[str] = []
    finished: list[str] = []

    def fail() -> str:
        failed.set()
        raise RuntimeError("broken")

    def slow() -> str:
        failed.wait(5)
        return "done"

    with pytest.raises(RuntimeError, match="broken"):
        run_plan(
            [Step("slow", "slow"), Step("bad", "bad"), Step("next", "next", ("slow",))],
            {"slow": slow, "bad": fail, "next": lambda: "never"},
            begun=lambda step: begun.append(step.name),
            done=lambda step, said, seconds: finished.append(step.name),
        )
    assert "next" not in finished
    assert set(begun) >= {"slow", "bad"}
    assert finished == ["slow"]
