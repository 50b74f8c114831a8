"""Targets, the tables of messaging, and the service role's grants."""

from alembic import op

from postern_common.persistence import grant_sql, messaging_tables_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TARGETS = """
CREATE TABLE provisioner.targets (
    database_id uuid PRIMARY KEY,
    project_id uuid NOT NULL,
    project text NOT NULL,
    name text NOT NULL,
    cluster_name text NOT NULL,
    namespace text NOT NULL,
    generation bigint NOT NULL CHECK (generation > 0),
    applied_generation bigint NOT NULL DEFAULT 0,
    failed_generation bigint,
    operation_id uuid NOT NULL,
    goal text NOT NULL,
    desired jsonb,
    tombstone boolean NOT NULL DEFAULT false,
    existed boolean NOT NULL DEFAULT false,
    removed_at timestamptz,
    undo_resize boolean NOT NULL DEFAULT false,
    pending_switchover text,
    image text,
    causation_id uuid,
    traceparent text,
    tracestate text,
    received_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    last_error_code text,
    next_attempt_at timestamptz,
    repaired_at timestamptz NOT NULL DEFAULT '-infinity',
    lease_owner text,
    lease_epoch bigint NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    CHECK (desired IS NOT NULL OR tombstone)
) WITH (fillfactor = 70)
"""


def upgrade() -> None:
    """Create everything; the schema itself is made by ``postern-database prepare``."""
    for statement in messaging_tables_sql("provisioner"):
        op.execute(statement)
    op.execute(_TARGETS)
    op.execute("CREATE INDEX targets_due ON provisioner.targets (next_attempt_at) WHERE next_attempt_at IS NOT NULL")
    op.execute(grant_sql("provisioner", "SELECT, INSERT, UPDATE", tables=("targets",)))


def downgrade() -> None:
    """Not offered: an older version cannot read what a newer one has written."""
    raise NotImplementedError
