"""The database engine with the deadlines of design/reliability.md, and a pool that heals without a restart.

Healing: a server that goes away closes its sockets, and asyncpg notices without being asked. The pool looks at that
flag at every checkout (no round trip, unlike a pre-ping) and opens new connections instead of handing out dead ones.
"""

from typing import Final

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, PoolProxiedConnection

CONNECT_SECONDS: Final = 5.0
COMMAND_SECONDS: Final = 5.0
POOL_WAIT_SECONDS: Final = 3.0
SERVER_SETTINGS: Final = {
    # the server gives up before the client does
    "lock_timeout": "2s",
    "statement_timeout": "4s",
    "idle_in_transaction_session_timeout": "15s",
    "jit": "off",
    "timezone": "UTC",
}


def create_engine(url: str, *, application_name: str, pool_size: int = 10) -> AsyncEngine:
    """An engine for ``url`` (libpq form, ``postgresql://…``). Connects at first use; raw SQL gets JSON as text."""

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            server_settings={**SERVER_SETTINGS, "application_name": application_name},
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_recycle=1800,
        pool_use_lifo=True,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine.pool, "checkout", _refuse_closed)
    return engine


def create_admin_engine(url: str, *, application_name: str) -> AsyncEngine:
    """An engine for deployment work (migrations, ``postern-database``): no pool, long statements, short lock waits."""

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=600.0,
            server_settings={"lock_timeout": "5s", "timezone": "UTC", "application_name": application_name},
        )

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool, hide_parameters=True)


def _refuse_closed(connection: DBAPIConnection, _: ConnectionPoolEntry, __: PoolProxiedConnection) -> None:
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError("the server closed this connection")


async def discard(connection: AsyncConnection) -> None:
    """Drop a connection whose state is unknown, at once: a polite close would wait for a server that is silent."""
    if connection.closed or connection.invalidated:
        return
    raw = await connection.get_raw_connection()
    if raw.driver_connection is not None:
        raw.driver_connection.terminate()
    await connection.invalidate()
