"""What all services of one Postern share in the database: the installation's id and the version of the topology."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from postern_common.errors import DependencyDownError
from postern_common.persistence.transactions import open_transaction

_PREPARE = "run `postern-database prepare` with an administrator's POSTERN_DATABASE_URL"


async def _require_table(connection: AsyncConnection, table: str) -> None:
    if await connection.scalar(text("SELECT to_regclass(:name)"), {"name": table}) is None:
        raise DependencyDownError("database_not_prepared", f"table {table} is missing: {_PREPARE}")


async def read_installation(engine: AsyncEngine) -> str:
    """The installation's id, 8 hex digits, made once per database (semantics 3).

    Raises ``DependencyDownError("database_not_prepared")`` when the database was not prepared.
    """
    async with open_transaction(engine) as connection:
        await _require_table(connection, "postern.installation")
        value: str | None = await connection.scalar(text("SELECT id FROM postern.installation"))
    if value is None:
        raise DependencyDownError("database_not_prepared", f"the database has no installation id: {_PREPARE}")
    return value


async def read_topology_version(engine: AsyncEngine) -> str | None:
    """The topology version that was deployed last, None when none was."""
    async with open_transaction(engine) as connection:
        await _require_table(connection, "postern.topology")
        version: str | None = await connection.scalar(text("SELECT version FROM postern.topology"))
        return version


async def write_topology_version(engine: AsyncEngine, version: str) -> None:
    """Store the version of the topology that was just deployed; needs an administrator's engine."""
    async with open_transaction(engine) as connection:
        await _require_table(connection, "postern.topology")
        await connection.execute(
            text(
                "INSERT INTO postern.topology (single, version, deployed_at) VALUES (true, :version, clock_timestamp())"
                " ON CONFLICT (single) DO UPDATE SET version = excluded.version, deployed_at = excluded.deployed_at"
            ),
            {"version": version},
        )


async def check_database(engine: AsyncEngine) -> None:
    """Readiness check: the database answers. Raises ``DependencyDownError`` when it does not."""
    async with open_transaction(engine, seconds=2.0) as connection:
        await connection.execute(text("SELECT 1"))
