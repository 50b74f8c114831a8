"""The API server as a whole: puts store, services and routes together, listens with TLS, writes the kubeconfigs."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from postern_devcluster.apiserver.collector import Collector
from postern_devcluster.apiserver.deletion import ObjectDeleter
from postern_devcluster.apiserver.kubeconfig import Kubeconfigs, ensure_tokens, write_kubeconfigs
from postern_devcluster.apiserver.lifecycle import Lifecycle
from postern_devcluster.apiserver.rights import Rights
from postern_devcluster.apiserver.routes import Api, build_app
from postern_devcluster.apiserver.seed import seed
from postern_devcluster.apiserver.store import ObjectStore
from postern_devcluster.apiserver.tls import ensure_certificates
from postern_devcluster.apiserver.watching import OpenWatches
from postern_devcluster.apiserver.writes import ObjectWriter

_SHUTDOWN_SECONDS = 2.0


class NotLoopbackError(ValueError):
    """The address asked for could be reached from other machines."""


@dataclass(frozen=True, slots=True)
class ApiServerOptions:
    """Where to keep state and where to listen. Port 0 takes a free one, and the same one again after a restart."""

    state_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    rights: bool = True


def require_loopback(host: str) -> str:
    """The address, if only this machine reaches it. Raises ``NotLoopbackError``."""
    address = "127.0.0.1" if host == "localhost" else host
    with suppress(ValueError):
        if ipaddress.ip_address(address).is_loopback:
            return address
    raise NotLoopbackError(f"the development cluster listens on loopback addresses only, not on {host!r}")


class ApiServer:
    """A running API server."""

    def __init__(self, options: ApiServerOptions) -> None:
        self._options = options
        self._host = require_loopback(options.host)
        self._directory = options.state_dir / "apiserver"
        self._store = ObjectStore(self._directory / "objects")
        self._watches = OpenWatches()
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.kubeconfigs: Kubeconfigs | None = None

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        assert self.kubeconfigs is not None
        return self.kubeconfigs.admin

    async def start(self) -> None:
        """Listen, then write the kubeconfigs. Raises ``OSError`` when the port is taken."""
        certificates = ensure_certificates(self._directory / "pki")
        tokens = ensure_tokens(self._directory / "tokens.json")

        def clock() -> datetime:
            return datetime.now(UTC)

        writer = ObjectWriter(self._store, Lifecycle(self._store), clock)
        deleter = ObjectDeleter(self._store, clock)
        seed(self._store, writer)
        api = Api(
            store=self._store,
            writer=writer,
            deleter=deleter,
            rights=Rights(tokens, enforced=self._options.rights),
            watches=self._watches,
            state_dir=self._options.state_dir,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.certificate, certificates.key)
        self._runner = web.AppRunner(
            build_app(api), handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS, access_log=None
        )
        await self._runner.setup()
        listener = self._listen()
        await web.SockSite(self._runner, listener, ssl_context=context).start()
        port = listener.getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"https://{host}:{port}"
        self.kubeconfigs = write_kubeconfigs(self._options.state_dir, url=self.url, ca=certificates.ca, tokens=tokens)
        self._collector = Collector(self._store, deleter)

    async def run(self) -> None:
        """The background work, until cancelled."""
        await self._collector.run()

    def compact(self) -> None:
        """Make every older version expired, as etcd's compaction does."""
        self._store.compact()

    async def close(self) -> None:
        """End watches, stop listening, close the files."""
        self._watches.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        self._store.close()

    def _listen(self) -> socket.socket:
        """A listening socket; with port 0 the one of the last run where it is still free."""
        remembered = self._directory / "port"
        wanted = self._options.port
        if not wanted and remembered.exists():
            with suppress(OSError, ValueError):
                return self._bind(int(remembered.read_text()))
        listener = self._bind(wanted)
        remembered.write_text(str(listener.getsockname()[1]))
        return listener

    def _bind(self, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, port))
            listener.listen(512)
            listener.settimeout(0)
        except OSError:
            listener.close()
            raise
        return listener


@asynccontextmanager
async def running_api_server(state_dir: Path, *, port: int = 0, rights: bool = True) -> AsyncIterator[ApiServer]:
    """An API server in this process, for tests and for ``serve``."""
    server = ApiServer(ApiServerOptions(state_dir=state_dir, port=port, rights=rights))
    try:
        await server.start()
        async with asyncio.TaskGroup() as tasks:
            background = tasks.create_task(server.run(), name="collector")
            try:
                yield server
            finally:
                background.cancel()
    finally:
        await server.close()
