"""What happens to connections and topology on a real broker when it, the network or an operator does something."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit, urlunsplit

import pytest
from aio_pika import Message
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.common.conftest import SCHEMA, Writer
from tests.support.messages import outgoing, received_event
from tests.support.polling import eventually
from tests.support.proxy import Proxy, proxy_to

from postern_common.contracts.broker import AUDIT_LEDGER, GATEWAY_PROJECTION, TOPOLOGY, TOPOLOGY_VERSION, QueueSpec
from postern_common.contracts.cloudevent import CloudEvent
from postern_common.errors import DependencyDownError, PermanentError, TransientError
from postern_common.messaging import (
    BrokerConnection,
    Consumer,
    Publisher,
    add_standard_checks,
    check_topology,
    connection,
    deploy_topology,
    publisher,
    subscription,
)
from postern_common.persistence import Relay, create_engine
from postern_common.runtime import Health, TaskOwner
from postern_common.testing import FakeDeadLetters

pytestmark = pytest.mark.integration

Connect = Callable[[str], BrokerConnection]


@pytest.fixture
async def owner() -> AsyncIterator[TaskOwner]:
    """Owns the test's tasks."""
    made = TaskOwner()
    yield made
    await made.close(5.0)


@pytest.fixture
def connect(owner: TaskOwner, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Starts supervised connections whose watchdogs are in a hurry."""
    monkeypatch.setattr(subscription, "WATCH_SECONDS", 0.2)
    monkeypatch.setattr(connection, "PROBE_INTERVAL_SECONDS", 0.3)
    monkeypatch.setattr(connection, "PROBE_SECONDS", 0.5)
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.3)
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 1.0)

    def start(url: str) -> BrokerConnection:
        made = BrokerConnection(url, name="test")
        owner.spawn(made.run(), name="connection")
        return made

    return start


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[Proxy]:
    """A proxy before the broker."""
    parts = urlsplit(amqp_url)
    async with proxy_to(parts.hostname or "", parts.port or 0) as made:
        yield made


def through(proxy: Proxy, url: str) -> str:
    """``url`` by way of the proxy."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{proxy.port}")))


class Handler:
    """Counts what it gets."""

    def __init__(self) -> None:
        self.events: list[CloudEvent] = []

    async def __call__(self, event: CloudEvent) -> None:
        self.events.append(event)


def consume(owner: TaskOwner, broker: BrokerConnection, handler: Handler) -> Consumer:
    """A running consumer of the projection's queue."""
    made = Consumer(connection=broker, queue=GATEWAY_PROJECTION, handler=handler, dead_letters=FakeDeadLetters())
    owner.spawn(made.run(), name="consumer")
    return made


async def test_a_silent_peer_is_noticed_and_consumption_goes_on_when_it_speaks_again(
    amqp_url: str, proxy: Proxy, connect: Connect, owner: TaskOwner
) -> None:
    direct, proxied = connect(amqp_url), connect(through(proxy, amqp_url))
    sender, handler = Publisher(direct), Handler()
    consume(owner, proxied, handler)
    await direct.wait_ready(5.0)
    await sender.publish(outgoing(received_event()))
    await eventually(lambda: len(handler.events) == 1)
    proxy.hold()
    await eventually(lambda: not proxied.is_ready)
    await sender.publish(outgoing(received_event()))
    proxy.release()
    await eventually(lambda: len(handler.events) >= 2, timeout=20)


async def test_a_publish_into_silence_fails_in_time_and_the_next_one_works(
    amqp_url: str, proxy: Proxy, connect: Connect
) -> None:
    proxied = connect(through(proxy, amqp_url))
    await proxied.wait_ready(5.0)
    sender = Publisher(proxied)
    await sender.publish(outgoing(received_event()))
    proxy.hold()
    async with asyncio.timeout(5.0):
        with pytest.raises(DependencyDownError):
            await sender.publish(outgoing(received_event()))
    proxy.release()

    async def published() -> bool:
        try:
            await sender.publish(outgoing(received_event()))
        except DependencyDownError:
            return False
        return True

    await eventually(published, timeout=20)


async def test_a_reset_connection_fails_the_publishes_on_it_and_comes_back(
    amqp_url: str, proxy: Proxy, connect: Connect
) -> None:
    proxied = connect(through(proxy, amqp_url))
    await proxied.wait_ready(5.0)
    sender = Publisher(proxied)
    await sender.publish(outgoing(received_event()))
    proxy.hold()
    loop = asyncio.get_running_loop()
    sending = loop.create_task(sender.publish(outgoing(received_event())))
    await asyncio.sleep(0.05)
    proxy.reset()
    proxy.release()
    with pytest.raises(DependencyDownError):
        await sending
    await eventually(lambda: proxied.is_ready)
    await sender.publish(outgoing(received_event()))


