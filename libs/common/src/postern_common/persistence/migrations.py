"""Runs a service's migrations. Two migrators never race: a session's advisory lock lets one after the other in."""

import asyncio
import importlib.resources
import time
import zlib
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from postern_common.errors import TransientError
from postern_common.persistence.engine import create_admin_engine
from postern_common.persistence.failures import translated_errors
from postern_common.persistence.tables import grant_sql, messaging_tables_sql

__all__ = ["grant_sql", "messaging_tables_sql", "run_migrations"]

LOCK_WAIT_SECONDS: Final = 60.0
_LOCK_POLL_SECONDS: Final = 0.1


def run_migrations(*, url: str, schema: str, package: str) -> None:
    """Bring ``schema`` to the newest version found in ``<package>.versions``; ``url`` is an administrator's.

    Each migration is a transaction of its own, with a lock timeout of 5 s: it fails rather than stop the old version.
    Raises ``TransientError`` when another migrator or a lock is in the way, ``DependencyDownError`` when there is no
    database.
    """
    asyncio.run(migrate(url=url, schema=schema, package=package))


async def migrate(*, url: str, schema: str, package: str) -> None:
    """``run_migrations`` for callers inside a running event loop."""
    engine = create_admin_engine(url, application_name=f"postern-{schema}-migrate")
    try:
        with translated_errors():
            async with engine.connect() as lock_holder:
                await lock_deployment(lock_holder, f"postern-migrate-{schema}")
                async with engine.connect() as connection:
                    await connection.run_sync(_upgrade, schema, package)
                    await connection.commit()
    finally:
        await engine.dispose()


async def lock_deployment(connection: AsyncConnection, name: str) -> None:
    """Take the session's advisory lock ``name``; it ends with the connection.

    Raises ``TransientError("deployment_locked")`` after a minute.
    """
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    key = zlib.crc32(name.encode())
    while not await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
        if time.monotonic() > deadline:
            raise TransientError("deployment_locked", f"another process has held the lock {name} for a minute")
        await asyncio.sleep(_LOCK_POLL_SECONDS)
    await connection.commit()


def _upgrade(connection: Connection, schema: str, package: str) -> None:
    with importlib.resources.as_file(importlib.resources.files(package) / "versions") as versions:
        config = Config()
        config.set_main_option("script_location", _escape(Path(__file__).with_name("alembic")))
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", _escape(versions))
        config.attributes["connection"] = connection
        config.attributes["schema"] = schema
        command.upgrade(config, "head")


def _escape(path: Path) -> str:
    """Alembic's configuration interpolates percent signs."""
    return str(path).replace("%", "%%")
