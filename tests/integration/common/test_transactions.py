"""What a transaction promises: all or nothing, a deadline, a class for every fault, a pool that heals."""

import asyncio
import os
import re
import signal
import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.common.conftest import SCHEMA, Writer
from tests.support.messages import received_event

from postern_common.errors import DependencyDownError, PermanentError, TransientError
from postern_common.persistence import Outbox, UnitOfWorkFactory, Wakeup, create_engine, open_transaction

pytestmark = pytest.mark.integration


async def test_a_message_exists_exactly_when_its_change_does(writer: Writer) -> None:
    async def change_ones_mind() -> None:
        async with writer.units() as unit:
            unit.publish(received_event())
            raise RuntimeError("no, after all")

    with pytest.raises(RuntimeError, match="after all"):
        await change_ones_mind()
    assert await writer.rows("position") == []
    assert await writer.wakeup.wait(0.0) is False
    await writer.write(received_event())
    assert len(await writer.rows("position")) == 1
    assert await writer.wakeup.wait(0.0) is True


async def test_every_commit_sets_the_wakeups_of_its_factory(engine: AsyncEngine) -> None:
    own = Wakeup()
    units = UnitOfWorkFactory(engine, Outbox(SCHEMA, Wakeup()), wakeups=[own])
    async with units() as unit:
        await unit.connection.execute(text("SELECT 1"))
    assert await own.wait(0.0) is True


async def test_a_message_that_is_too_large_takes_its_transaction_with_it(writer: Writer) -> None:
    event = received_event("x" * 300_000)
    with pytest.raises(PermanentError) as caught:
        await writer.write(event)
    assert caught.value.code == "message_too_large"
    assert await writer.rows("position") == []


async def test_a_violated_constraint_is_seen_as_it_is(engine: AsyncEngine) -> None:
    statement = text(
        f"INSERT INTO {SCHEMA}.inbox (consumer, source, id) VALUES ('c', 's', gen_random_uuid()), (NULL, '', NULL)"
    )
    with pytest.raises(IntegrityError):
        async with open_transaction(engine) as connection:
            await connection.execute(statement)


async def test_a_lock_that_is_not_free_in_two_seconds_is_transient(engine: AsyncEngine) -> None:
    async with open_transaction(engine) as holder:
        await holder.execute(text(f"LOCK TABLE {SCHEMA}.leases"))
        started = time.monotonic()
        with pytest.raises(TransientError) as caught:
            async with open_transaction(engine) as connection:
                await connection.execute(text(f"SELECT * FROM {SCHEMA}.leases"))
        assert time.monotonic() - started < 3.5
    assert caught.value.code == "database_contended"


async def test_connections_that_the_server_closed_are_replaced_without_an_error(
    engine: AsyncEngine, admin_url: str
) -> None:
    async def ask() -> int:
        async with open_transaction(engine) as connection:
            return int(await connection.scalar(text("SELECT pg_backend_pid()")) or 0)

    before = set(await asyncio.gather(*(ask() for _ in range(5))))
    admin = create_engine(admin_url, application_name="killer")
    async with open_transaction(admin) as connection:
        await connection.execute(
            text("SELECT pg_terminate_backend(p) FROM unnest(CAST(:pids AS int[])) p"), {"pids": list(before)}
        )
    await admin.dispose()
    await asyncio.sleep(0.1)
    after = set(await asyncio.gather(*(ask() for _ in range(5))))
    assert not before & after


async def test_a_server_that_is_not_there_is_a_dependency_down(service_url: str) -> None:
    engine = create_engine(re.sub(r":\d+/", ":1/", service_url), application_name="x")
    with pytest.raises(DependencyDownError) as caught:
        async with open_transaction(engine) as connection:
            await connection.execute(text("SELECT 1"))
    await engine.dispose()
    assert caught.value.code == "database_unavailable"
    assert "only-for-tests" not in str(caught.value)


async def test_a_server_process_that_hangs_costs_six_seconds_at_most_and_the_pool_goes_on(engine: AsyncEngine) -> None:
    async with open_transaction(engine) as connection:
        pid = int(await connection.scalar(text("SELECT pg_backend_pid()")) or 0)
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(DependencyDownError):
            async with open_transaction(engine) as connection:
                await connection.execute(text("SELECT 1"))
        assert time.monotonic() - started < 6.5
        async with open_transaction(engine) as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_cancelled_transactions_leave_no_connection_behind(service_url: str) -> None:
    engine = create_engine(service_url, application_name="cancelled", pool_size=2)
    loop = asyncio.get_running_loop()

    async def work() -> None:
        async with open_transaction(engine) as connection:
            await connection.execute(text("SELECT pg_sleep(1)"))

    for round_ in range(20):
        tasks = [loop.create_task(work()) for _ in range(2)]
        await asyncio.sleep(0.002 * (round_ % 10))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    async with open_transaction(engine) as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await engine.dispose()
