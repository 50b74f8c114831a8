"""Publishing with a known outcome: persistent, mandatory, confirmed; only a ``Basic.Ack`` counts (rule 3)."""

import asyncio
from typing import Final

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractExchange
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed, DeliveryError, PublishError
from pamqp.commands import Basic
from prometheus_client import Histogram

from postern_common.contracts.broker import MAX_BODY_BYTES
from postern_common.contracts.cloudevent import CONTENT_TYPE
from postern_common.contracts.identifiers import new_id
from postern_common.contracts.outgoing import OutgoingMessage
from postern_common.errors import DependencyDownError, PermanentError, TransientError
from postern_common.logging import get_logger
from postern_common.messaging.connection import BrokerConnection
from postern_common.messaging.errors import AMQP_ERRORS, BrokerDownError, UnroutableError

logger = get_logger(__name__)

PUBLISH_SECONDS: Final = 5.0
WINDOW: Final = 200

_duration = Histogram(
    "messaging_client_operation_duration_seconds", "Time from publish to the broker's confirm", ("exchange",)
)


class Publisher:
    """Publishes over one long-lived channel, at most 200 messages unconfirmed at a time."""

    def __init__(self, connection: BrokerConnection) -> None:
        self._connection = connection
        self._window = asyncio.Semaphore(WINDOW)
        self._opening = asyncio.Lock()
        self._channel: AbstractChannel | None = None
        self._exchanges: dict[str, AbstractExchange] = {}

    async def publish(self, message: OutgoingMessage) -> None:
        """Return once the broker has the message on disk; 5 s at most.

        Raises ``DependencyDownError`` when the outcome is unknown, ``UnroutableError`` when no queue is bound,
        ``TransientError("publish_refused")`` when the broker refused it (a full queue), ``PermanentError`` when it is
        too large.
        """
        if len(message.body) > MAX_BODY_BYTES:
            raise PermanentError("message_too_large", f"{message.type} has {len(message.body)} bytes")
        async with self._window:
            try:
                with _duration.labels(message.exchange).time():
                    async with asyncio.timeout(PUBLISH_SECONDS):
                        await self._send(message)
            except PublishError:
                raise UnroutableError(message.exchange, message.routing_key) from None
            except DeliveryError as error:
                raise TransientError("publish_refused", f"the broker refused {message.type} ({error})") from None
            except ChannelNotFoundEntity:
                raise DependencyDownError(
                    "topology_missing", f"exchange {message.exchange} is missing: run `postern-topology deploy`"
                ) from None
            except ChannelPreconditionFailed as error:
                raise TransientError("publish_refused", f"the broker closed the channel ({error})") from None
            except TimeoutError as error:
                await self._doubt_unless_blocked()
                raise BrokerDownError("the broker did not confirm in time") from error
            except AMQP_ERRORS as error:
                raise BrokerDownError(f"the connection ended before the confirm ({type(error).__name__})") from error

    async def _send(self, message: OutgoingMessage) -> None:
        exchange = await self._exchange(message.exchange)
        confirmation = await exchange.publish(
            Message(
                message.body,
                content_type=CONTENT_TYPE,
                delivery_mode=DeliveryMode.PERSISTENT,
                message_id=new_id().hex,
                type=message.type,
                headers={"x-attempt": message.attempt},
            ),
            routing_key=message.routing_key,
            mandatory=True,
            timeout=PUBLISH_SECONDS,
        )
        if not isinstance(confirmation, Basic.Ack):
            raise BrokerDownError(f"the broker answered {type(confirmation).__name__} instead of an ack")

    async def _exchange(self, name: str) -> AbstractExchange:
        channel = self._channel
        if channel is None or channel.is_closed:
            channel = await self._open()
        exchange = self._exchanges.get(name)
        if exchange is None:
            exchange = self._exchanges[name] = await channel.get_exchange(name, ensure=False)
        return exchange

    async def _open(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                await self._connection.wait_ready(PUBLISH_SECONDS)
                self._channel = await self._connection.open_channel(confirms=True)
                self._exchanges = {}
            return self._channel

    async def _doubt_unless_blocked(self) -> None:
        """A broker in alarm has said so and will answer again; any other silence is a dead peer."""
        if not await self._connection.is_blocked():
            self._connection.doubt("publish timed out")
