"""Readiness tells what is wrong, and never takes the page down."""

import asyncio
import sys

import httpx
import pytest
from starlette.applications import Starlette

from postern_common.errors import DependencyDownError
from postern_common.runtime import Health, crashpoint, health, health_routes
from postern_common.runtime.crashpoint import VARIABLE


async def _good() -> None:
    return None


async def _down() -> None:
    raise DependencyDownError("database_unavailable", "the database does not answer")


async def _broken() -> None:
    raise ZeroDivisionError


async def _slow() -> None:
    await asyncio.Event().wait()


def _client(checked: Health) -> httpx.AsyncClient:
    app = Starlette(routes=health_routes(checked, "gateway"))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_ready_is_200_and_not_ready_is_503_with_each_checks_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.01)
    checked = Health()
    async with _client(checked) as client:
        checked.add("database", _good)
        assert (await client.get("/readyz")).json() == {"ready": True, "checks": [{"name": "database", "ready": True}]}
    bad = Health()
    for name, check in {"database": _down, "broken": _broken, "slow": _slow, "good": _good}.items():
        bad.add(name, check)
    async with _client(bad) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert {check["name"]: check.get("code") for check in answer.json()["checks"]} == {
        "database": "database_unavailable",
        "broken": "unexpected_error",
        "slow": "timeout",
        "good": None,
    }


async def test_many_probes_cost_one_round_of_checks() -> None:
    calls = 0

    async def count() -> None:
        nonlocal calls
        calls += 1

    checked = Health()
    checked.add("counted", count)
    await asyncio.gather(*(checked.readiness() for _ in range(20)))
    assert calls == 1


async def test_a_process_on_its_way_out_is_not_ready_but_lives() -> None:
    checked = Health()
    checked.drain()
    async with _client(checked) as client:
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).text == "ok\n"


async def test_version_and_metrics_name_the_build() -> None:
    async with _client(Health()) as client:
        assert (await client.get("/version")).json()["service"] == "gateway"
        metrics = (await client.get("/metrics")).text
    assert "postern_build_info{" in metrics
    assert 'service="gateway"' in metrics


def test_a_crash_point_does_nothing_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    died: list[int] = []
    monkeypatch.setattr("os._exit", died.append)
    crashpoint("before_commit")
    assert died == []
    monkeypatch.setattr(sys.modules[crashpoint.__module__], "_active", "before_commit")
    crashpoint("after_commit")
    assert died == []
    crashpoint("before_commit")
    assert died == [137]
    assert VARIABLE == "POSTERN_CRASHPOINT"
