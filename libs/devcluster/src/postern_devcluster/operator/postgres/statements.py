"""The SQL that the operator runs as superuser over an instance's private socket; one short connection each time."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

from postern_common.errors import DependencyDownError
from postern_devcluster.operator.domain.settings import REPLICATION_ROLE, STANDBY_SENSITIVE

_CONNECT_SECONDS = 3.0
_STATEMENT_SECONDS = 30.0
_UNREACHABLE = (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError)


_SHRINKS = """
SELECT EXISTS (
  SELECT 1 FROM pg_settings s JOIN pg_file_settings f ON f.name = s.name
  WHERE s.pending_restart AND s.name = ANY ($1::text[])
    AND f.setting ~ '^[0-9]+$' AND f.setting::bigint < s.setting::bigint
)
"""


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a running server says of itself."""

    standby: bool
    started_at: datetime
    timeline: int
    system_id: str
    pending_restart: bool
    shrinks: bool


@contextlib.asynccontextmanager
async def superuser(socket_directory: Path, database: str = "postgres") -> AsyncIterator[asyncpg.Connection]:
    """Connect over the private socket. Raises DependencyDownError while the server takes no connections."""
    try:
        connection = await asyncpg.connect(
            host=str(socket_directory),
            port=5432,
            user="postgres",
            database=database,
            timeout=_CONNECT_SECONDS,
            command_timeout=_STATEMENT_SECONDS,
            statement_cache_size=0,
            password="",  # trusted socket: without it the client would look for a password file
            server_settings={"application_name": "postern-operator"},
        )
    except _UNREACHABLE as error:
        raise DependencyDownError("server_unreachable", type(error).__name__) from error
    try:
        yield connection
    except _UNREACHABLE as error:
        raise DependencyDownError("server_unreachable", type(error).__name__) from error
    finally:
        with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=_CONNECT_SECONDS)


async def read_state(connection: asyncpg.Connection) -> ServerState:
    """Read role, timeline, identity and whether parameters wait for a restart."""
    row = await connection.fetchrow(
        """
        SELECT pg_is_in_recovery() AS standby,
               pg_postmaster_start_time() AS started_at,
               (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
               (SELECT system_identifier FROM pg_control_system())::text AS system_id,
               EXISTS (SELECT 1 FROM pg_settings WHERE pending_restart) AS pending_restart
        """
    )
    shrinks = False
    if row is not None and row["pending_restart"]:
        shrinks = bool(await connection.fetchval(_SHRINKS, list(STANDBY_SENSITIVE)))
    assert row is not None, "an aggregate-free SELECT without FROM has one row"
    return ServerState(**dict(row), shrinks=shrinks)


async def streams_to(connection: asyncpg.Connection, standby: str, *, since: datetime) -> bool:
    """Whether a primary sends WAL to a standby that started at ``since``, by the clock that both share.

    The standby's own view calls itself streaming before its primary has agreed to, as without a replication slot.
    """
    found = await connection.fetchval(
        """
        SELECT EXISTS (
          SELECT 1 FROM pg_stat_replication
          WHERE application_name = $1 AND backend_start >= $2 AND state IN ('catchup', 'streaming')
        )
        """,
        standby,
        since,
    )
    return bool(found)


async def read_position(connection: asyncpg.Connection) -> int:
    """Return how far a standby got, in bytes of WAL."""
    value = await connection.fetchval(
        "SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'::pg_lsn"
    )
    return int(value or 0)


async def configuration_errors(connection: asyncpg.Connection, *, loaded: bool) -> list[str]:
    """Return the faults of postgresql.conf that would keep the server from starting.

    PostgreSQL says "could not be applied" of a bad value and of a good one that needs a restart alike; which it was
    shows only when the file was ``loaded``: then the good one is pending.
    """
    restartable = "s.pending_restart" if loaded else "s.context = 'postmaster'"
    rows = await connection.fetch(
        "SELECT f.name, f.error FROM pg_file_settings f LEFT JOIN pg_settings s USING (name)"  # noqa: S608 — constants
        f" WHERE f.error IS NOT NULL AND NOT coalesce({restartable}, false)"
    )
    return [f"{row['name']}: {row['error']}" for row in rows]


async def ensure_replication_role(connection: asyncpg.Connection, password: str) -> None:
    """Make the role that standbys stream as."""
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", REPLICATION_ROLE):
        await connection.execute(f"CREATE ROLE {REPLICATION_ROLE} LOGIN REPLICATION")
    await _set_password(connection, REPLICATION_ROLE, password)


async def ensure_application(connection: asyncpg.Connection, *, database: str, owner: str, password: str) -> None:
    """Make the owner role and its database; what exists stays as it is, apart from the password."""
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", owner):
        await connection.execute(f"CREATE ROLE {_identifier(owner)} LOGIN")
    await _set_password(connection, owner, password)
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
        await connection.execute(f"CREATE DATABASE {_identifier(database)} OWNER {_identifier(owner)}")


async def set_password(connection: asyncpg.Connection, role: str, password: str) -> None:
    """Change the password of a role that exists; a role that does not is left alone."""
    if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        await _set_password(connection, role, password)


async def ensure_slots(connection: asyncpg.Connection, wanted: Collection[str], known: Iterable[str]) -> None:
    """Create the replication slots of the standbys and drop those of instances that are gone."""
    existing = {
        row["slot_name"]: row["active"]
        for row in await connection.fetch(
            "SELECT slot_name, active FROM pg_replication_slots WHERE slot_type = 'physical'"
        )
    }
    for slot in sorted(set(wanted) - existing.keys()):
        await connection.execute("SELECT pg_create_physical_replication_slot($1, true)", slot)
    for slot in sorted(set(known) - set(wanted)):
        if existing.get(slot) is False:
            await connection.execute("SELECT pg_drop_replication_slot($1)", slot)


async def promote(connection: asyncpg.Connection, *, seconds: int) -> bool:
    """Promote a standby and wait; the checkpoint makes its new timeline visible to pg_rewind."""
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        promoted = bool(await connection.fetchval("SELECT pg_promote(true, $1)", seconds))
        if not promoted:
            return False
    await connection.execute("CHECKPOINT")
    return True


async def _set_password(connection: asyncpg.Connection, role: str, password: str) -> None:
    """Set a password without writing it to the server's log, whatever log_statement says."""
    # ALTER ROLE takes no parameters: the literal is quoted by the server itself.
    literal = await connection.fetchval("SELECT quote_literal($1::text)", password)
    await connection.execute("SET log_statement = 'none'; SET log_min_duration_statement = -1")
    await connection.execute(f"ALTER ROLE {_identifier(role)} PASSWORD {literal}")


def random_password() -> str:
    """Return a password of 48 URL-safe characters."""
    return secrets.token_urlsafe(36)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
