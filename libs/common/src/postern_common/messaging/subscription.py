"""One consumer on one queue, kept alive: subscribes, watches that it really consumes, subscribes again.

The watchdog looks at what aio-pika hides: when the broker cancels a consumer (a deleted queue, a failover) nothing is
raised; only the channel's table of consumers becomes empty.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from postern_common.errors import DependencyDownError
from postern_common.logging import get_logger
from postern_common.messaging.errors import AMQP_ERRORS
from postern_common.messaging.settlement import Delivery
from postern_common.runtime.backoff import backoff

logger = get_logger(__name__)

WATCH_SECONDS: Final = 5.0
READY_SECONDS: Final = 60.0
RPC_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 3.0


class ChannelSource(Protocol):
    """The supervised connection."""

    async def wait_ready(self, timeout: float) -> None:
        """Wait for a connection; raises ``DependencyDownError``."""
        ...

    async def open_channel(self, *, prefetch: int | None = None, confirms: bool = False) -> AbstractChannel:
        """A new channel; raises ``DependencyDownError``."""
        ...


class AmqpDelivery:
    """A delivery of aio-pika as the settle table sees it."""

    def __init__(self, message: AbstractIncomingMessage) -> None:
        self._message = message

    @property
    def body(self) -> bytes:
        """The bytes as received."""
        return self._message.body

    @property
    def message_id(self) -> str:
        """The publisher's id of this attempt."""
        return self._message.message_id or f"delivery-{self._message.delivery_tag}"

    @property
    def delivery_count(self) -> int:
        """Quorum queues count in ``x-delivery-count``."""
        count = (self._message.headers or {}).get("x-delivery-count", 0)
        return count if isinstance(count, int) else 0

    async def ack(self, *, multiple: bool = False) -> None:
        """Acknowledge this one, or all up to this one."""
        await self._message.ack(multiple=multiple)

    async def reject(self, *, requeue: bool) -> None:
        """Back to the queue, or dead-lettered."""
        await self._message.reject(requeue=requeue)


class Subscription:
    """Keeps ``on_message`` subscribed; ``on_lost`` is called when a channel is gone with its deliveries."""

    def __init__(
        self,
        *,
        channels: ChannelSource,
        queue: str,
        prefetch: int,
        on_message: Callable[[Delivery], None],
        on_lost: Callable[[], Awaitable[None]],
    ) -> None:
        self._channels = channels
        self._queue = queue
        self._prefetch = prefetch
        self._on_message = on_message
        self._on_lost = on_lost
        self._renewed = asyncio.Event()
        self._stopped = False
        self._channel: AbstractChannel | None = None
        self._tag: str | None = None

    @property
    def is_consuming(self) -> bool:
        """Whether there is a consumer that the broker knows."""
        return self._tag is not None

    def renew(self) -> None:
        """Drop the channel with all its unsettled deliveries and subscribe again."""
        self._renewed.set()

    async def stop(self) -> None:
        """Take no more deliveries; those at hand can still be settled."""
        self._stopped = True
        if self._channel is None or self._tag is None:
            return
        with contextlib.suppress(*AMQP_ERRORS):
            async with asyncio.timeout(RPC_SECONDS):
                underlay = await self._channel.get_underlay_channel()
                await underlay.basic_cancel(self._tag)

    async def run(self) -> None:
        """Subscribe and watch, for ever or until stopped."""
        delays = backoff()
        while not self._stopped:
            try:
                await self._channels.wait_ready(READY_SECONDS)
                await self._subscribe()
            except DependencyDownError as error:
                logger.warning("subscribe_failed", queue=self._queue, code=error.code, detail=error.detail)
            else:
                delays = backoff()
                logger.info("consumer_started", queue=self._queue)
                reason = await self._watch()
                logger.warning("consumer_lost", queue=self._queue, reason=reason)
            finally:
                await self._drop()
            await asyncio.sleep(next(delays))

    async def _subscribe(self) -> None:
        self._renewed.clear()
        self._channel = channel = await self._channels.open_channel(prefetch=self._prefetch)

        async def deliver(message: AbstractIncomingMessage) -> None:
            if self._channel is channel:  # else it was dropped, and the broker delivers this again
                self._on_message(AmqpDelivery(message))

        try:
            async with asyncio.timeout(RPC_SECONDS):
                queue = await channel.get_queue(self._queue, ensure=True)
                self._tag = await queue.consume(deliver, no_ack=False, timeout=RPC_SECONDS)
        except ChannelNotFoundEntity:
            raise DependencyDownError(
                "topology_missing", f"queue {self._queue} is missing: run `postern-topology deploy`"
            ) from None
        except AMQP_ERRORS as error:
            raise DependencyDownError("broker_unavailable", f"subscribing failed ({type(error).__name__})") from error

    async def _watch(self) -> str:
        """Until the consumer is gone; returns why."""
        channel, tag = self._channel, self._tag
        if channel is None or tag is None:
            return "not subscribed"
        closed = asyncio.Event()
        channel.close_callbacks.add(lambda *_: closed.set())
        while not self._renewed.is_set():
            if channel.is_closed or closed.is_set():
                return "channel closed"
            try:
                async with asyncio.timeout(RPC_SECONDS):
                    underlay: Any = await channel.get_underlay_channel()
            except AMQP_ERRORS as error:
                return type(error).__name__
            if tag not in underlay.consumers and not self._stopped:
                return "cancelled by the broker"
            await _first(self._renewed, closed, timeout=WATCH_SECONDS)
        return "renewed"

    async def _drop(self) -> None:
        channel, self._channel, self._tag = self._channel, None, None
        await self._on_lost()
        if channel is not None and not channel.is_closed:
            with contextlib.suppress(*AMQP_ERRORS):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await channel.close()


async def _first(*events: asyncio.Event, timeout: float) -> None:
    loop = asyncio.get_running_loop()
    waits = [loop.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()
