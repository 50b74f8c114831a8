"""Projects, databases, operations, keys, idempotency keys and the tables of messaging."""

from alembic import op

from postern_common.persistence import grant_sql, messaging_tables_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE gateway.projects (
        id uuid PRIMARY KEY,
        name text NOT NULL UNIQUE,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL
    )
    """,
    # state columns hold the projection (semantics 12), written in the transaction that moves it, so that lists and
    # filters
    # read one row a database; observed_* are the newest observation by revision (semantics 17)
    """
    CREATE TABLE gateway.databases (
        id uuid PRIMARY KEY,
        project_id uuid NOT NULL REFERENCES gateway.projects,
        name text NOT NULL,
        cluster_name text NOT NULL UNIQUE,
        revision bigint NOT NULL,
        generation bigint NOT NULL,
        desired jsonb NOT NULL,
        labels jsonb NOT NULL,
        deletion_protection boolean NOT NULL,
        instances integer NOT NULL,
        cpu_millis bigint NOT NULL,
        memory_bytes bigint NOT NULL,
        storage_bytes bigint NOT NULL,
        largest_storage bigint NOT NULL,
        operation_id uuid NOT NULL,
        applied_generation bigint NOT NULL DEFAULT 0,
        ever_ready boolean NOT NULL DEFAULT false,
        observed_revision bigint,
        observed_state text,
        observed_reason text,
        observed_message text,
        observed_annotation_generation bigint,
        observed_generation bigint,
        observed jsonb,
        delete_generation bigint,
        existed boolean,
        state text NOT NULL,
        state_reason text NOT NULL,
        state_message text NOT NULL,
        state_since timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        created_by text NOT NULL,
        deleted_at timestamptz
    ) WITH (fillfactor = 80)
    """,
    # a name is free only once its holder is a tombstone (semantics 15)
    "CREATE UNIQUE INDEX databases_name ON gateway.databases (project_id, name) WHERE deleted_at IS NULL",
    "CREATE INDEX databases_list ON gateway.databases (project_id, id) WHERE deleted_at IS NULL",
    "CREATE INDEX databases_state ON gateway.databases (project_id, state, id) WHERE deleted_at IS NULL",
    "CREATE INDEX databases_labels ON gateway.databases USING gin (labels jsonb_path_ops) WHERE deleted_at IS NULL",
    "CREATE INDEX databases_every_name ON gateway.databases (project_id, name)",
    # command is the message to re-emit until it was received; command_sent_at is when the relay last had its confirm
    """
    CREATE TABLE gateway.operations (
        id uuid PRIMARY KEY,
        project_id uuid NOT NULL REFERENCES gateway.projects,
        database_id uuid NOT NULL REFERENCES gateway.databases,
        database text NOT NULL,
        type text NOT NULL,
        generation bigint NOT NULL,
        status text NOT NULL,
        goal text NOT NULL,
        storage_bytes bigint NOT NULL,
        deadline timestamptz NOT NULL,
        phases jsonb NOT NULL,
        error jsonb,
        last_reason text,
        trace_id text,
        revision bigint NOT NULL,
        command bytea,
        command_sent_at timestamptz,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        finished_at timestamptz
    ) WITH (fillfactor = 70)
    """,
    "CREATE UNIQUE INDEX operations_generation ON gateway.operations (database_id, generation)",
    "CREATE INDEX operations_list ON gateway.operations (project_id, id)",
    "CREATE INDEX operations_by_database ON gateway.operations (database_id, id)",
    "CREATE INDEX operations_open ON gateway.operations (deadline) WHERE status IN ('pending', 'running')",
    """CREATE INDEX operations_unreceived ON gateway.operations (command_sent_at)
       WHERE command IS NOT NULL AND command_sent_at IS NOT NULL AND status IN ('pending', 'running')""",
    """
    CREATE TABLE gateway.api_keys (
        id uuid PRIMARY KEY,
        project_id uuid NOT NULL REFERENCES gateway.projects,
        name text NOT NULL,
        role text NOT NULL CHECK (role IN ('viewer', 'editor', 'owner')),
        permissions text[] NOT NULL,
        secret_hash bytea NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        expires_at timestamptz
    )
    """,
    "CREATE INDEX api_keys_list ON gateway.api_keys (project_id, id)",
    """
    CREATE TABLE gateway.idempotency_keys (
        credential text NOT NULL,
        key text NOT NULL,
        fingerprint bytea NOT NULL,
        status smallint NOT NULL,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (credential, key)
    )
    """,
    "CREATE INDEX idempotency_keys_age ON gateway.idempotency_keys (created_at)",
)


def upgrade() -> None:
    """Make everything; the service's role may read and write rows, never the tables themselves."""
    for statement in _TABLES:
        op.execute(statement)
    for statement in messaging_tables_sql("gateway"):
        op.execute(statement)
    op.execute(
        grant_sql(
            "gateway",
            "SELECT, INSERT, UPDATE, DELETE",
            tables=("projects", "databases", "operations", "api_keys", "idempotency_keys"),
        )
    )


def downgrade() -> None:
    """Not offered: a release goes back by expand and contract, never by dropping what holds data."""
    raise NotImplementedError("restore a backup instead")
