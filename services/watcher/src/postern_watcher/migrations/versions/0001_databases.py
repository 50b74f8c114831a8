"""The last observed state of every database, the tables of messaging, and the service role's grants."""

from alembic import op

from postern_common.persistence import grant_sql, messaging_tables_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_DATABASES = """
CREATE TABLE watcher.databases (
    database_id uuid PRIMARY KEY,
    project_id uuid NOT NULL,
    project text NOT NULL,
    name text NOT NULL,
    namespace text NOT NULL,
    cluster_name text NOT NULL,
    read_revision bigint NOT NULL,
    revision bigint NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL,
    uid text NOT NULL,
    resource_version text NOT NULL,
    generation bigint NOT NULL,
    observed_generation bigint NOT NULL,
    record jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 70)
"""


def upgrade() -> None:
    """Create everything; the schema itself is made by ``postern-database prepare``."""
    for statement in messaging_tables_sql("watcher"):
        op.execute(statement)
    op.execute(_DATABASES)
    op.execute("CREATE INDEX databases_live ON watcher.databases (database_id) WHERE state <> 'deleted'")
    op.execute(grant_sql("watcher", "SELECT, INSERT, UPDATE", tables=("databases",)))


def downgrade() -> None:
    """Not offered: an older version cannot read what a newer one has written."""
    raise NotImplementedError
