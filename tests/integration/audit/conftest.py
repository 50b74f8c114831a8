"""Parts of the audit service on a real database, and events to feed them."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.audit.ledger import Ledger

from postern_common.persistence import create_engine


@pytest.fixture
async def engine(schema_urls: dict[str, str]) -> AsyncIterator[AsyncEngine]:
    """The service's own role on a fresh database."""
    engine = create_engine(schema_urls["audit"], application_name="audit-test", pool_size=5)
    yield engine
    await engine.dispose()


@pytest.fixture
async def admin(database_url: str) -> AsyncIterator[AsyncEngine]:
    """A superuser on the same database: the one who tampers."""
    engine = create_engine(database_url, application_name="audit-admin", pool_size=2)
    yield engine
    await engine.dispose()


@pytest.fixture
def ledger(engine: AsyncEngine) -> Ledger:
    """Writer and reader of the ledger."""
    return Ledger(engine)
