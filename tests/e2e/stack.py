"""A whole Postern under test: ``postern-stack`` with a state directory of its own, as a user would start it."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stack:
    """A stack below ``home``; external servers may be given so that only cluster and services are its own."""

    home: Path
    options: tuple[str, ...] = ()

    async def run(self, command: str, *, within: float = 120) -> str:
        """Run ``postern-stack <command>`` and return what it printed; fails with that text."""
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).parent / "postern-stack"),
            command,
            *(self.options if command == "up" else ()),
            env={**os.environ, "POSTERN_HOME": str(self.home)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(within):
            out, _ = await process.communicate()
        assert process.returncode == 0, f"postern-stack {command} failed:\n{out.decode()}"
        return out.decode()

    async def start(self) -> None:
        """Start it, or what of it is not running."""
        await self.run("up")

    async def stop(self) -> None:
        """Stop all of it."""
        await self.run("down")

    @property
    def env(self) -> dict[str, str]:
        """What ``up`` wrote for its users."""
        lines = (self.home / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line)

    def pid(self, service: str) -> int:
        """Process id of a service."""
        return int((self.home / "run" / f"{service}.pid").read_text().split()[0])

    def kill(self, service: str) -> None:
        """``kill -9``."""
        os.kill(self.pid(service), signal.SIGKILL)
