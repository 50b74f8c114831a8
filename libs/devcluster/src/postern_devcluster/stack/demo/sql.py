"""Uses a database as an application would: with the credentials and addresses that the API gave, nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from postern_devcluster.stack.errors import StackError

CONNECT_SECONDS = 5.0
CATCH_UP_SECONDS = 10.0
ROWS = ("three coffees", "a bag of beans", "one grinder")


def choose_endpoint(connection: dict[str, Any], role: str) -> tuple[str, int]:
    """Return host and port of the endpoint for ``role``; one that is reachable from outside the cluster first."""
    matching = [endpoint for endpoint in connection["endpoints"] if endpoint["role"] == role]
    if not matching:
        raise StackError(
            "no_endpoint", f"the API gave no address for {role}", next_step="see the provisioner's log: make logs"
        )
    best = min(matching, key=lambda endpoint: endpoint["scope"] != "external")
    return str(best["host"]), int(best["port"])


@asynccontextmanager
async def connected(credentials: dict[str, Any], host: str, port: int) -> AsyncIterator[asyncpg.Connection]:
    """Connect with TLS, as ``sslmode=require`` does."""
    try:
        connection = await asyncpg.connect(
            host=host,
            port=port,
            user=credentials["username"],
            password=credentials["password"],
            database=credentials["dbname"],
            ssl="require",
            timeout=CONNECT_SECONDS,
            command_timeout=CONNECT_SECONDS,
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise StackError(
            "database_unreachable",
            f"no connection to the database at {host}:{port} ({type(error).__name__}: {error})",
            next_step="with an own cluster its addresses must be reachable from here: make up KUBECONFIG=…"
            " POSTERN_ADDRESS_MODE=cluster-ip (or load-balancer); else see make logs",
        ) from error
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


async def write(connection: asyncpg.Connection) -> int:
    """Create the table where missing and insert rows; return how many there are now."""
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " item text NOT NULL, placed_at timestamptz NOT NULL DEFAULT now())"
    )
    await connection.executemany("INSERT INTO orders (item) VALUES ($1)", [(item,) for item in ROWS])
    return int(await connection.fetchval("SELECT count(*) FROM orders"))


async def read_replica(connection: asyncpg.Connection, expected: int) -> int:
    """Return the number of rows on a replica, once it has what was just written (10 s at most)."""
    end = time.monotonic() + CATCH_UP_SECONDS
    while True:
        exists = await connection.fetchval("SELECT to_regclass('orders') IS NOT NULL")
        rows = int(await connection.fetchval("SELECT count(*) FROM orders")) if exists else 0
        if rows >= expected or time.monotonic() > end:
            break
        await asyncio.sleep(0.05)
    if not await connection.fetchval("SELECT pg_is_in_recovery()"):
        raise StackError("not_a_replica", "the replicas' address led to a primary", next_step="make logs")
    if rows < expected:
        raise StackError(
            "replica_behind",
            f"the replica shows {rows} of {expected} rows after {CATCH_UP_SECONDS:.0f} s",
            next_step="see whether it streams: make status, make logs",
        )
    return rows
