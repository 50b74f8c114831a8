"""The instances of one cluster as real PostgreSQL servers: made, cloned, started, promoted and rejoined."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from postern_common.errors import DependencyDownError
from postern_devcluster.operator.domain.settings import connection_string, effective_parameters, slot_name
from postern_devcluster.operator.domain.standby import held_parameters, read_control_data
from postern_devcluster.operator.network.addresses import AddressBook
from postern_devcluster.operator.postgres import statements
from postern_devcluster.operator.postgres.binaries import Installations
from postern_devcluster.operator.postgres.errors import InstanceStartError, ToolFailedError
from postern_devcluster.operator.postgres.layout import ClusterLayout
from postern_devcluster.operator.postgres.server import Server
from postern_devcluster.operator.postgres.templates import TemplateCache
from postern_devcluster.operator.postgres.tools import run_tool
from postern_devcluster.operator.runtime import Certificates, Instance, Settings

_CLONE_SECONDS = 120.0
_REWIND_SECONDS = 60.0
_PROMOTE_SECONDS = 20
_STREAM_SECONDS = 15.0
_STREAM_POLL_SECONDS = 0.025
_CONTROL_DATA_SECONDS = 20.0
_CATCH_UP_SECONDS = 2.0
_CATCH_UP_POLL_SECONDS = 0.1

_logger = structlog.get_logger(__name__)


class PostgresCluster:  # the runtime port is this wide: one method for each thing that can happen to a cluster
    """Implements ``ClusterRuntime`` with processes of this machine."""

    def __init__(
        self,
        *,
        layout: ClusterLayout,
        installations: Installations,
        templates: TemplateCache,
        addresses: AddressBook,
        gate: asyncio.Semaphore,
        on_exit: Callable[[], None],
    ) -> None:
        self._layout = layout
        self._installations = installations
        self._templates = templates
        self._addresses = addresses
        self._gate = gate
        self._on_exit = on_exit
        self._servers: dict[str, Server] = {}
        self._settings: Settings | None = None
        self._known_slots: set[str] = set()
        self._certificates: Certificates | None = None

    @property
    def instances(self) -> Mapping[str, Instance]:
        """Instances with data or a process on this machine."""
        return {name: server.view for name, server in self._servers.items()}

    async def open(self, names: Sequence[str]) -> None:
        """Look at the data directories and adopt what runs."""
        for name in names:
            await self._server(name).adopt()

    async def configure(self, settings: Settings, certificates: Certificates) -> None:
        """Keep the settings for the next start or reload; write the certificates when they changed."""
        self._settings = settings
        if certificates != self._certificates:
            self._layout.write_certificates(certificates)
            self._layout.replication_password()
            self._certificates = certificates

    async def initialise(self, name: str) -> None:
        """Copy the template of the cluster's major version."""
        server = self._server(name)
        if server.view.has_data:
            return
        draft = self._fresh_draft(name)
        async with self._gate:
            await self._templates.copy(self._wanted.major, draft)
        self._adopt_draft(name)

    async def clone(self, name: str, primary: str) -> None:
        """Take a base backup of the primary over TCP, as any standby does."""
        server = self._server(name)
        await server.stop()
        draft = self._fresh_draft(name)
        await self._ensure_slot(primary, name)
        upstream = self._layout.upstream(name, self._server(primary).view.address)
        async with self._gate:
            await run_tool(
                self._layout.account,
                [
                    self._installations.program(self._wanted.major, "pg_basebackup"),
                    "--pgdata",
                    str(draft),
                    "--checkpoint=fast",
                    "--wal-method=stream",
                    "--no-sync",
                    "--no-manifest",
                    "--slot",
                    upstream.slot,
                    "--no-password",
                    "--dbname",
                    connection_string(upstream, name),
                ],
                timeout=_CLONE_SECONDS,
            )
        if server.view.has_data:
            await asyncio.to_thread(shutil.rmtree, self._layout.data(name))
        self._adopt_draft(name)
        self._layout.mark_standby(name, standby=True)

    async def rejoin(self, name: str, primary: str) -> None:
        """Rewind to the new primary's timeline; where that cannot be done, clone."""
        await self._server(name).stop()
        try:
            async with self._gate:
                self._write_configuration(name, primary)
                await run_tool(
                    self._layout.account,
                    [
                        self._installations.program(self._wanted.major, "pg_rewind"),
                        "--target-pgdata",
                        str(self._layout.data(name)),
                        "--no-sync",
                        f"--source-server=host={self._server(primary).socket_directory} user=postgres dbname=postgres",
                    ],
                    timeout=_REWIND_SECONDS,
                )
        except ToolFailedError as error:
            _logger.info("rewind_replaced_by_clone", instance=name, reason=error.detail)
            await self.clone(name, primary)

    async def start(self, name: str, primary: str) -> None:
        """Start a server; a former primary rejoins first, and a standby that cannot follow is cloned anew, once.

        A standby starts with what its primary had at the WAL it replays (domain.standby). Usually it has replayed the
        primary's own restart a moment later: then it gets its configured values at once, otherwise by release_held.
        """
        server = self._server(name)
        if name != primary and not server.view.running and self._layout.was_primary(name):
            await self.rejoin(name, primary)
        followed = name != primary and self._server(primary).view.ready
        if followed:
            await self._ensure_slot(primary, name)
        await self._start(name, primary)
        if not followed:
            return
        await self._follow(name, primary)
        if server.view.held and await self._caught_up(name):
            await server.stop()
            await self._start(name, primary)
            await self._follow(name, primary)

    async def release_held(self, primary: str) -> None:
        """Let go of what standbys held higher than configured: those that caught up find that a restart is pending."""
        for name, server in self._servers.items():
            if server.view.held and server.view.ready and (name == primary or not await self._needs_held(name)):
                await self.reload(name, primary)

    async def _follow(self, name: str, primary: str) -> None:
        """Wait until a standby streams; one that cannot is cloned anew, once."""
        server = self._server(name)
        if await self._streams(name, primary):
            return
        if not server.view.running:
            raise InstanceStartError("instance_ended", f"{name} ended while it caught up")
        _logger.info("standby_replaced_by_clone", instance=name, primary=primary)
        await self.clone(name, primary)
        await self._start(name, primary)
        if not await self._streams(name, primary):
            raise InstanceStartError("standby_not_streaming", f"{name} does not stream from {primary}")

    async def stop(self, name: str) -> None:
        """Stop a server fast."""
        await self._server(name).stop()

    async def reload(self, name: str, primary: str) -> list[str]:
        """Write the configuration and have it read; returns the faults PostgreSQL finds in it."""
        server = self._server(name)
        before = await server.loaded_at()
        self._write_configuration(name, primary)
        async with statements.superuser(server.socket_directory) as connection:
            faults = await statements.configuration_errors(connection, loaded=False)
        if not faults:
            await server.wait_reloaded(before)
            async with statements.superuser(server.socket_directory) as connection:
                faults = await statements.configuration_errors(connection, loaded=True)
        await server.refresh()
        server.view.digest, server.view.faulty, server.view.held = self._wanted.digest, bool(faults), False
        return faults

    async def promote(self, name: str) -> None:
        """Promote a standby."""
        server = self._server(name)
        async with statements.superuser(server.socket_directory) as connection:
            if not await statements.promote(connection, seconds=_PROMOTE_SECONDS):
                raise DependencyDownError("promotion_failed", f"{name} was not promoted within {_PROMOTE_SECONDS} s")
        await server.refresh()

    async def position(self, name: str) -> int:
        """Bytes of WAL that a standby has."""
        async with statements.superuser(self._server(name).socket_directory) as connection:
            return await statements.read_position(connection)

    async def prepare(self, primary: str, *, database: str, owner: str, password: str) -> None:
        """Make the replication role, the owner and its database."""
        async with statements.superuser(self._server(primary).socket_directory) as connection:
            await statements.ensure_replication_role(connection, self._layout.replication_password())
            await statements.ensure_application(connection, database=database, owner=owner, password=password)

    async def set_password(self, primary: str, role: str, password: str) -> None:
        """Change a role's password."""
        async with statements.superuser(self._server(primary).socket_directory) as connection:
            await statements.set_password(connection, role, password)

    async def sync_slots(self, primary: str, standbys: Sequence[str]) -> None:
        """Keep one slot for each standby; slots of instances that left are dropped."""
        wanted = {slot_name(name) for name in standbys}
        async with statements.superuser(self._server(primary).socket_directory) as connection:
            await statements.ensure_slots(connection, wanted, self._known_slots | {slot_name(primary)})
        self._known_slots |= wanted

    async def remove(self, name: str) -> None:
        """Stop a server and delete its data."""
        server = self._servers.pop(name, None)
        if server is not None:
            await server.stop()
        await asyncio.to_thread(self._layout.delete, name)
        self._addresses.release(self._address_key(name))

    async def destroy(self) -> None:
        """End all servers at once and delete every file."""
        for server in self._servers.values():
            server.kill()
        await asyncio.gather(*(server.stop() for server in self._servers.values()))
        for name in list(self._servers):
            self._addresses.release(self._address_key(name))
        self._servers.clear()
        await asyncio.to_thread(self._layout.delete)

    async def close(self, *, keep_running: bool) -> None:
        """Stop the servers, standbys first losing nothing by it, or leave them running."""
        if keep_running:
            for server in self._servers.values():
                server.detach()
            return
        await asyncio.gather(*(server.stop() for server in self._servers.values()))

    @property
    def _wanted(self) -> Settings:
        assert self._settings is not None, "configure() comes before every use"
        return self._settings

    async def _start(self, name: str, primary: str) -> None:
        server = self._server(name)
        if not server.view.running:
            held = {} if name == primary else await self._needs_held(name)
            self._write_configuration(name, primary, held)
            server.view.digest, server.view.faulty, server.view.held = self._wanted.digest, False, bool(held)
        async with self._gate:
            await server.start(self._installations.program(self._wanted.major, "postgres"), standby=name != primary)

    def _write_configuration(self, name: str, primary: str, held: Mapping[str, str] | None = None) -> None:
        upstream = None if name == primary else self._server(primary).view.address
        settings = replace(self._wanted, parameters={**self._wanted.parameters, **(held or {})})
        self._layout.write_configuration(name, self._server(name).view.address, settings, upstream)

    async def _streams(self, name: str, primary: str) -> bool:
        """Wait until the primary sends WAL to a standby; False when it does not within some seconds."""
        server = self._server(name)
        deadline = asyncio.get_running_loop().time() + _STREAM_SECONDS
        while server.view.running and asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(DependencyDownError):
                since = (await server.refresh()).started_at
                async with statements.superuser(self._server(primary).socket_directory) as connection:
                    if await statements.streams_to(connection, name, since=since):
                        return True
            await asyncio.sleep(_STREAM_POLL_SECONDS)
        return False

    async def _needs_held(self, name: str) -> dict[str, str]:
        """Return what an instance would need more of than is configured, were it started as a standby now."""
        printed = await run_tool(
            self._layout.account,
            [self._installations.program(self._wanted.major, "pg_controldata"), str(self._layout.data(name))],
            timeout=_CONTROL_DATA_SECONDS,
        )
        return held_parameters(effective_parameters(self._wanted.parameters), read_control_data(printed))

    async def _caught_up(self, name: str) -> bool:
        deadline = asyncio.get_running_loop().time() + _CATCH_UP_SECONDS
        while await self._needs_held(name):
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(_CATCH_UP_POLL_SECONDS)
        return True

    async def _ensure_slot(self, primary: str, name: str) -> None:
        async with statements.superuser(self._server(primary).socket_directory) as connection:
            await statements.ensure_slots(connection, {slot_name(name)}, ())
        self._known_slots.add(slot_name(name))

    def _fresh_draft(self, name: str) -> Path:
        self._layout.account.make_directory(self._layout.account.make_directory(self._layout.root) / name)
        draft = self._layout.instance(name) / ".pgdata.new"
        shutil.rmtree(draft, ignore_errors=True)
        return draft

    def _adopt_draft(self, name: str) -> None:
        (self._layout.instance(name) / ".pgdata.new").rename(self._layout.data(name))
        self._server(name).view.has_data = True

    def _server(self, name: str) -> Server:
        if name not in self._servers:
            view = Instance(
                name,
                self._addresses.assign(self._address_key(name)),
                log_file=str(self._layout.log(name)),
                has_data=(self._layout.data(name) / "PG_VERSION").exists(),
            )
            self._servers[name] = Server(self._layout, view, self._on_exit)
        return self._servers[name]

    def _address_key(self, name: str) -> str:
        return f"{self._layout.uid}/{name}"
