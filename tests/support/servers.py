"""Starts and ends the session's servers.

The controller (or the only process) names their directory and ends them. They start after collection, so that no test's
timeout pays for it, and only when a collected test asks for one.
"""

import os
import tempfile
from pathlib import Path

import pytest
from tests.support.sharing import SERVERS, SharedServers
from tests.support.template import prepare_template

POSTGRES_FIXTURES = {"postgres_server", "database_url", "schema_urls"}
RABBITMQ_FIXTURES = {"rabbitmq_server", "vhost_url", "amqp_url"}


def pytest_configure(config: pytest.Config) -> None:
    """Name the session's directory: short, because socket paths are; made only when a server is started."""
    worker = getattr(config, "workerinput", None)
    place = worker["postern_servers"] if worker else Path(tempfile.gettempdir()) / f"postern-tests-{os.getpid()}"
    config.stash[SERVERS] = SharedServers(Path(place))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell an xdist worker the session's directory."""
    node.workerinput["postern_servers"] = str(node.config.stash[SERVERS].directory)  # type: ignore[attr-defined]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers that the collected tests ask for."""
    asked = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if session.config.option.collectonly or not asked & (POSTGRES_FIXTURES | RABBITMQ_FIXTURES):
        return
    session.config.stash[SERVERS].start(
        postgres=bool(asked & POSTGRES_FIXTURES), rabbitmq=bool(asked & RABBITMQ_FIXTURES), prepare=prepare_template
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers when the session ends (the controller does, after its workers)."""
    if not hasattr(config, "workerinput") and config.stash[SERVERS].directory.exists():
        config.stash[SERVERS].end()


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> SharedServers:
    """The session's servers."""
    return pytestconfig.stash[SERVERS]
