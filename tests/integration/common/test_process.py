"""The life of a service process: it serves, drains on SIGTERM, and ends with a reason when a task does."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from tests.support.polling import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

PROGRAM = """
import asyncio, os, sys
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from postern_common.logging import configure_logging
from postern_common.runtime import Health, Service, health_routes, serve

configure_logging("sample", "info", "json")

async def work():
    await asyncio.sleep(float(os.environ.get("FAIL_AFTER", "3600")))
    raise RuntimeError("the work broke")

async def slow(request):
    await asyncio.sleep(0.5)
    return PlainTextResponse("done")

async def drain():
    print("drained", flush=True)

async def close():
    print("closed", flush=True)

async def build():
    if "FAIL_BUILD" in os.environ:
        raise RuntimeError("no settings")
    health = Health()
    app = Starlette(routes=[*health_routes(health, "sample"), Route("/slow", slow)])
    return Service(name="sample", app=app, tasks=[("work", work)], health=health, close=close, drain=(drain,))

serve(build, host="127.0.0.1", port=int(sys.argv[1]))
"""

Start = Callable[..., Awaitable[Process]]


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def start(port: int) -> AsyncIterator[Start]:
    """Starts the sample service; it is gone after the test."""
    started: list[Process] = []

    async def run(**environment: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, str(port), env={**os.environ, **environment}, stdout=PIPE, stderr=PIPE
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _answers(port: int) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"http://127.0.0.1:{port}/livez")).status_code == 200
        except httpx.TransportError:
            return False


def _events(output: bytes) -> list[str]:
    return [json.loads(line)["event"] for line in output.splitlines() if line.startswith(b"{")]


async def test_a_sigterm_lets_requests_end_then_drains_then_closes(start: Start, port: int) -> None:
    process = await start()
    await eventually(lambda: _answers(port), timeout=20)
    async with httpx.AsyncClient() as client:
        loop = asyncio.get_running_loop()
        request = loop.create_task(client.get(f"http://127.0.0.1:{port}/slow"))
        await asyncio.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert (await request).text == "done"
    output, errors = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 0, errors
    assert errors == b""
    words = [line for line in output.decode().splitlines() if not line.startswith("{")]
    assert words == ["drained", "closed"]
    assert _events(output)[-2:] == ["service_stopping", "service_stopped"]


async def test_a_task_that_breaks_ends_the_process_with_status_1_and_its_name(start: Start) -> None:
    process = await start(FAIL_AFTER="0.1")
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert "task_exited_unexpectedly" in _events(output)
    assert b"the work broke" in output
    assert b"closed" in output


async def test_a_service_that_cannot_be_built_ends_with_status_1(start: Start) -> None:
    process = await start(FAIL_BUILD="1")
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert _events(output) == ["service_build_failed"]


async def test_a_port_that_is_taken_is_told_in_words(start: Start, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        process = await start()
        output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert _events(output) == ["listen_failed"]
    assert b"in use" in output
