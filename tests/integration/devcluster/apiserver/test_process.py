"""``postern-devcluster serve`` as a process: it says what it is, survives a kill, stops when asked."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.integration.devcluster.apiserver.conftest import client_of
from tests.support.polling import eventually

COMMAND = (sys.executable, "-c", "from postern_devcluster.main import main; main()")


async def started(state_dir: Path, *more: str) -> asyncio.subprocess.Process:
    ready = state_dir.parent / f"{state_dir.name}.ready"
    ready.unlink(missing_ok=True)
    arguments = ("serve", "--state-dir", str(state_dir), "--no-operator", "--ready-file", str(ready), *more)
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    await eventually(lambda: ready.exists() or process.returncode is not None, timeout=20)
    return process


async def ended(process: asyncio.subprocess.Process, number: int) -> str:
    if process.returncode is None:
        os.kill(process.pid, number)
    async with asyncio.timeout(10):
        output, _ = await process.communicate()
    return output.decode()


async def test_objects_survive_kill_nine(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    process = await started(state_dir)
    async with client_of(state_dir / "kubeconfig") as client:
        made = await client.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "acme"}})
    await ended(process, signal.SIGKILL)
    process = await started(state_dir)
    async with client_of(state_dir / "kubeconfig") as client:
        kept = await client.ask("GET", "/api/v1/namespaces/acme")
    output = await ended(process, signal.SIGTERM)
    assert kept.body == made.body
    assert process.returncode == 0
    assert "development, demonstrations and tests only" in output


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_an_address_that_others_reach_is_refused(tmp_path: Path, host: str) -> None:
    process = await started(tmp_path / "state", "--host", host)
    output = await ended(process, signal.SIGTERM)
    assert process.returncode == 1
    assert "loopback addresses only" in output


async def test_a_second_server_on_the_same_state_is_refused(tmp_path: Path) -> None:
    first = await started(tmp_path / "state")
    second = await started(tmp_path / "state", "--ready-file", str(tmp_path / "other"))
    assert "another development cluster serves from" in await ended(second, signal.SIGTERM)
    await ended(first, signal.SIGTERM)
