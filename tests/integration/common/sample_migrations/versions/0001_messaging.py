"""The messaging tables."""

from alembic import op

from postern_common.persistence import messaging_tables_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    for statement in messaging_tables_sql("gateway"):
        op.execute(statement)
