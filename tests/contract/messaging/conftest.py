"""One suite for the fake broker and for RabbitMQ: each test runs against both."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from postern_common.contracts.broker import TOPOLOGY, parking_queue
from postern_common.contracts.outgoing import OutgoingMessage
from postern_common.messaging import BatchConsumer, BrokerConnection, Consumer, Publisher, connection, subscription
from postern_common.messaging.topology import deploy
from postern_common.runtime import TaskOwner
from postern_common.testing import FakeBroker, FakeDeadLetters


class Harness:
    """What a test does to a broker, whichever it is."""

    def __init__(
        self, broker: Any, publisher: Any, peek: Callable[[str], Awaitable[int]], lose: Callable[[], None]
    ) -> None:
        self._broker = broker
        self._publisher = publisher
        self._peek = peek
        self.lose_connection = lose
        self.dead_letters = FakeDeadLetters()
        self._owner = TaskOwner()
        self._consumers: list[Consumer | BatchConsumer] = []

    async def publish(self, *messages: OutgoingMessage) -> None:
        """One after the other, each confirmed."""
        for message in messages:
            await self._publisher.publish(message)

    def consume(self, queue: str, handler: Any, *, prefetch: int = 32) -> tuple[Consumer, asyncio.Task[None]]:
        """A running consumer."""
        consumer = Consumer(
            connection=self._broker, queue=queue, handler=handler, dead_letters=self.dead_letters, prefetch=prefetch
        )
        self._consumers.append(consumer)
        return consumer, self._owner.spawn(consumer.run(), name="consumer", finite=True)

    def consume_batches(
        self, queue: str, handler: Any, *, prefetch: int = 200
    ) -> tuple[BatchConsumer, asyncio.Task[None]]:
        """A running batch consumer."""
        consumer = BatchConsumer(
            connection=self._broker, queue=queue, handler=handler, dead_letters=self.dead_letters, prefetch=prefetch
        )
        self._consumers.append(consumer)
        return consumer, self._owner.spawn(consumer.run(), name="batches", finite=True)

    async def depth(self, queue: str) -> int:
        """Messages that lie ready in the queue."""
        return await self._peek(queue)

    async def dead(self, queue: str) -> int:
        """Messages in the queue's parking queue."""
        return await self._peek(parking_queue(queue))

    async def drain(self) -> None:
        """Let every consumer end what is under way."""
        async with asyncio.timeout(10.0), asyncio.TaskGroup() as group:
            for consumer in self._consumers:
                group.create_task(consumer.drain())

    async def close(self) -> None:
        """Cancel the consumers."""
        await self._owner.close(5.0)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Say which tests need RabbitMQ, so that it is started before the first of them."""
    callspec = getattr(item, "callspec", None)
    names: list[str] = getattr(item, "fixturenames", [])
    if callspec is not None and callspec.params.get("harness") == "rabbitmq" and "vhost_url" not in names:
        names.append("vhost_url")


@pytest.fixture(params=["fake", pytest.param("rabbitmq", marks=pytest.mark.integration)])
async def harness(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    """The broker under test."""
    if request.param == "fake":
        fake = FakeBroker()

        async def peek(queue: str) -> int:
            return len(fake.messages(queue))

        made = Harness(fake, fake.publisher(), peek, fake.drop_connections)
        yield made
        await made.close()
        return
    url = request.getfixturevalue("vhost_url")
    monkeypatch.setattr(subscription, "WATCH_SECONDS", 0.2)
    monkeypatch.setattr(connection, "PROBE_INTERVAL_SECONDS", 1.0)
    await deploy(url, TOPOLOGY)
    owner = TaskOwner()
    sending, receiving, looking = (BrokerConnection(url, name=name) for name in ("publish", "consume", "look"))
    for each in (sending, receiving, looking):
        owner.spawn(each.run(), name="connection")
    for each in (sending, receiving, looking):
        await each.wait_ready(5.0)
    channel = await looking.open_channel()

    async def count(queue: str) -> int:
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    made = Harness(receiving, Publisher(sending), count, lambda: receiving.doubt("the test says so"))
    yield made
    await made.close()
    await owner.close(5.0)
