"""A fresh virtual host for each test: nothing that one test leaves in a queue reaches another."""

import uuid
from collections.abc import Iterator

import pytest
from tests.support.sharing import SERVERS

from postern_common.messaging.topology import deploy


@pytest.fixture(scope="session")
def rabbitmq_server(pytestconfig: pytest.Config) -> str:
    """URL of the default virtual host of a private node."""
    return pytestconfig.stash[SERVERS].rabbit.url


@pytest.fixture
def vhost_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """URL of a fresh, empty virtual host."""
    server = pytestconfig.stash[SERVERS].rabbit
    name = f"t-{uuid.uuid4().hex[:16]}"
    yield server.create_vhost(name)
    server.delete_vhost(name)


@pytest.fixture
async def amqp_url(vhost_url: str) -> str:
    """URL of a fresh virtual host with the whole topology declared."""
    await deploy(vhost_url)
    return vhost_url
