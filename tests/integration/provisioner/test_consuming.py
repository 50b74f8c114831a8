"""The consumer of commands on a real broker: what every consumer must survive (design/style.md, tests)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest
from sqlalchemy import text
from tests.integration.provisioner.conftest import Provisioner, eventually
from tests.integration.provisioner.process import Commands, gateway_relay
from tests.unit.provisioner.commands import apply_command, as_event

from postern_common.contracts.broker import PROVISIONER_COMMANDS, parking_queue
from postern_common.contracts.cloudevent import encode
from postern_common.contracts.events import ObjectDrifted, ObjectReference
from postern_common.contracts.identifiers import new_id
from postern_common.errors import DependencyDownError
from postern_common.messaging import BrokerConnection
from postern_common.persistence import DeadLetterStore
from postern_common.runtime import TaskOwner
from postern_provisioner.bootstrap import build_consumers

pytestmark = pytest.mark.integration


@asynccontextmanager
async def consuming(provisioner: Provisioner, amqp_url: str) -> AsyncIterator[None]:
    """The provisioner's consumers, on a connection of their own."""
    owner = TaskOwner()
    connection = BrokerConnection(amqp_url, name="provisioner-consume")
    consumers = build_consumers(
        provisioner.parts.receiving, connection, DeadLetterStore(provisioner.engine, "provisioner")
    )
    owner.spawn(connection.run(), name="broker")
    for consumer in consumers:
        owner.spawn(consumer.run(), name="consumer")
    try:
        yield
    finally:
        await owner.close(5)


@pytest.fixture
async def gateway(amqp_url: str) -> AsyncIterator[Commands]:
    async with gateway_relay(amqp_url) as commands:
        yield commands


async def dead_letters(provisioner: Provisioner) -> list[str]:
    async with provisioner.engine.connect() as connection:
        rows = await connection.execute(text("SELECT reason FROM provisioner.dead_letters ORDER BY recorded_at"))
        return [row.reason for row in rows]


async def depth(amqp_url: str, queue: str) -> int:
    """Messages that lie ready in a queue."""
    connection = await aio_pika.connect(amqp_url)  # noqa: TID251 - a test may look from outside
    async with connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


async def received(provisioner: Provisioner, count: int) -> None:
    await provisioner.wait_for_events("database.received", count)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _body: b"{not json", "malformed"),
        (lambda body: body.replace(b"command.database.apply.v1", b"command.database.apply.v9"), "unknown_type"),
        (lambda body: body.replace(b"command.database.apply.v1", b"database.received.v1"), "unexpected_type"),
        (lambda body: body.replace(b'"generation":1', b'"generation":"x"'), "schema_violation"),
    ],
)
async def test_a_poisonous_message_is_parked_with_its_reason_and_the_next_one_is_handled(
    provisioner: Provisioner, gateway: Commands, amqp_url: str, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    event = apply_command(new_id())
    async with consuming(provisioner, amqp_url):
        await gateway.send_body(spoil(encode(event)))
        await gateway.send(apply_command(new_id()))
        await received(provisioner, 1)

        async def parked() -> bool:
            return await depth(amqp_url, parking_queue(PROVISIONER_COMMANDS)) == 1

        await eventually(parked)
    assert await dead_letters(provisioner) == [reason]


async def test_a_redelivered_command_has_one_effect(provisioner: Provisioner, gateway: Commands, amqp_url: str) -> None:
    event = apply_command(new_id())
    async with consuming(provisioner, amqp_url):
        await gateway.send(event)
        await gateway.send(event)
        await received(provisioner, 2)
        await provisioner.wait_for_events("database.applied")
    assert len(await provisioner.events("database.applied")) == 1


async def test_a_command_that_found_the_database_down_is_handled_later(
    provisioner: Provisioner, gateway: Commands, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [DependencyDownError("database_unavailable", "the database does not answer")] * 2
    original = provisioner.parts.receiving.receive

    async def receive(*arguments: Any) -> None:
        if refusals:
            raise refusals.pop()
        await original(*arguments)

    monkeypatch.setattr(provisioner.parts.receiving, "receive", receive)
    async with consuming(provisioner, amqp_url):
        await gateway.send(apply_command(new_id()))
        await provisioner.wait_for_events("database.applied")
    assert refusals == []
    assert await dead_letters(provisioner) == []


async def test_a_command_whose_handler_was_cancelled_is_handled_by_the_next_consumer(
    provisioner: Provisioner, gateway: Commands, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()
    original = provisioner.parts.receiving.receive

    async def receive(*_arguments: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(provisioner.parts.receiving, "receive", receive)
    async with consuming(provisioner, amqp_url):
        await gateway.send(apply_command(new_id()))
        async with asyncio.timeout(10):
            await begun.wait()
    assert await provisioner.events() == []
    monkeypatch.setattr(provisioner.parts.receiving, "receive", original)
    async with consuming(provisioner, amqp_url):
        await provisioner.wait_for_events("database.applied")
    assert await dead_letters(provisioner) == []


async def test_a_connection_lost_between_handling_and_ack_has_one_effect(
    provisioner: Provisioner, gateway: Commands, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is done, the ack never leaves: the command comes again and only its answer is repeated."""
    committed = asyncio.Event()
    original = provisioner.parts.receiving.receive

    async def receive(*arguments: Any) -> None:
        await original(*arguments)
        committed.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(provisioner.parts.receiving, "receive", receive)
    async with consuming(provisioner, amqp_url):
        await gateway.send(apply_command(new_id()))
        async with asyncio.timeout(10):
            await committed.wait()
    monkeypatch.setattr(provisioner.parts.receiving, "receive", original)
    async with consuming(provisioner, amqp_url):
        await received(provisioner, 2)
        await provisioner.wait_for_events("database.applied")
    assert len(await provisioner.events("database.applied")) == 1


async def test_a_drifted_object_is_put_right_at_once(provisioner: Provisioner) -> None:
    database_id = new_id()
    event = apply_command(database_id)
    await provisioner.handle(event)
    (applied,) = await provisioner.wait_for_events("database.applied")
    path = f"/apis/postgresql.cnpg.io/v1/namespaces/postern-acme/clusters/{applied.objects[0].name}"
    cluster = await provisioner.kube.request("GET", path)
    cluster["spec"]["instances"] = 7
    provisioner.kube.seed(cluster)
    drifted = ObjectDrifted(
        database_id=database_id,
        project_id=applied.project_id,
        project="acme",
        name="orders",
        object=ObjectReference(api_version="postgresql.cnpg.io/v1", kind="Cluster", name=applied.objects[0].name),
        who="kubectl-edit",
        what="spec.instances",
    )
    await provisioner.handle(as_event(drifted, database_id))

    async def repaired() -> bool:
        return bool((await provisioner.kube.request("GET", path))["spec"]["instances"] == 2)

    await eventually(repaired)
    assert len(await provisioner.events("database.applied")) == 1
