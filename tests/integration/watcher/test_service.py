"""The whole watcher: composition root, database, broker, API server, its own HTTP port's routes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.watcher.conftest import Database, Outboxes
from tests.support.polling import eventually

from postern_common.contracts.broker import GATEWAY_PROJECTION
from postern_common.contracts.cloudevent import CloudEvent
from postern_common.contracts.events import DatabaseStateChanged
from postern_common.messaging import BrokerConnection, Consumer
from postern_common.persistence import DeadLetterStore
from postern_common.runtime import Service, TaskOwner
from postern_devcluster.apiserver.server import ApiServer
from postern_watcher.bootstrap import build
from postern_watcher.settings import WatcherSettings

pytestmark = pytest.mark.integration


@pytest.fixture
async def service(api_server: ApiServer, schema_urls: dict[str, str], amqp_url: str) -> AsyncIterator[Service]:
    """A running watcher."""
    assert api_server.kubeconfigs is not None
    settings = WatcherSettings(
        database_url=schema_urls["watcher"],
        amqp_url=amqp_url,
        port=0,
        service_token_key="k" * 32,
        KUBECONFIG=str(api_server.kubeconfigs.watcher),
    )
    service = await build(settings)
    owner = TaskOwner()
    for name, task in service.tasks:
        owner.spawn(_run(task), name=name)
    yield service
    await owner.close(5)
    await service.close()


async def _run(task: object) -> None:
    await task()  # type: ignore[operator]


async def _readiness(service: Service) -> httpx.Response:
    transport = httpx.ASGITransport(app=service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://watcher") as client:
        return await client.get("/readyz")


async def test_it_becomes_ready_and_its_events_reach_the_subscribers_in_order(
    service: Service, amqp_url: str, engine: AsyncEngine, database: Database
) -> None:
    received: list[tuple[float, CloudEvent]] = []

    async def note(event: CloudEvent) -> None:
        received.append((time.monotonic(), event))

    connection = BrokerConnection(amqp_url, name="subscriber")
    consumer = Consumer(
        connection=connection,
        queue=GATEWAY_PROJECTION,
        handler=note,
        dead_letters=DeadLetterStore(engine, "watcher"),
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(connection.run()), group.create_task(consumer.run())]

        async def is_ready() -> bool:
            response = await _readiness(service)
            return response.status_code == 200

        await eventually(is_ready, every=0.1)
        await database.apply(1)
        await database.make_ready()
        await eventually(lambda: len(received) >= 3)
        for task in tasks:
            task.cancel()
    told = [event.payload(DatabaseStateChanged) for _, event in received]
    assert [payload.revision for payload in told] == list(range(1, len(told) + 1))
    assert (told[0].to_state, told[-1].to_state) == ("provisioning", "ready")
    assert {event.source for _, event in received} == {"/postern/watcher"}


async def test_readiness_names_every_check(service: Service, outbox: Outboxes) -> None:
    async def is_ready() -> bool:
        return (await _readiness(service)).status_code == 200

    await eventually(is_ready, every=0.1)
    checks = json.loads((await _readiness(service)).text)["checks"]
    assert {check["name"] for check in checks} == {"database", "broker", "topology", "cluster"}


async def test_a_cluster_that_does_not_answer_is_said_in_words(service: Service, api_server: ApiServer) -> None:
    async def is_ready() -> bool:
        return (await _readiness(service)).status_code == 200

    await eventually(is_ready, every=0.1)
    await api_server.close()

    async def complains() -> bool:
        checks = json.loads((await _readiness(service)).text)["checks"]
        return any(c["name"] == "cluster" and "cannot be reached" in c.get("detail", "") for c in checks)

    await eventually(complains, every=0.1)
