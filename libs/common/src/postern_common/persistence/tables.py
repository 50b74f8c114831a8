"""SQL that every service's migrations include: the tables of messaging, and grants to the service's role.

Text with the schema substituted: schema and table names are constants of ours, never input.
"""

import re
from collections.abc import Sequence
from typing import Final

from postern_common.persistence.outbox import SHARDS

_IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_]*")


def messaging_tables_sql(schema: str) -> list[str]:
    """Statements that make outbox, inbox, dead_letters, relay_leases and leases, with the service role's grants."""
    _require_identifier(schema)
    tables = ("outbox", "inbox", "dead_letters", "relay_leases", "leases")
    return [
        *_outbox_sql(schema),
        f"""CREATE TABLE {schema}.inbox (
            consumer text NOT NULL, source text NOT NULL, id uuid NOT NULL,
            received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (consumer, source, id))""",
        f"CREATE INDEX inbox_received_at ON {schema}.inbox USING brin (received_at)",
        f"""CREATE TABLE {schema}.dead_letters (
            queue text NOT NULL, source text NOT NULL, id text NOT NULL, reason text NOT NULL, detail text NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (queue, source, id))""",
        f"""CREATE TABLE {schema}.relay_leases (
            shard smallint PRIMARY KEY, owner text NOT NULL DEFAULT '', epoch bigint NOT NULL DEFAULT 0,
            expires_at timestamptz NOT NULL DEFAULT '-infinity', next_sequence bigint NOT NULL DEFAULT 1)
            WITH (fillfactor = 50)""",
        f"INSERT INTO {schema}.relay_leases (shard) SELECT generate_series(0, {SHARDS - 1})",
        f"""CREATE TABLE {schema}.leases (
            name text PRIMARY KEY, owner text NOT NULL, epoch bigint NOT NULL, expires_at timestamptz NOT NULL)""",
        grant_sql(schema, "SELECT, INSERT, UPDATE, DELETE", tables=tables),
    ]


def _outbox_sql(schema: str) -> list[str]:
    return [
        f"""CREATE TABLE {schema}.outbox (
            position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            shard smallint NOT NULL, subject text NOT NULL, exchange text NOT NULL, routing_key text NOT NULL,
            event_id uuid NOT NULL, type text NOT NULL, operation_id uuid, traceparent text, body bytea NOT NULL,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            source_sequence bigint, sent_at timestamptz,
            attempts integer NOT NULL DEFAULT 0, next_attempt_at timestamptz, parked_reason text)
            WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)""",
        f"CREATE INDEX outbox_unsent ON {schema}.outbox (position) WHERE sent_at IS NULL",
        f"""CREATE INDEX outbox_blocked ON {schema}.outbox (subject)
            WHERE sent_at IS NULL AND (parked_reason IS NOT NULL OR next_attempt_at IS NOT NULL)""",
    ]


def grant_sql(schema: str, privileges: str, *, tables: Sequence[str] | None = None) -> str:
    """A statement that grants ``privileges`` (``"SELECT, INSERT"``) on ``tables``, or all of the schema's tables.

    The grantee is the service's role ``<current database>_<schema>``, made by ``postern-database prepare``.
    """
    _require_identifier(schema)
    for table in tables or ():
        _require_identifier(table)
    target = ", ".join(f"{schema}.{table}" for table in tables) if tables else f"ALL TABLES IN SCHEMA {schema}"
    return (
        f"DO $grant$ BEGIN EXECUTE format('GRANT {privileges} ON {target} TO %I',"
        f" current_database() || '_{schema}'); END $grant$"
    )


def _require_identifier(name: str) -> None:
    if _IDENTIFIER.fullmatch(name) is None:
        raise ValueError(f"not a plain identifier: {name!r}")
