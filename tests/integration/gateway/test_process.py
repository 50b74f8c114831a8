"""The gateway's own process parts on a real broker: relay, projection, readiness, and a server that is really there."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from tests.integration.gateway.conftest import ADMINISTRATOR, applied, event_of, received, seen
from tests.support.polling import eventually

from postern_common.contracts.broker import AUDIT_LEDGER, COMMANDS_EXCHANGE, PROVISIONER_COMMANDS
from postern_common.contracts.cloudevent import CloudEvent, encode
from postern_common.contracts.outgoing import OutgoingMessage
from postern_common.contracts.registry import BY_TYPE
from postern_common.messaging import BrokerConnection, Consumer, Publisher
from postern_common.runtime import TaskOwner
from postern_gateway.bootstrap import build
from postern_gateway.settings import GatewaySettings

DATABASES = "/v1/projects/acme/databases"


class _NoDeadLetters:
    async def record(self, **found: str) -> None:
        pytest.fail(f"dead letter: {found}")


class World:
    """What the other services would see and say."""

    def __init__(self, client: httpx.AsyncClient, publisher: Publisher) -> None:
        self.client = client
        self._publisher = publisher
        self.commands: list[CloudEvent] = []
        self.ledger: list[CloudEvent] = []

    async def note_command(self, event: CloudEvent) -> None:
        self.commands.append(event)

    async def note_entry(self, event: CloudEvent) -> None:
        self.ledger.append(event)

    async def say(self, payload: Any, source: str) -> None:
        event = event_of(payload, source)
        kind = BY_TYPE[event.type]
        await self._publisher.publish(
            OutgoingMessage(kind.exchange, kind.routing_key, encode(event), event.id, event.type)
        )


@asynccontextmanager
async def running(settings: GatewaySettings) -> AsyncIterator[World]:
    """The gateway's service on a free port, and listeners on the queues of provisioner and audit."""
    service = await build(settings)
    owner = TaskOwner()
    for name, task in service.tasks:
        owner.spawn(task(), name=name)  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(service.app, port=0, lifespan="off", log_config=None))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = owner.spawn(server.serve(), name="http")
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    other = BrokerConnection(settings.amqp_url.get_secret_value(), name="others")
    owner.spawn(other.run(), name="others")
    headers = {"Authorization": f"Bearer {ADMINISTRATOR}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
        world = World(client, Publisher(other))
        for queue, handler in ((PROVISIONER_COMMANDS, world.note_command), (AUDIT_LEDGER, world.note_entry)):
            consumer = Consumer(connection=other, queue=queue, handler=handler, dead_letters=_NoDeadLetters())
            owner.spawn(consumer.run(), name=queue)

        async def is_ready() -> bool:
            return (await client.get("/readyz")).status_code == 200

        await eventually(is_ready, timeout=15)
        yield world
    server.should_exit = True
    owner.expect_exits()
    async with asyncio.timeout(10):
        await serving
    for drain in service.drain:
        await drain()
    await owner.close(5.0)
    await service.close()


@pytest.fixture
async def world(settings: GatewaySettings, amqp_url: str) -> AsyncIterator[World]:
    from pydantic import SecretStr  # noqa: PLC0415

    async with running(settings.model_copy(update={"amqp_url": SecretStr(amqp_url)})) as world:
        assert (await world.client.post("/v1/projects", json={"name": "acme"})).status_code == 201
        yield world


@pytest.mark.timeout(60)
async def test_a_create_travels_to_the_provisioner_and_its_events_travel_back(world: World) -> None:
    response = await world.client.post(DATABASES, json={"name": "orders", "plan": "dev-1"})
    assert response.status_code == 202
    database = response.json()
    await eventually(lambda: len(world.commands) == 1)
    await eventually(lambda: len(world.ledger) == 3)  # create project, the command's copy, create database
    assert [e.type.split(".")[2] for e in world.ledger].count("command") == 1
    assert world.commands[0].id in {e.id for e in world.ledger}
    operation = f"/v1/projects/acme/operations/{database['operation']['id']}"

    async def is_published() -> bool:
        phases = (await world.client.get(operation)).json()["phases"]
        return [p["name"] for p in phases] == ["accepted", "published"]

    await eventually(is_published)
    waiting = asyncio.gather(world.client.get(operation, headers={"Prefer": "wait=20"}))
    await world.say(received(database), "/postern/provisioner")
    await world.say(applied(database), "/postern/provisioner")
    await world.say(seen(database, 1, "ready", primary="orders-1"), "/postern/watcher")
    [ended] = await waiting
    assert ended.json()["status"] == "succeeded"
    assert (await world.client.get(f"{DATABASES}/orders")).json()["state"] == "ready"
    assert COMMANDS_EXCHANGE == "postern.commands"


@pytest.mark.timeout(60)
async def test_an_oversized_body_is_answered_before_the_connection_closes(world: World) -> None:
    async def body(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 65536):
            yield b" " * 65536

    for size in (512 * 1024, 1024 * 1024):
        response = await world.client.post(DATABASES, content=body(size), headers={"Content-Type": "application/json"})
        assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")
    document = json.loads((await world.client.get("/openapi.json")).content)
    assert document["openapi"].startswith("3.1")
