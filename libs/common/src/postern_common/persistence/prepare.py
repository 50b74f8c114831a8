"""``postern-database prepare``: roles, schemas and the shared tables, made by an administrator; idempotent.

Every service has a schema and a role of its own, without rights on the others' (design/architecture.md).
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from postern_common.errors import PosternError
from postern_common.persistence.engine import create_admin_engine
from postern_common.persistence.failures import translated_errors
from postern_common.persistence.migrations import lock_deployment
from postern_common.settings import DatabaseSettings, load_settings

SERVICES: Final = ("gateway", "provisioner", "watcher", "audit")
_PASSWORD_VARIABLE: Final = "POSTERN_ROLE_PASSWORD_"  # noqa: S105

_SHARED_TABLES: Final = (
    "CREATE SCHEMA IF NOT EXISTS postern",
    """CREATE TABLE IF NOT EXISTS postern.installation (
        single boolean PRIMARY KEY DEFAULT true CHECK (single), id text NOT NULL)""",
    "INSERT INTO postern.installation (id) VALUES (substr(md5(gen_random_uuid()::text), 1, 8)) ON CONFLICT DO NOTHING",
    """CREATE TABLE IF NOT EXISTS postern.topology (
        single boolean PRIMARY KEY DEFAULT true CHECK (single),
        version text NOT NULL, deployed_at timestamptz NOT NULL)""",
    "REVOKE ALL ON SCHEMA public FROM PUBLIC",
)


async def prepare_database(url: str, passwords: Mapping[str, str]) -> None:
    """Make what is missing. ``passwords`` maps a service to its role's password; without one it is left as it is.

    Raises ``DependencyDownError`` or ``TransientError`` when the database does not let us; safe to run again.
    """
    engine = create_admin_engine(url, application_name="postern-database")
    try:
        with translated_errors():
            async with engine.connect() as connection:
                await lock_deployment(connection, "postern-database-prepare")
                for statement in _SHARED_TABLES:
                    await connection.execute(text(statement))
                for service in SERVICES:
                    await _prepare_service(connection, service, passwords.get(service))
                await connection.commit()
    finally:
        await engine.dispose()


async def _prepare_service(connection: AsyncConnection, service: str, password: str | None) -> None:
    role: str | None = await connection.scalar(
        text("SELECT current_database() || '_' || :service"), {"service": service}
    )
    exists = await connection.scalar(text("SELECT true FROM pg_roles WHERE rolname = :role"), {"role": role})
    values = {"role": role, "service": service, "password": password}
    if not exists:
        await _execute_formatted(connection, "CREATE ROLE %1$I LOGIN", values)
    if password is not None:
        await _execute_formatted(connection, "ALTER ROLE %1$I PASSWORD %3$L", values)
    for statement in (
        "GRANT CONNECT ON DATABASE %4$I TO %1$I",
        "CREATE SCHEMA IF NOT EXISTS %2$I",
        "GRANT USAGE ON SCHEMA %2$I TO %1$I",
        "GRANT USAGE ON SCHEMA postern TO %1$I",
        "GRANT SELECT ON postern.installation, postern.topology TO %1$I",
    ):
        await _execute_formatted(connection, statement, values)


async def _execute_formatted(connection: AsyncConnection, template: str, values: Mapping[str, str | None]) -> None:
    """Roles and passwords cannot be parameters of a statement: the server's own ``format`` quotes them."""
    statement = await connection.scalar(
        text(
            "SELECT format(CAST(:template AS text), CAST(:role AS text), CAST(:service AS text),"
            " CAST(:password AS text), current_database())"
        ),
        {"template": template, **values},
    )
    await connection.exec_driver_sql(str(statement))


def main() -> None:
    """Console script. Reads ``POSTERN_DATABASE_URL`` (an administrator's) and ``POSTERN_ROLE_PASSWORD_<SERVICE>``."""
    if sys.argv[1:] != ["prepare"]:
        sys.stderr.write("usage: postern-database prepare\n")
        raise SystemExit(2)
    settings = load_settings(DatabaseSettings)
    passwords = {
        service: value for service in SERVICES if (value := os.environ.get(f"{_PASSWORD_VARIABLE}{service.upper()}"))
    }
    try:
        asyncio.run(prepare_database(settings.database_url.get_secret_value(), passwords))
    except PosternError as error:
        sys.stderr.write(f"postern-database: {error.detail}\n")
        raise SystemExit(1) from None
    sys.stdout.write("database prepared\n")
