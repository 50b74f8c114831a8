"""One supervised AMQP connection: any doubt tears it down and builds it anew (design/messages.md, connections).

Plain ``aio_pika.connect`` because the robust one has open recovery faults. Separate because publisher and consumers
share the supervision, each on a connection of its own: a blocked publisher must not block acknowledgements.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from postern_common.logging import get_logger
from postern_common.messaging.errors import AMQP_ERRORS, BrokerDownError
from postern_common.messaging.settlement import Delivery
from postern_common.messaging.subscription import Subscription
from postern_common.runtime.backoff import HEALTHY_SECONDS, backoff

logger = get_logger(__name__)

HEARTBEAT_SECONDS: Final = 10
CONNECT_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 3.0
CHANNEL_SECONDS: Final = 5.0
PROBE_INTERVAL_SECONDS: Final = 10.0
PROBE_SECONDS: Final = 5.0
_PROBE_EXCHANGE: Final = "amq.topic"


class BrokerConnection:
    """The connection of one purpose. ``run`` must be a task of the process; users wait for it with ``wait_ready``."""

    def __init__(self, url: str, *, name: str) -> None:
        self._url = URL(url).update_query(heartbeat=HEARTBEAT_SECONDS, name=name)
        self._name = name
        self._connection: AbstractConnection | None = None
        self._ready = asyncio.Event()
        self._doubt = asyncio.Event()
        self._reason = ""

    @property
    def is_ready(self) -> bool:
        """Whether there is a connection that nobody doubts."""
        return self._connection is not None and not self._doubt.is_set()

    async def wait_ready(self, timeout: float) -> None:
        """Wait for a connection. Raises ``BrokerDownError`` after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._ready.wait()
        except TimeoutError:
            raise BrokerDownError("there is no connection to the broker") from None

    async def check(self) -> None:
        """Readiness check. Raises ``BrokerDownError`` when not connected."""
        if not self.is_ready:
            raise BrokerDownError("there is no connection to the broker")

    async def open_channel(self, *, prefetch: int | None = None, confirms: bool = False) -> AbstractChannel:
        """A new channel of the present connection; it dies with it. Raises ``BrokerDownError``."""
        connection = self._connection
        if connection is None:
            raise BrokerDownError("there is no connection to the broker")
        try:
            async with asyncio.timeout(CHANNEL_SECONDS):
                channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
                await channel.initialize()
                if prefetch is not None:
                    await channel.set_qos(prefetch_count=prefetch)
                return channel
        except AMQP_ERRORS as error:
            self.doubt("channel_not_opened")
            raise BrokerDownError(f"no channel could be opened ({type(error).__name__})") from error

    def subscription(
        self,
        *,
        queue: str,
        prefetch: int,
        on_message: Callable[[Delivery], None],
        on_lost: Callable[[], Awaitable[None]],
    ) -> Subscription:
        """A consumer on ``queue`` that is kept alive; its ``run`` must be part of a task."""
        return Subscription(channels=self, queue=queue, prefetch=prefetch, on_message=on_message, on_lost=on_lost)

    def doubt(self, reason: str) -> None:
        """Say that something is wrong with the connection: it is torn down and built anew."""
        if self._connection is not None and not self._doubt.is_set():
            self._reason = reason
            self._doubt.set()

    async def is_blocked(self) -> bool:
        """Whether the broker has told us that it takes no publishes (memory or disk alarm)."""
        connection = self._connection
        transport = connection.transport if connection is not None else None
        if transport is None:
            return False
        try:
            async with asyncio.timeout(0.01):
                await transport.connection.ready()
        except TimeoutError:
            return True
        return False

    async def run(self) -> None:
        """Connect, watch, reconnect with a jittered delay of 0.2-15 s; for ever, until cancelled."""
        delays = backoff()
        while True:
            connection = await self._connect()
            if connection is not None:
                started = time.monotonic()
                try:
                    reason = await self._watch(connection)
                    logger.warning("broker_connection_lost", connection=self._name, reason=reason)
                finally:
                    self._ready.clear()
                    self._connection = None
                    await self._close(connection)
                if time.monotonic() - started >= HEALTHY_SECONDS:
                    delays = backoff()
            await asyncio.sleep(next(delays))

    async def _connect(self) -> AbstractConnection | None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await aio_pika.connect(self._url, timeout=CONNECT_SECONDS)  # noqa: TID251 - supervised here
        except AMQP_ERRORS as error:
            logger.warning("broker_connect_failed", connection=self._name, error=type(error).__name__)
            return None

    async def _watch(self, connection: AbstractConnection) -> str:
        """Until the connection ends or is doubted; returns why."""
        self._doubt.clear()
        connection.close_callbacks.add(self._note_closed)
        self._connection = connection
        self._ready.set()
        logger.info("broker_connected", connection=self._name)
        probe_channel: AbstractChannel | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_INTERVAL_SECONDS):
                    await self._doubt.wait()
                return self._reason
            if connection.is_closed:
                return "closed"
            if await self.is_blocked():
                logger.warning("broker_blocks_publishers", connection=self._name)
                continue
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    if probe_channel is None or probe_channel.is_closed:
                        probe_channel = connection.channel(publisher_confirms=False)
                        await probe_channel.initialize()
                    underlay = await probe_channel.get_underlay_channel()
                    await underlay.exchange_declare(_PROBE_EXCHANGE, passive=True)
            except AMQP_ERRORS as error:
                return f"probe failed ({type(error).__name__})"

    def _note_closed(self, _: object, error: BaseException | None) -> None:
        self.doubt(type(error).__name__ if error is not None else "closed")

    async def _close(self, connection: AbstractConnection) -> None:
        with contextlib.suppress(*AMQP_ERRORS):
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()
