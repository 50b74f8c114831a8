"""The provisioner on a real database; Kubernetes is the fake that passes the contract suite."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.contracts.cloudevent import CloudEvent, decode
from postern_common.contracts.registry import BY_TYPE
from postern_common.persistence import create_engine
from postern_common.testing.kube import FakeKube
from postern_provisioner.bootstrap import Parts, build_parts
from postern_provisioner.domain.addresses import AddressMode
from postern_provisioner.domain.images import ImageChoice
from postern_provisioner.handlers import command_handler, signal_handler
from postern_provisioner.manifests.database import ManifestOptions

OPTIONS = ManifestOptions(installation="0a1b2c3d", images=ImageChoice(), address_mode=AddressMode.DEVELOPMENT)


async def eventually(condition: Callable[[], Awaitable[bool]], *, seconds: float = 15.0, what: str = "") -> None:
    """Poll until ``condition`` holds; fails the test with ``what`` when it does not."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - the condition lies in another process or a database
                await asyncio.sleep(0.01)
            return
    pytest.fail(f"did not happen within {seconds} s: {what or condition.__name__}")


@dataclass
class Provisioner:
    """A running reconcile loop and what it has done so far."""

    parts: Parts
    kube: FakeKube
    engine: AsyncEngine

    async def handle(self, event: CloudEvent) -> None:
        """Deliver a message, as the consumer would."""
        handler = signal_handler if event.type.endswith("drifted.v1") else command_handler
        await handler(self.parts.receiving)(event)

    async def events(self, name: str | None = None) -> list[Any]:
        """Payloads of the outbox, in order; ``name`` is for example ``database.applied``."""
        async with self.engine.connect() as connection:
            rows = await connection.execute(text("SELECT body FROM provisioner.outbox ORDER BY position"))
            decoded = [decode(bytes(row.body)) for row in rows]
        return [
            event.payload(BY_TYPE[event.type].model)
            for event in decoded
            if name is None or BY_TYPE[event.type].routing_key == name
        ]

    async def wait_for_events(self, name: str, count: int = 1) -> list[Any]:
        """The payloads once there are ``count`` of them."""

        async def enough() -> bool:
            return len(await self.events(name)) >= count

        await eventually(enough, what=f"{count} x {name}")
        return await self.events(name)

    async def row(self, database_id: UUID) -> Any:
        """The target's row."""
        async with self.engine.connect() as connection:
            result = await connection.execute(
                text("SELECT * FROM provisioner.targets WHERE database_id = :id"), {"id": database_id}
            )
            return result.one()


@pytest.fixture
async def engine(schema_urls: dict[str, str]) -> AsyncIterator[AsyncEngine]:
    made = create_engine(schema_urls["provisioner"], application_name="test", pool_size=12)
    yield made
    await made.dispose()


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def idle(engine: AsyncEngine, kube: FakeKube) -> Provisioner:
    """A provisioner whose loop does not run."""
    parts = build_parts(engine=engine, kube=kube, options=OPTIONS, owner="test", namespace_prefix="postern-")
    return Provisioner(parts, kube, engine)


@pytest.fixture
async def provisioner(idle: Provisioner) -> AsyncIterator[Provisioner]:
    """A provisioner whose loop runs."""
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(idle.parts.reconciling.run())
        yield idle
        loop.cancel()
