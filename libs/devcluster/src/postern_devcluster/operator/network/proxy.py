"""A Service as a TCP proxy: an address that follows whoever its endpoints are at the moment.

Like kube-proxy it refuses when there is no endpoint; unlike it, it closes connections to an endpoint that left, so that
a client of ``-rw`` never goes on talking to a former primary.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from typing import cast

from typing_extensions import override

_CONNECT_SECONDS = 5.0


class _Side(asyncio.Protocol):
    """One half of a connection: what it receives goes to ``other``, end of stream and back-pressure included."""

    def __init__(self) -> None:
        self.other: _Side | None = None
        self.transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._ended = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio.Transports in all but their class.
        self.transport = cast("asyncio.Transport", transport)

    def join(self, other: "_Side") -> None:
        """Pass on what came early, then everything."""
        self.other = other
        for chunk in self._early:
            self._forward(chunk)
        self._early.clear()
        if self._ended:
            self._finish_other()

    @override
    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            self._forward(data)

    @override
    def eof_received(self) -> bool:
        self._ended = True
        if self.other is not None:
            self._finish_other()
        return True

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    @override
    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    @property
    def ended(self) -> bool:
        """Whether this side has sent everything it will send."""
        return self._ended

    def _forward(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.write(data)

    def _finish_other(self) -> None:
        other = self.other
        if other is None or other.transport is None or self.transport is None:
            return
        if other.ended:
            other.transport.close()
            self.transport.close()
        elif other.transport.can_write_eof() and not other.transport.is_closing():
            other.transport.write_eof()


class ServiceProxy:
    """Listens on one address and connects each client to the next of its endpoints."""

    def __init__(self, address: str, port: int) -> None:
        self._address = address
        self._port = port
        self._server: asyncio.Server | None = None
        self._endpoints: tuple[str, ...] = ()
        self._turn = itertools.count()
        self._open: dict[_Side, str] = {}

    async def set_endpoints(self, endpoints: Sequence[str]) -> None:
        """Connect new clients to these addresses; connections to others are closed. None: clients are refused."""
        wanted = tuple(endpoints)
        if wanted == self._endpoints:
            return
        self._endpoints = wanted
        for side, backend in list(self._open.items()):
            if backend not in wanted and side.transport is not None:
                side.transport.abort()
        if wanted and self._server is None:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: _Client(self), self._address, self._port, reuse_address=True
            )
        elif not wanted:
            await self._stop_listening()

    async def close(self) -> None:
        """Stop listening and close every connection."""
        self._endpoints = ()
        await self._stop_listening()
        for side in list(self._open):
            if side.transport is not None:
                side.transport.abort()

    async def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await asyncio.sleep(0)  # the listening socket is closed in the loop's next turn

    def next_endpoint(self) -> str | None:
        """Return the endpoint whose turn it is."""
        if not self._endpoints:
            return None
        return self._endpoints[next(self._turn) % len(self._endpoints)]

    def opened(self, side: "_Side", backend: str) -> None:
        """Remember a connection, so that it can be closed when its backend leaves."""
        self._open[side] = backend

    def closed(self, side: "_Side") -> None:
        """Forget a connection."""
        self._open.pop(side, None)

    @property
    def port(self) -> int:
        """Port of the endpoints, the same as the Service's."""
        return self._port


class _Client(_Side):
    """The client's half: connects to a backend as soon as the client is there."""

    def __init__(self, proxy: ServiceProxy) -> None:
        super().__init__()
        self._proxy = proxy
        self._connecting: asyncio.Task[None] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        backend = self._proxy.next_endpoint()
        if backend is None:
            transport.abort()  # type: ignore[attr-defined] # transports of stream sockets have it
            return
        self._proxy.opened(self, backend)
        # The connection owns its task: it is cancelled when the client leaves.
        self._connecting = asyncio.get_running_loop().create_task(self._connect(backend), name="service-proxy-connect")

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.closed(self)
        if self._connecting is not None:
            self._connecting.cancel()
        super().connection_lost(exc)

    async def _connect(self, backend: str) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, side = await asyncio.get_running_loop().create_connection(_Side, backend, self._proxy.port)
            side.other = self
            self.join(side)
            side.join(self)
            return
        if self.transport is not None:
            self.transport.abort()
