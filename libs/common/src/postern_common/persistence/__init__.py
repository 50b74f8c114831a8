"""PostgreSQL: engine, unit of work, outbox and relay, inbox, leases, migrations. It knows no service's tables."""

from postern_common.persistence.dead_letters import DeadLetterStore
from postern_common.persistence.engine import create_admin_engine, create_engine
from postern_common.persistence.failures import translate, translated_errors
from postern_common.persistence.inbox import Inbox
from postern_common.persistence.installation import check_database, read_installation, read_topology_version
from postern_common.persistence.leases import LeaseStore
from postern_common.persistence.outbox import SHARDS, Outbox, shard_of
from postern_common.persistence.relay import OutboxBacklog, Relay, SentMessage
from postern_common.persistence.retention import Retention
from postern_common.persistence.tables import grant_sql, messaging_tables_sql
from postern_common.persistence.transactions import open_transaction
from postern_common.persistence.unit_of_work import UnitOfWork, UnitOfWorkFactory
from postern_common.runtime.wakeup import Wakeup

__all__ = [
    "SHARDS",
    "DeadLetterStore",
    "Inbox",
    "LeaseStore",
    "Outbox",
    "OutboxBacklog",
    "Relay",
    "Retention",
    "SentMessage",
    "UnitOfWork",
    "UnitOfWorkFactory",
    "Wakeup",
    "check_database",
    "create_admin_engine",
    "create_engine",
    "grant_sql",
    "messaging_tables_sql",
    "open_transaction",
    "read_installation",
    "read_topology_version",
    "run_migrations",
    "shard_of",
    "translate",
    "translated_errors",
]


def run_migrations(*, url: str, schema: str, package: str) -> None:
    """See ``postern_common.persistence.migrations``; imported when called, serving must not load Alembic."""
    from postern_common.persistence.migrations import run_migrations as run  # noqa: PLC0415

    run(url=url, schema=schema, package=package)
