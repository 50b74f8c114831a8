"""A broker in memory with the behaviour that our contract suite asks of the real one.

Consumers are the real ``Consumer`` and ``BatchConsumer``: only queues, routing and confirms are faked.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from postern_common.contracts.broker import DEAD_EXCHANGE, MAX_BODY_BYTES, TOPOLOGY, QueueSpec, TopologySpec
from postern_common.contracts.identifiers import new_id
from postern_common.contracts.outgoing import OutgoingMessage
from postern_common.errors import DependencyDownError, PermanentError
from postern_common.messaging.errors import BrokerDownError, UnroutableError
from postern_common.messaging.settlement import Delivery


@dataclass(slots=True)
class StoredMessage:
    """A message in a queue; ``deliveries`` counts those that were not acknowledged."""

    body: bytes
    message_id: str
    deliveries: int = 0


@dataclass(slots=True)
class _Queue:
    spec: QueueSpec
    ready: deque[StoredMessage] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class FakeBroker:
    """Exchanges and queues of the topology, in memory. Use it in one event loop."""

    def __init__(self, spec: TopologySpec = TOPOLOGY) -> None:
        self.published: list[OutgoingMessage] = []
        self._exchanges = set(spec.exchanges)
        self._queues = {queue.name: _Queue(queue) for queue in spec.queues}
        self._subscriptions: set[FakeSubscription] = set()
        self._up = asyncio.Event()
        self._up.set()

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        return self._up.is_set()

    def stop(self) -> None:
        """Go down: publishes fail, unsettled deliveries return to their queues."""
        self._up.clear()
        self.drop_connections()

    def start(self) -> None:
        """Come back, with everything that was in the queues."""
        self._up.set()

    def drop_connections(self) -> None:
        """Close every connection; clients may reconnect at once."""
        for subscription in set(self._subscriptions):
            subscription.renew()

    def messages(self, queue: str) -> list[bytes]:
        """Bodies that lie ready in ``queue``, oldest first."""
        return [message.body for message in self._queues[queue].ready]

    def publisher(self) -> "FakePublisher":
        """A publisher like ``postern_common.messaging.Publisher``."""
        return FakePublisher(self)

    def subscription(
        self,
        *,
        queue: str,
        prefetch: int,
        on_message: Callable[[Delivery], None],
        on_lost: Callable[[], Awaitable[None]],
    ) -> "FakeSubscription":
        """Like ``BrokerConnection.subscription``: a consumer takes the fake as its ``connection``."""
        return FakeSubscription(self, self._queues[queue], prefetch, on_message, on_lost)

    def route(self, exchange: str, routing_key: str, body: bytes, message_id: str) -> int:
        """Put a message into every queue that is bound for it; returns their number."""
        bound = [queue for queue in self._queues.values() if _is_bound(queue.spec, exchange, routing_key)]
        for queue in bound:
            queue.ready.append(StoredMessage(body, message_id))
            queue.changed.set()
        return len(bound)

    def has_exchange(self, name: str) -> bool:
        """Whether the exchange was declared."""
        return name in self._exchanges

    def attach(self, subscription: "FakeSubscription") -> None:
        """Count a subscription among those that ``drop_connections`` closes."""
        self._subscriptions.add(subscription)

    async def wait_up(self) -> None:
        """Wait until it answers."""
        await self._up.wait()


def _is_bound(spec: QueueSpec, exchange: str, routing_key: str) -> bool:
    return any(bound == exchange and pattern in ("#", routing_key) for bound, pattern in spec.bindings)


class FakePublisher:
    """Confirms what it can route; raises what the real publisher raises."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    async def publish(self, message: OutgoingMessage) -> None:
        """See ``postern_common.messaging.Publisher.publish``."""
        await asyncio.sleep(0)
        if len(message.body) > MAX_BODY_BYTES:
            raise PermanentError("message_too_large", f"{message.type} has {len(message.body)} bytes")
        if not self._broker.is_up:
            raise BrokerDownError("the fake broker is down")
        if not self._broker.has_exchange(message.exchange):
            raise DependencyDownError("topology_missing", f"exchange {message.exchange} is missing")
        if not self._broker.route(message.exchange, message.routing_key, message.body, new_id().hex):
            raise UnroutableError(message.exchange, message.routing_key)
        self._broker.published.append(message)


class FakeDelivery:
    """A delivery of the fake; settled through its subscription."""

    def __init__(self, subscription: "FakeSubscription", stored: StoredMessage) -> None:
        self._subscription = subscription
        self.stored = stored

    @property
    def body(self) -> bytes:
        """The bytes as published."""
        return self.stored.body

    @property
    def message_id(self) -> str:
        """Id of the publish."""
        return self.stored.message_id

    @property
    def delivery_count(self) -> int:
        """Deliveries before this one."""
        return self.stored.deliveries

    async def ack(self, *, multiple: bool = False) -> None:
        """Done with this one, or with all up to it."""
        self._subscription.settle(self, multiple=multiple)

    async def reject(self, *, requeue: bool) -> None:
        """Back to the queue, or dead-lettered."""
        self._subscription.settle(self, multiple=False)
        self._subscription.give_back(self.stored, requeue=requeue)


class FakeSubscription:
    """Delivers up to ``prefetch`` unsettled messages of a queue, in order."""

    def __init__(
        self,
        broker: FakeBroker,
        queue: _Queue,
        prefetch: int,
        on_message: Callable[[Delivery], None],
        on_lost: Callable[[], Awaitable[None]],
    ) -> None:
        self._broker = broker
        self._queue = queue
        self._prefetch = prefetch
        self._on_message = on_message
        self._on_lost = on_lost
        self._unsettled: list[FakeDelivery] = []
        self._renewed = False
        self._stopped = False

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._broker.attach(self)
        try:
            while True:
                await self._broker.wait_up()
                await self._session()
                await self._lose()
        finally:
            await self._lose()

    async def stop(self) -> None:
        """Deliver no more."""
        self._stopped = True

    def renew(self) -> None:
        """Drop the channel: unsettled deliveries return to the queue."""
        self._renewed = True
        self._queue.changed.set()

    async def _session(self) -> None:
        self._renewed = False
        while not self._renewed:
            while self._queue.ready and len(self._unsettled) < self._prefetch and not self._stopped:
                delivery = FakeDelivery(self, self._queue.ready.popleft())
                self._unsettled.append(delivery)
                self._on_message(delivery)
            self._queue.changed.clear()
            await self._queue.changed.wait()

    async def _lose(self) -> None:
        lost, self._unsettled = self._unsettled, []
        for delivery in reversed(lost):
            self.give_back(delivery.stored, requeue=True)
        await self._on_lost()

    def settle(self, delivery: FakeDelivery, *, multiple: bool) -> None:
        """Take a delivery off the unsettled ones; raises like the real channel when it died with its connection."""
        if delivery not in self._unsettled or self._renewed:
            raise ConnectionError("the channel of this delivery is closed")
        place = self._unsettled.index(delivery)
        del self._unsettled[0 if multiple else place : place + 1]
        self._queue.changed.set()

    def give_back(self, stored: StoredMessage, *, requeue: bool) -> None:
        """Return a message to the head of its queue, or dead-letter it: also when its delivery limit is reached."""
        spec = self._queue.spec
        stored.deliveries += 1
        if requeue and (spec.delivery_limit is None or stored.deliveries <= spec.delivery_limit):
            self._queue.ready.appendleft(stored)
            self._queue.changed.set()
            return
        self._broker.route(DEAD_EXCHANGE, spec.name, stored.body, stored.message_id)
