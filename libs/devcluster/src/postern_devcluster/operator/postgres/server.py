"""One PostgreSQL server of a cluster: its process and what it says of itself. It knows no other instance."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import asyncpg

from postern_common.errors import DependencyDownError
from postern_devcluster.operator.postgres import statements
from postern_devcluster.operator.postgres.errors import InstanceStartError
from postern_devcluster.operator.postgres.layout import ClusterLayout
from postern_devcluster.operator.postgres.process import Postmaster, adopt_postmaster, spawn_postmaster
from postern_devcluster.operator.runtime import Instance

_START_SECONDS = 60.0
_RELOAD_SECONDS = 2.0
_POLL_SECONDS = 0.025


class Server:  # one method for each thing that can be done to or asked of a server
    """Starts, stops and asks one server; keeps its ``Instance`` current."""

    def __init__(self, layout: ClusterLayout, view: Instance, on_exit: Callable[[], None]) -> None:
        self.view = view
        self._layout = layout
        self._on_exit = on_exit
        self._postmaster: Postmaster | None = None

    @property
    def socket_directory(self) -> Path:
        """Where the operator connects."""
        return self._layout.socket(self.view.name)

    async def adopt(self) -> None:
        """Take over a process left by an earlier operator."""
        data = self._layout.data(self.view.name)
        self.view.has_data = (data / "PG_VERSION").exists()
        if self._postmaster is None and (found := adopt_postmaster(data, self._ended)):
            self._postmaster = found
            self.view.running = True
            with contextlib.suppress(DependencyDownError):
                await self.refresh()

    async def start(self, program: str, *, standby: bool) -> None:
        """Start the process and wait until it takes connections. Raises InstanceStartError with the end of its log."""
        if not self.view.running:
            data = self._layout.data(self.view.name)
            await asyncio.to_thread(_clear_leftovers, data)
            self._layout.fresh_socket_directory(self.view.name)
            self._layout.mark_standby(self.view.name, standby=standby)
            self._postmaster = spawn_postmaster(
                self._layout.account, [program, "-D", str(data)], self._layout.log(self.view.name), self._ended
            )
            self.view.running, self.view.exited = True, False
        await self._wait_ready()

    async def stop(self) -> None:
        """Stop the process, if there is one."""
        if self._postmaster is not None:
            await self._postmaster.stop()
        self.view.exited = False

    def detach(self) -> None:
        """Leave the process running for the next operator."""
        if self._postmaster is not None:
            self._postmaster.detach()

    def kill(self) -> None:
        """Ask the process to end at once, without waiting; it is gone before its data are deleted."""
        if self._postmaster is not None:
            self._postmaster.stopping = True
            self._postmaster.signal(signal.SIGQUIT)

    async def refresh(self) -> statements.ServerState:
        """Ask the server about itself. Raises DependencyDownError while it takes no connections."""
        async with statements.superuser(self.socket_directory) as connection:
            state = await statements.read_state(connection)
        view = self.view
        view.ready, view.standby, view.timeline = True, state.standby, state.timeline
        view.system_id, view.pending_restart, view.crashes = state.system_id, state.pending_restart, 0
        view.shrinks = state.shrinks
        return state

    async def wait_reloaded(self, before: object) -> None:
        """Ask the postmaster to read its files again and wait until it did."""
        if self._postmaster is not None:
            self._postmaster.signal(signal.SIGHUP)
        deadline = asyncio.get_running_loop().time() + _RELOAD_SECONDS
        while await self.loaded_at() == before:
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)

    async def loaded_at(self) -> object:
        """Time at which the configuration was last loaded."""
        async with statements.superuser(self.socket_directory) as connection:
            return await connection.fetchval("SELECT pg_conf_load_time()")

    async def _wait_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        while self.view.running and asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(DependencyDownError, asyncpg.PostgresError):
                await self.refresh()
                return
            await asyncio.sleep(_POLL_SECONDS)
        if self.view.running:
            await self.stop()
        raise InstanceStartError("instance_not_started", _tail(self._layout.log(self.view.name)))

    def _ended(self, postmaster: Postmaster) -> None:
        view = self.view
        unasked, was_ready = not postmaster.stopping, view.ready
        if unasked and not was_ready:
            view.crashes += 1
        view.running, view.ready, view.exited = False, False, unasked
        self._postmaster = None
        # A start that fails is told to who started it; only the end of a serving server is news.
        if unasked and was_ready:
            self._on_exit()


def _clear_leftovers(data: Path) -> None:
    """End backends that outlived a killed postmaster and drop its pid file, so that a start never meets either."""
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == data.resolve():
                    os.kill(int(entry.name), signal.SIGKILL)
    pid_file.unlink(missing_ok=True)


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "no log"
    return " | ".join(lines[-6:])[-600:]
