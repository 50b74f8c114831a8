"""A service's schema with nothing but the messaging tables, made as an installation makes it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.contracts.cloudevent import CloudEvent
from postern_common.persistence import Outbox, UnitOfWorkFactory, Wakeup, create_engine
from postern_common.persistence.migrations import migrate
from postern_common.persistence.prepare import SERVICES, prepare_database

PASSWORD = "only-for-tests"
SCHEMA = "gateway"
MIGRATIONS = "tests.integration.common.sample_migrations"


def with_database(url: str, name: str, *, user: str | None = None) -> str:
    """``url`` for another database, and for another user."""
    parts = urlsplit(url)
    netloc = parts.netloc if user is None else f"{user}:{PASSWORD}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(path=f"/{name}", netloc=netloc))


@pytest.fixture
async def empty_database(postgres_server: str) -> AsyncIterator[str]:
    """Administrator's URL of a new, empty database; it and its roles are gone afterwards."""
    name = f"c_{uuid.uuid4().hex[:16]}"
    admin = await asyncpg.connect(postgres_server)
    await admin.execute(f'CREATE DATABASE "{name}"')
    yield with_database(postgres_server, name)
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    for service in SERVICES:
        await admin.execute(f'DROP ROLE IF EXISTS "{name}_{service}"')
    await admin.close()


@pytest.fixture
async def admin_url(empty_database: str) -> str:
    """Administrator's URL of a prepared database whose schema ``gateway`` has the messaging tables."""
    await prepare_database(empty_database, dict.fromkeys(SERVICES, PASSWORD))
    await migrate(url=empty_database, schema=SCHEMA, package=MIGRATIONS)
    return empty_database


@pytest.fixture
def service_url(admin_url: str) -> str:
    """URL of the service's own role."""
    name = urlsplit(admin_url).path[1:]
    return with_database(admin_url, name, user=f"{name}_{SCHEMA}")


@pytest.fixture
async def engine(service_url: str) -> AsyncIterator[AsyncEngine]:
    """The service's engine."""
    made = create_engine(service_url, application_name="test")
    yield made
    await made.dispose()


@dataclass
class Writer:
    """Writes messages into the outbox as a service does."""

    engine: AsyncEngine
    wakeup: Wakeup
    units: UnitOfWorkFactory

    async def write(self, *events: CloudEvent, exchange: str | None = None) -> None:
        """One transaction for all."""
        async with self.units() as unit:
            for event in events:
                unit.publish(event, exchange=exchange)

    async def rows(self, what: str) -> list[tuple[object, ...]]:
        """``SELECT <what> FROM outbox`` in order."""
        async with asyncio.timeout(5.0), self.engine.connect() as connection:
            rows = await connection.execute(text(f"SELECT {what} FROM {SCHEMA}.outbox ORDER BY position"))
            return [tuple(row) for row in rows]

    async def unsent(self) -> int:
        """Rows that wait."""
        return sum(1 for (sent,) in await self.rows("sent_at") if sent is None)


@pytest.fixture
def writer(engine: AsyncEngine) -> Writer:
    """A service that writes."""
    wakeup = Wakeup()
    return Writer(engine, wakeup, UnitOfWorkFactory(engine, Outbox(SCHEMA, wakeup)))
