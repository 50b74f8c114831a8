"""The readiness checks that every service has: broker, database and topology."""

import time
from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.messaging.connection import BrokerConnection
from postern_common.messaging.topology import check_topology
from postern_common.persistence.installation import check_database
from postern_common.runtime.health import Health

TOPOLOGY_SECONDS: Final = 15.0
"""A good answer holds so long: the check costs a round trip per queue."""


def add_standard_checks(
    health: Health, *, engine: AsyncEngine, connections: Sequence[BrokerConnection], queues: Collection[str] = ()
) -> None:
    """Add the checks ``database``, ``broker`` and ``topology`` (the exchanges and this service's own ``queues``)."""
    good_until = 0.0

    async def broker() -> None:
        for connection in connections:
            await connection.check()

    async def topology() -> None:
        nonlocal good_until
        if time.monotonic() < good_until:
            return
        await check_topology(connections[0], engine, queues=queues)
        good_until = time.monotonic() + TOPOLOGY_SECONDS

    async def database() -> None:
        await check_database(engine)

    health.add("database", database)
    health.add("broker", broker)
    health.add("topology", topology)
