"""The real application on a real database; the two internal services are answered by a fake that each test can bend."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.contracts.cloudevent import CloudEvent, build_event, decode
from postern_common.contracts.events import (
    DatabaseApplied,
    DatabaseApplyFailed,
    DatabaseReceived,
    DatabaseRemoved,
    DatabaseStateChanged,
    Observation,
)
from postern_common.contracts.payload import Payload
from postern_common.persistence import create_engine
from postern_common.runtime import Health, TaskOwner
from postern_gateway.bootstrap import Parts, build_parts
from postern_gateway.routes.app import build_app
from postern_gateway.settings import GatewaySettings

ADMINISTRATOR = "administrator-token-of-the-tests"
CREDENTIALS = {
    "username": "app",
    "password": "p@ss/word?",
    "dbname": "app",
    "host": "127.0.0.1",
    "port": 5432,
    "sslmode": "require",
}
CONNECTION = {
    "endpoints": [{"role": "primary", "scope": "cluster", "host": "127.0.0.1", "port": 5432}],
    "dbname": "app",
    "sslmode": "require",
    "ca_certificate": "PEM",
}


@dataclass
class Internal:
    """Answers of provisioner and audit; ``requests`` are what the gateway asked."""

    answer: Callable[[httpx.Request], httpx.Response]
    requests: list[httpx.Request] = field(default_factory=list)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.handle), base_url="http://internal")


class Chunks(httpx.AsyncByteStream):
    """An answer that comes in pieces and ends."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


def answer_well(request: httpx.Request) -> httpx.Response:
    path = request.url.path
    if path.endswith("/credentials"):
        return httpx.Response(200, json=CREDENTIALS)
    if path.endswith("/connection"):
        return httpx.Response(200, json=CONNECTION)
    if path.endswith("/stream"):
        return httpx.Response(200, stream=Chunks(b"id: 1\nevent: x\n", b"data: {}\n\n", b": ping\n\n"))
    return httpx.Response(200, json={"items": [], "next_cursor": None})


@dataclass
class Gateway:
    """The application with the ways to look behind it."""

    client: httpx.AsyncClient
    parts: Parts
    engine: AsyncEngine
    internal: Internal

    async def rows(self, sql: str, **values: Any) -> list[Any]:
        async with self.engine.connect() as connection:
            return list((await connection.execute(text(sql), values)).all())

    async def scalar(self, sql: str, **values: Any) -> Any:
        return (await self.rows(sql, **values))[0][0]

    async def outbox(self) -> list[tuple[str, CloudEvent]]:
        rows = await self.rows("SELECT exchange, body FROM gateway.outbox ORDER BY position")
        return [(row.exchange, decode(row.body)) for row in rows]

    async def actions(self) -> list[dict[str, Any]]:
        return [json.loads(bytes(e.data)) for _, e in await self.outbox() if e.type == "dev.postern.api.action.v1"]

    async def counts(self) -> tuple[int, int, int]:
        """Databases, operations, commands."""
        commands = [e for exchange, e in await self.outbox() if exchange == "postern.commands"]
        databases = await self.scalar("SELECT count(*) FROM gateway.databases")
        return databases, await self.scalar("SELECT count(*) FROM gateway.operations"), len(commands)

    async def create(self, name: str = "orders", **members: Any) -> dict[str, Any]:
        response = await self.client.post(
            "/v1/projects/acme/databases", json={"name": name, "plan": "startup-1", **members}
        )
        assert response.status_code == 202, response.text
        return response.json()

    async def get(self, name: str = "orders") -> dict[str, Any]:
        response = await self.client.get(f"/v1/projects/acme/databases/{name}")
        assert response.status_code == 200, response.text
        return response.json()

    async def operation(self, operation_id: str) -> dict[str, Any]:
        response = await self.client.get(f"/v1/projects/acme/operations/{operation_id}")
        assert response.status_code == 200, response.text
        return response.json()

    async def key(self, role: str, *permissions: str, project: str = "acme") -> str:
        response = await self.client.post(
            f"/v1/projects/{project}/api-keys", json={"name": role, "role": role, "permissions": list(permissions)}
        )
        assert response.status_code == 201, response.text
        return response.json()["key"]

    async def tell(self, payload: Payload, source: str = "/postern/watcher") -> CloudEvent:
        """Apply an event as the consumer would."""
        event = event_of(payload, source)
        await self.parts.projection.apply(event)
        return event

    async def make_ready(self, database: dict[str, Any], revision: int = 1, **observed: Any) -> None:
        await self.tell(applied(database))
        await self.tell(seen(database, revision, "ready", **observed))


def event_of(payload: Any, source: str = "/postern/watcher") -> CloudEvent:
    return build_event(
        payload, source=source, subject=str(payload.database_id), project=payload.project, project_id=payload.project_id
    )


def _identity(database: dict[str, Any]) -> dict[str, Any]:
    return {
        "database_id": database["id"],
        "project_id": database["id"],
        "project": database["project"],
        "name": database["name"],
    }


def _progress(database: dict[str, Any]) -> dict[str, Any]:
    operation = database["operation"]
    return _identity(database) | {"generation": operation["generation"], "operation_id": operation["id"]}


def received(database: dict[str, Any]) -> DatabaseReceived:
    return DatabaseReceived(**_progress(database))


def applied(database: dict[str, Any]) -> DatabaseApplied:
    return DatabaseApplied(**_progress(database))


def apply_failed(database: dict[str, Any], code: str, *, retryable: bool) -> DatabaseApplyFailed:
    return DatabaseApplyFailed(**_progress(database), code=code, detail="in words", retryable=retryable)


def removed(database: dict[str, Any], *, existed: bool) -> DatabaseRemoved:
    return DatabaseRemoved(**_progress(database), existed=existed)


def seen(
    database: dict[str, Any],
    revision: int,
    state: str,
    *,
    generation: int | None = None,
    observed_generation: int | None = None,
    reason: str = "healthy",
    **observed: Any,
) -> DatabaseStateChanged:
    now = database["generation"]
    return DatabaseStateChanged(
        **_identity(database),
        revision=revision,
        generation=now if generation is None else generation,
        observed_generation=now if observed_generation is None else observed_generation,
        from_state=None,
        to_state=state,
        reason=reason,
        message="as seen",
        observed=Observation(**observed),
    )


@pytest.fixture
def settings(schema_urls: dict[str, str]) -> GatewaySettings:
    return GatewaySettings(
        database_url=schema_urls["gateway"],
        amqp_url="amqp://127.0.0.1:1/",
        port=0,
        service_token_key="k" * 32,
        bootstrap_token=ADMINISTRATOR,
        provisioner_url="http://127.0.0.1:1",
        audit_url="http://127.0.0.1:1",
    )


@pytest.fixture
async def gateway(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """Project ``acme`` exists; the client is the administrator."""
    engine = create_engine(settings.database_url.get_secret_value(), application_name="test-gateway")
    internal = Internal(answer_well)
    provisioner, audit = internal.client(), internal.client()
    parts = build_parts(settings, engine, provisioner=provisioner, audit=audit)
    app = build_app(parts.services, Health(), docs=True)
    owner = TaskOwner()
    owner.spawn(parts.services.waits.run(), name="waits")
    transport = httpx.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {ADMINISTRATOR}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://postern", headers=headers) as client:
        response = await client.post("/v1/projects", json={"name": "acme"})
        assert response.status_code == 201, response.text
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM gateway.outbox"))
        yield Gateway(client, parts, engine, internal)
    await owner.close(5.0)
    await provisioner.aclose()
    await audit.aclose()
    await engine.dispose()
