"""Inbox, dead letters, leases, retention, and how the database is prepared and migrated."""

import asyncio
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.common.conftest import MIGRATIONS, PASSWORD, SCHEMA, Writer, with_database
from tests.support.messages import received_event

from postern_common.errors import DependencyDownError, TransientError
from postern_common.persistence import (
    DeadLetterStore,
    Inbox,
    LeaseStore,
    Retention,
    create_engine,
    open_transaction,
    read_installation,
    read_topology_version,
)
from postern_common.persistence.migrations import migrate
from postern_common.persistence.prepare import SERVICES, prepare_database

pytestmark = pytest.mark.integration


async def test_a_message_is_new_once_per_consumer(engine: AsyncEngine) -> None:
    event = received_event()
    first, second = Inbox(SCHEMA, "first"), Inbox(SCHEMA, "second")
    async with open_transaction(engine) as connection:
        assert await first.insert(connection, event) is True
        assert await first.insert(connection, event) is False
        assert await second.insert(connection, event) is True


async def test_many_messages_are_told_apart_in_one_statement(engine: AsyncEngine) -> None:
    inbox = Inbox(SCHEMA, "audit")
    known, new = received_event(), received_event()
    async with open_transaction(engine) as connection:
        await inbox.insert(connection, known)
        assert await inbox.insert_many(connection, [new, known, new]) == [True, False, False]
        assert await inbox.insert_many(connection, []) == []


async def test_a_dead_letters_reason_is_kept_whatever_the_message_holds(engine: AsyncEngine) -> None:
    store = DeadLetterStore(engine, SCHEMA)
    for detail in ("first", "NUL \x00, half a pair \ud800, " + "x" * 5000):
        await store.record(queue="q", source="s\x00", id="1", reason="malformed", detail=detail)
    async with open_transaction(engine) as connection:
        rows = (await connection.execute(text(f"SELECT id, length(detail) FROM {SCHEMA}.dead_letters"))).all()
    assert [tuple(row) for row in rows] == [("1", 1000)]


async def test_one_of_two_holds_a_lease_and_its_epoch_grows_with_every_change(engine: AsyncEngine) -> None:
    one, two = (LeaseStore(engine, SCHEMA, "leader", owner=owner, ttl=0.3) for owner in ("one", "two"))
    assert await one.acquire() == 1
    assert await two.acquire() is None
    assert await one.acquire() == 1
    await asyncio.sleep(0.4)
    assert await two.acquire() == 2
    assert await one.acquire() is None
    await two.release()
    assert await one.acquire() == 3


async def test_old_rows_go_and_young_and_unsent_ones_stay(engine: AsyncEngine, writer: Writer) -> None:
    await writer.write(*(received_event() for _ in range(3)))
    inbox = Inbox(SCHEMA, "c")
    async with open_transaction(engine) as connection:
        await inbox.insert_many(connection, [received_event(), received_event()])
        await connection.execute(
            text(
                f"UPDATE {SCHEMA}.outbox SET sent_at = now() - CASE position % 2 WHEN 0 THEN interval '1 hour'"
                " ELSE interval '25 hours' END WHERE position < 3"
            )
        )
        await connection.execute(
            text(
                f"UPDATE {SCHEMA}.inbox SET received_at = now() - interval '31 days'"
                f" WHERE id = (SELECT max(id::text)::uuid FROM {SCHEMA}.inbox)"
            )
        )
    assert await Retention(engine, SCHEMA).sweep() == 2
    assert len(await writer.rows("position")) == 2


async def test_preparing_twice_changes_nothing_and_keeps_the_installation(admin_url: str, engine: AsyncEngine) -> None:
    before = await read_installation(engine)
    await prepare_database(admin_url, {})
    await migrate(url=admin_url, schema=SCHEMA, package=MIGRATIONS)
    assert await read_installation(engine) == before
    assert len(before) == 8
    assert await read_topology_version(engine) is None


async def test_two_migrators_at_once_both_succeed(empty_database: str) -> None:
    await prepare_database(empty_database, {})
    await asyncio.gather(*(migrate(url=empty_database, schema=SCHEMA, package=MIGRATIONS) for _ in range(3)))


async def test_a_migration_does_not_wait_for_ever_behind_a_lock(
    admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postern_common.persistence.migrations.LOCK_WAIT_SECONDS", 0.2)
    engine = create_engine(admin_url, application_name="other")
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _lock_key(f"postern-migrate-{SCHEMA}")})
        with pytest.raises(TransientError) as caught:
            await migrate(url=admin_url, schema=SCHEMA, package=MIGRATIONS)
    await engine.dispose()
    assert caught.value.code == "deployment_locked"


def _lock_key(name: str) -> int:
    import zlib  # noqa: PLC0415

    return zlib.crc32(name.encode())


async def test_a_service_cannot_read_another_services_schema(admin_url: str) -> None:
    name = urlsplit(admin_url).path[1:]
    watcher = create_engine(with_database(admin_url, name, user=f"{name}_watcher"), application_name="watcher")
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with open_transaction(watcher) as connection:
            await connection.execute(text(f"SELECT * FROM {SCHEMA}.outbox"))
    assert len(await read_installation(watcher)) == 8
    await watcher.dispose()


async def test_an_unprepared_database_says_what_to_run(empty_database: str) -> None:
    engine = create_engine(empty_database, application_name="x")
    with pytest.raises(DependencyDownError) as caught:
        await read_installation(engine)
    await engine.dispose()
    assert "postern-database prepare" in caught.value.detail


def test_the_command_prepares_and_hides_the_password_when_it_cannot(empty_database: str) -> None:
    command = [sys.executable, "-c", "from postern_common.persistence.prepare import main; main()", "prepare"]
    passwords = {f"POSTERN_ROLE_PASSWORD_{service.upper()}": PASSWORD for service in SERVICES}
    good = subprocess.run(
        command, env={"POSTERN_DATABASE_URL": empty_database, **passwords}, capture_output=True, check=False
    )
    assert good.returncode == 0, good.stderr
    wrong = "postgresql://someone:hidden-word@127.0.0.1:1/nothing"
    bad = subprocess.run(command, env={"POSTERN_DATABASE_URL": wrong}, capture_output=True, check=False)
    assert bad.returncode == 1
    assert b"hidden-word" not in bad.stdout + bad.stderr
