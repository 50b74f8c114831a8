"""The ledger, its head and streams, the progress of its sources, and the function that makes partitions ahead.

``time`` and ``data`` are text only, exactly as received: the hash is over that text (semantics 34), readers get it back
byte for byte, and a jsonb copy beside it would double the table's size and the work of an insert for a column that no
query of ours needs. What is filtered by (project, type, subject) has columns; ``recorded_at`` is the database's time.

The service's role may select and insert on the ledger, no more: no update, no delete, no truncate, and no right on any
partition by its own name. Partitions are made by a function that runs with the owner's rights (semantics 35).
"""

from alembic import op

from postern_common.persistence import grant_sql, messaging_tables_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LEDGER = """
CREATE TABLE audit.ledger (
    position bigint NOT NULL,
    sequence bigint,
    project text,
    project_id uuid,
    source text NOT NULL,
    id uuid NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    time text NOT NULL,
    operation_id uuid,
    trace_id text,
    actor text,
    data text NOT NULL,
    dataschema text NOT NULL,
    causation_id uuid,
    traceparent text,
    tracestate text,
    source_shard smallint,
    source_sequence bigint,
    previous_hash bytea NOT NULL CHECK (length(previous_hash) = 32),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    recorded_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    PRIMARY KEY (position),
    CHECK ((project IS NULL) = (sequence IS NULL) AND (project IS NULL) = (project_id IS NULL))
) PARTITION BY RANGE (position)
"""

INDEXES = (
    "CREATE INDEX ledger_stream ON audit.ledger (project, sequence) WHERE project IS NOT NULL",
    "CREATE INDEX ledger_subject ON audit.ledger (project, subject, sequence) WHERE project IS NOT NULL",
    """CREATE INDEX ledger_actions ON audit.ledger (project, sequence)
    WHERE project IS NOT NULL AND type = 'dev.postern.api.action.v1'""",
)

COUNTERS = (
    """CREATE TABLE audit.ledger_head (
        single boolean PRIMARY KEY DEFAULT true CHECK (single),
        position bigint NOT NULL DEFAULT 0,
        hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
        epoch bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50)""",
    "INSERT INTO audit.ledger_head DEFAULT VALUES",
    """CREATE TABLE audit.ledger_streams (
        project text PRIMARY KEY,
        sequence bigint NOT NULL
    ) WITH (fillfactor = 70)""",
    """CREATE TABLE audit.source_progress (
        source text NOT NULL,
        shard smallint NOT NULL,
        highest bigint NOT NULL,
        PRIMARY KEY (source, shard)
    ) WITH (fillfactor = 50)""",
    """CREATE TABLE audit.source_gaps (
        source text NOT NULL,
        shard smallint NOT NULL,
        first bigint NOT NULL,
        last bigint NOT NULL,
        seen_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
        PRIMARY KEY (source, shard, first),
        CHECK (first <= last)
    )""",
)

PARTITIONS = """
CREATE FUNCTION audit.ensure_partitions(ahead integer DEFAULT 1) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    size CONSTANT bigint := 10000000;
    current_part bigint;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('postern.audit.ensure_partitions'));
    SELECT position / size INTO current_part FROM audit.ledger_head;
    FOR part IN current_part .. current_part + least(greatest(ahead, 1), 4) LOOP
        name := 'ledger_' || lpad(part::text, 6, '0');
        CONTINUE WHEN to_regclass('audit.' || name) IS NOT NULL;
        -- made apart and attached: CREATE ... PARTITION OF would lock every reader out for its duration
        EXECUTE format('CREATE TABLE audit.%I (LIKE audit.ledger INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE audit.ledger ATTACH PARTITION audit.%I FOR VALUES FROM (%s) TO (%s)',
                       name, part * size, (part + 1) * size);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$function$
"""

GRANT_EXECUTE = """
DO $grant$ BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION audit.ensure_partitions(integer) TO %I', current_database() || '_audit');
END $grant$
"""


def upgrade() -> None:
    """Make everything; partitions for the first 20 million entries."""
    statements = (
        LEDGER,
        *INDEXES,
        *COUNTERS,
        PARTITIONS,
        "REVOKE EXECUTE ON FUNCTION audit.ensure_partitions(integer) FROM PUBLIC",
        GRANT_EXECUTE,
        "SELECT audit.ensure_partitions(1)",
        *messaging_tables_sql("audit"),
        grant_sql("audit", "SELECT, INSERT", tables=("ledger",)),
        grant_sql("audit", "SELECT, UPDATE", tables=("ledger_head",)),
        grant_sql("audit", "SELECT, INSERT, UPDATE", tables=("ledger_streams", "source_progress")),
        grant_sql("audit", "SELECT, INSERT, DELETE", tables=("source_gaps",)),
    )
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """The ledger is append-only: there is no way back that keeps it."""
    raise NotImplementedError("the ledger is never dropped by a migration")