async def test_a_queue_that_was_deleted_and_made_again_is_consumed_again(
    amqp_url: str, connect: Connect, owner: TaskOwner
) -> None:
    broker, handler = connect(amqp_url), Handler()
    await broker.wait_ready(5.0)
    consume(owner, broker, handler)
    sender = Publisher(broker)
    await sender.publish(outgoing(received_event()))
    await eventually(lambda: len(handler.events) == 1)
    channel = await broker.open_channel()
    await channel.queue_delete(GATEWAY_PROJECTION)
    await asyncio.sleep(0.5)
    engineless = await broker.open_channel()
    spec = next(queue for queue in TOPOLOGY.queues if queue.name == GATEWAY_PROJECTION)
    queue = await engineless.declare_queue(spec.name, durable=True, arguments=dict(spec.arguments))
    for exchange, key in spec.bindings:
        await queue.bind(exchange, key)
    await sender.publish(outgoing(received_event()))
    await eventually(lambda: len(handler.events) == 2, timeout=20)


async def test_a_topology_that_was_never_deployed_or_is_old_is_told_in_words(
    vhost_url: str, admin_url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = connect(vhost_url)
    engine = create_engine(admin_url, application_name="deployer")
    with pytest.raises(TransientError) as missing:
        await check_topology(broker, engine)
    assert missing.value.code == "topology_missing"
    assert "postern-topology deploy" in missing.value.detail
    await deploy_topology(broker, engine)
    await deploy_topology(broker, engine)
    await check_topology(broker, engine)
    monkeypatch.setattr("postern_common.messaging.topology.TOPOLOGY_VERSION", "next")
    with pytest.raises(TransientError) as old:
        await check_topology(broker, engine)
    assert old.value.code == "topology_outdated"
    assert TOPOLOGY_VERSION in old.value.detail
    await engine.dispose()


async def test_a_queue_with_other_arguments_stops_the_deployer_with_its_name(vhost_url: str, connect: Connect) -> None:
    broker = connect(vhost_url)
    await broker.wait_ready(5.0)
    channel = await broker.open_channel()
    await channel.declare_queue(AUDIT_LEDGER, durable=True, arguments={"x-queue-type": "quorum"})
    from postern_common.messaging.topology import declare_topology  # noqa: PLC0415

    with pytest.raises(PermanentError) as caught:
        await declare_topology(broker)
    assert caught.value.code == "topology_differs"
    assert AUDIT_LEDGER in caught.value.detail


async def test_only_the_provisioner_is_bound_to_commands() -> None:
    def bound(queue: QueueSpec) -> bool:
        return any(exchange == "postern.commands" for exchange, _ in queue.bindings)

    assert [queue.name for queue in TOPOLOGY.queues if bound(queue)] == ["provisioner.commands"]


async def test_readiness_names_what_is_missing(vhost_url: str, engine: AsyncEngine, connect: Connect) -> None:
    health = Health()
    broker = connect(vhost_url)
    await broker.wait_ready(5.0)
    add_standard_checks(health, engine=engine, connections=[broker], queues=[GATEWAY_PROJECTION])
    report = await health.readiness()
    assert {check.name: check.code for check in report.checks} == {
        "database": "",
        "broker": "",
        "topology": "topology_missing",
    }
    assert report.ready is False


async def test_from_commit_to_handler_over_a_real_broker(
    amqp_url: str, connect: Connect, owner: TaskOwner, engine: AsyncEngine, writer: Writer
) -> None:
    sending, receiving, handler = connect(amqp_url), connect(amqp_url), Handler()
    consume(owner, receiving, handler)
    relay = Relay(
        engine=engine,
        schema=SCHEMA,
        source="/postern/gateway",
        publisher=Publisher(sending),
        wakeup=writer.wakeup,
        owner="test",
    )
    owner.spawn(relay.run(), name="relay")
    events = [received_event(f"database-{number % 7}", generation=number) for number in range(200)]
    for start in range(0, 200, 50):
        await writer.write(*events[start : start + 50])
    await eventually(lambda: len(handler.events) >= 200, timeout=20)
    for number in range(7):
        subject = f"database-{number}"
        got = [event.id for event in handler.events if event.subject == subject]
        assert got == [event.id for event in events if event.subject == subject]


async def test_a_message_of_somebody_else_is_parked_like_any_poison(
    amqp_url: str, connect: Connect, owner: TaskOwner
) -> None:
    broker, handler, dead_letters = connect(amqp_url), Handler(), FakeDeadLetters()
    await broker.wait_ready(5.0)
    channel = await broker.open_channel(confirms=True)
    await channel.default_exchange.publish(
        Message(b'{"hello": 1}', message_id="theirs", content_encoding="gzip"), routing_key=GATEWAY_PROJECTION
    )
    made = Consumer(connection=broker, queue=GATEWAY_PROJECTION, handler=handler, dead_letters=dead_letters)
    owner.spawn(made.run(), name="consumer")
    await eventually(lambda: [letter.id for letter in dead_letters.recorded] == ["theirs"])


@pytest.mark.timeout(90)
async def test_the_command_deploys_then_checks_and_tells_what_is_missing(vhost_url: str, admin_url: str) -> None:
    async def run(command: str) -> tuple[int | None, bytes]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from postern_common.messaging.topology_cli import main; main()",
            command,
            env={"POSTERN_AMQP_URL": vhost_url, "POSTERN_DATABASE_URL": admin_url},
            stdout=PIPE,
            stderr=PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), 25)
        return process.returncode, output + errors

    status, words = await run("check")
    assert status == 1
    assert b"postern-topology deploy" in words
    assert (await run("deploy"))[0] == 0
    assert (await run("check"))[0] == 0
    assert (await run("nonsense"))[0] == 2
