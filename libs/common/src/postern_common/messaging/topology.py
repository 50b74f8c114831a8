"""Deploys and checks the broker's topology. One deployer declares it, services only use it (reliability rule 8)."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity, ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.contracts.broker import TOPOLOGY, TOPOLOGY_VERSION, TopologySpec
from postern_common.errors import PermanentError, TransientError
from postern_common.messaging.connection import BrokerConnection
from postern_common.messaging.errors import AMQP_ERRORS, BrokerDownError
from postern_common.persistence.installation import read_topology_version, write_topology_version
from postern_common.runtime.tasks import TaskOwner

STEP_SECONDS: Final = 5.0
READY_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 3.0
_DEPLOY: Final = "run `postern-topology deploy`"


async def deploy(url: str, spec: TopologySpec = TOPOLOGY) -> None:
    """Declare everything on the broker at ``url``; idempotent.

    Raises ``PermanentError("topology_differs")`` when something exists with other arguments, ``BrokerDownError``.
    """
    async with connected(url, name="postern-topology") as connection:
        await declare_topology(connection, spec)


async def deploy_topology(connection: BrokerConnection, engine: AsyncEngine, spec: TopologySpec = TOPOLOGY) -> None:
    """Declare everything and store the version that services compare; ``engine`` is an administrator's."""
    await declare_topology(connection, spec)
    await write_topology_version(engine, TOPOLOGY_VERSION)


async def declare_topology(connection: BrokerConnection, spec: TopologySpec = TOPOLOGY) -> None:
    """The broker's half of ``deploy_topology``; raises like ``deploy``."""
    async with _channel(connection) as channel:
        for exchange in spec.exchanges:
            async with _step(exchange):
                await channel.declare_exchange(exchange, ExchangeType.TOPIC, durable=True)
        for queue in spec.queues:
            async with _step(queue.name):
                declared = await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
                for exchange, key in queue.bindings:
                    await declared.bind(exchange, key)


async def check_topology(
    connection: BrokerConnection, engine: AsyncEngine, *, queues: Collection[str] | None = None
) -> None:
    """Whether exchanges and ``queues`` (default: all) are there, and of the version that this code was written for.

    A passive declare ignores arguments, so these are covered by the version in the database (semantics 30).
    Raises ``TransientError("topology_missing")`` or ``("topology_outdated")``, ``DependencyDownError``.
    """
    names = {queue.name for queue in TOPOLOGY.queues} if queues is None else set(queues)
    async with _channel(connection) as channel:
        for exchange in TOPOLOGY.exchanges:
            async with _step(exchange):
                await channel.get_exchange(exchange, ensure=True)
        for queue in sorted(names):
            async with _step(queue):
                await channel.get_queue(queue, ensure=True)
    version = await read_topology_version(engine)
    if version is None:
        raise TransientError("topology_missing", f"the topology was never deployed for this database: {_DEPLOY}")
    if version != TOPOLOGY_VERSION:
        raise TransientError(
            "topology_outdated", f"the topology has version {version}, this service needs {TOPOLOGY_VERSION}: {_DEPLOY}"
        )


@asynccontextmanager
async def connected(url: str, *, name: str) -> AsyncIterator[BrokerConnection]:
    """A supervised connection for one piece of deployment work. Raises ``BrokerDownError`` when there is no broker."""
    connection = BrokerConnection(url, name=name)
    owner = TaskOwner()
    owner.spawn(connection.run(), name=name)
    try:
        await connection.wait_ready(READY_SECONDS)
        yield connection
    finally:
        await owner.close(CLOSE_SECONDS)


@asynccontextmanager
async def _channel(connection: BrokerConnection) -> AsyncIterator[AbstractChannel]:
    await connection.wait_ready(READY_SECONDS)
    channel = await connection.open_channel()
    try:
        yield channel
    finally:
        if not channel.is_closed:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await channel.close()
            except AMQP_ERRORS:
                connection.doubt("channel not closed")


@asynccontextmanager
async def _step(name: str) -> AsyncIterator[None]:
    """One declaration, with the broker's refusal in plain words."""
    try:
        async with asyncio.timeout(STEP_SECONDS):
            yield
    except ChannelNotFoundEntity:
        raise TransientError("topology_missing", f"{name} is missing on the broker: {_DEPLOY}") from None
    except ChannelPreconditionFailed:
        raise PermanentError(
            "topology_differs",
            f"{name} exists with other arguments: delete it when it is empty, or give Postern its own virtual host",
        ) from None
    except (ChannelAccessRefused, ChannelLockedResource):
        raise PermanentError("topology_refused", f"the broker's user may not use {name}") from None
    except (ChannelClosed, *AMQP_ERRORS) as error:
        raise BrokerDownError(f"{name} could not be declared ({type(error).__name__})") from error
