"""The stacks that are measured: ``postern-stack`` with state directories of their own, removed whatever happens.

Their RabbitMQ and PostgreSQL are private and as durable as those of ``make up``: what a commit costs is part of what is
measured. They lie in the repository's directory, not in the system's temporary one, which is memory on many machines.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.support.polling import eventually

SERVICES = ("gateway", "provisioner", "watcher", "audit")
REPOSITORY = Path(__file__).resolve().parents[2]
_PROGRAM = str(Path(sys.executable).parent / "postern-stack")
_START_SECONDS = 150
_STOP_SECONDS = 120


@dataclass
class Bench:
    """A running stack and an administrator's client for it."""

    home: Path
    env: dict[str, str]
    http: httpx.AsyncClient
    databases: int = 0
    """How many the measurements created so far."""
    projects: list[str] = field(default_factory=list)
    """Paths of the databases of every project that they made."""

    @property
    def url(self) -> str:
        """Where the gateway answers."""
        return self.env["POSTERN_URL"]

    @property
    def authorization(self) -> dict[str, str]:
        """The administrator's header."""
        return {"Authorization": f"Bearer {self.env['POSTERN_TOKEN']}"}

    async def project(self, name: str) -> str:
        """Create a project and return the path of its databases."""
        answer = await self.http.post("/v1/projects", json={"name": name})
        answer.raise_for_status()
        self.projects.append(f"/v1/projects/{name}/databases")
        return self.projects[-1]

    async def create(self, databases: str, name: str, **members: Any) -> dict[str, Any]:
        """Create a database below the path ``databases``; returns the answer's body."""
        answer = await self.http.post(databases, json={"name": name, "plan": "dev-1", **members})
        answer.raise_for_status()
        self.databases += 1
        return dict(answer.json())

    async def left(self, *states: str, within: float) -> None:
        """Wait until no database of any project made here is in one of ``states`` (seconds)."""

        async def nobody() -> bool:
            for databases in self.projects:
                for state in states:
                    answer = await self.http.get(databases, params={"state": state, "limit": "1"})
                    answer.raise_for_status()
                    if answer.json()["items"]:
                        return False
            return True

        await eventually(nobody, timeout=within, every=0.25)

    def pid(self, service: str) -> int:
        """Process id of a service."""
        return int((self.home / "run" / f"{service}.pid").read_text().split()[0])

    def cpu_seconds(self) -> dict[str, float]:
        """User and system seconds that each service has used since it started."""
        return {service: _cpu_seconds(self.pid(service)) for service in SERVICES}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def running_stack(mode: str) -> AsyncIterator[Bench]:
    """A stack of its own whose development cluster runs in ``mode``; removed at the end, with all its data."""
    home = Path(tempfile.mkdtemp(prefix=".postern-bench-", dir=REPOSITORY))
    try:
        await _start(home, mode)
        env = dict(line.split("=", 1) for line in (home / "env").read_text().splitlines() if line)
        headers = {"Authorization": f"Bearer {env['POSTERN_TOKEN']}"}
        async with httpx.AsyncClient(
            base_url=env["POSTERN_URL"], headers=headers, timeout=20, trust_env=False
        ) as client:
            yield Bench(home, env, client)
    finally:
        _remove(home)


async def _start(home: Path, mode: str) -> None:
    with (home / "up.log").open("w+") as log:
        process = await asyncio.create_subprocess_exec(
            _PROGRAM, "up", "--cluster-mode", mode,
            env=_environment(home), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_START_SECONDS):
                await process.wait()
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)  # it lets go of the state directory, which is removed next
                await process.wait()
        if process.returncode != 0:
            log.seek(0)
            raise RuntimeError(f"the stack did not start:\n{log.read()}")


def _remove(home: Path) -> None:
    """Blocks on purpose, in a session of its own: a second Ctrl-C must not leave servers behind."""
    done = subprocess.run(
        [_PROGRAM, "clean-data"],
        env=_environment(home), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=_STOP_SECONDS, text=True, check=False, start_new_session=True,
    )  # fmt: skip
    if done.returncode != 0:
        sys.stderr.write(f"{home} could not be removed:\n{done.stdout}")
    elif home.exists():
        shutil.rmtree(home)


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "POSTERN_HOME": str(home)}
