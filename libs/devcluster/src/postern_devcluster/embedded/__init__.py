"""Private servers of a bare machine: RabbitMQ and PostgreSQL as ordinary processes on loopback.

Separate from the stack because the test suite starts the same servers. Everything here is synchronous: it starts, looks
at and ends processes, and is called from command lines and fixtures (from an event loop: ``asyncio.to_thread``).
"""

from postern_devcluster.embedded.accounts import ServerAccount
from postern_devcluster.embedded.errors import EmbeddedServerError
from postern_devcluster.embedded.ports import choose_port, free_port
from postern_devcluster.embedded.postgres import PostgresServer
from postern_devcluster.embedded.processes import DetachedProcess, StopOutcome
from postern_devcluster.embedded.rabbit import RabbitServer

__all__ = [
    "DetachedProcess",
    "EmbeddedServerError",
    "PostgresServer",
    "RabbitServer",
    "ServerAccount",
    "StopOutcome",
    "choose_port",
    "free_port",
]
