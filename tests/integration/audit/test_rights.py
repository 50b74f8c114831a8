"""The service's own role cannot change what it once wrote (semantics 35)."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tests.integration.audit.ledger import Ledger, received

from postern_audit.services.partitioning import PartitioningService

pytestmark = pytest.mark.integration


@pytest.fixture
async def connection(engine: AsyncEngine, ledger: Ledger) -> AsyncIterator[AsyncConnection]:
    """The service's role, and one entry in the ledger."""
    await ledger.append([received()])
    async with engine.connect() as connection:
        yield connection


FORBIDDEN = (
    "UPDATE audit.ledger SET data = '{}'",
    "UPDATE audit.ledger SET recorded_at = now()",
    "DELETE FROM audit.ledger",
    "TRUNCATE audit.ledger",
    "DROP TABLE audit.ledger",
    "ALTER TABLE audit.ledger DETACH PARTITION audit.ledger_000000",
    "SELECT * FROM audit.ledger_000000",
    "UPDATE audit.ledger_000000 SET data = '{}'",
    "DELETE FROM audit.ledger_000000",
    "DROP TABLE audit.ledger_000000",
    "DELETE FROM audit.ledger_head",
    "INSERT INTO audit.ledger_head (single) VALUES (true)",
    "DELETE FROM audit.ledger_streams",
    "DELETE FROM audit.source_progress",
    "CREATE TABLE audit.mine (x int)",
    "SET session_replication_role = replica",
)


async def test_the_service_s_role_is_refused(connection: AsyncConnection) -> None:
    for statement in FORBIDDEN:
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            await connection.execute(text(statement))
        await connection.rollback()


async def test_no_other_service_s_role_sees_the_ledger(connection: AsyncConnection) -> None:
    rows = await connection.execute(
        text(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE '%\\_gateway' OR rolname LIKE '%\\_provisioner'"
            " OR rolname LIKE '%\\_watcher'"
        )
    )
    roles = [row.rolname for row in rows]
    assert len(roles) >= 3
    for role in roles:
        allowed = await connection.scalar(
            text("SELECT has_table_privilege(:role, 'audit.ledger', 'SELECT')"), {"role": role}
        )
        assert allowed is False, role


async def test_partitions_are_made_ahead_and_no_faster_than_needed(
    engine: AsyncEngine, admin: AsyncEngine, ledger: Ledger
) -> None:
    partitioning = PartitioningService(engine)
    assert await partitioning.ensure() == 0, "the migration made the first ones"
    async with admin.begin() as connection:
        await connection.execute(text("UPDATE audit.ledger_head SET position = 19999998"))
    assert await partitioning.ensure() == 1
    await ledger.append([received() for _ in range(5)])
    entries = await ledger.reader.entries_after(0, limit=10)
    assert [entry.position for entry in entries] == [19999999, 20000000, 20000001, 20000002, 20000003]
    async with admin.connect() as connection:
        parts = await connection.execute(
            text("SELECT DISTINCT tableoid::regclass::text AS part FROM audit.ledger ORDER BY part")
        )
        assert [row.part for row in parts] == ["audit.ledger_000001", "audit.ledger_000002"]


async def test_the_audit_view_reads_its_own_small_index(admin: AsyncEngine, ledger: Ledger) -> None:
    await ledger.append([received() for _ in range(200)])
    async with admin.connect() as connection:
        await connection.execute(text("SET enable_seqscan = off"))
        plan = await connection.execute(
            text(
                "EXPLAIN SELECT * FROM audit.ledger WHERE project = 'acme' AND type = 'dev.postern.api.action.v1'"
                " AND sequence < 100 ORDER BY sequence DESC LIMIT 50"
            )
        )
        lines = "\n".join(row[0] for row in plan)
    assert "project_sequence_idx1 on ledger_000000" in lines, "the partial one, not the index over all types"
