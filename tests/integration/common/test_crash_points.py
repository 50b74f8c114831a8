"""A process dies at each crash point of the common library; the next one finishes the work, with one effect."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.common.conftest import SCHEMA

from postern_common.persistence import open_transaction

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

PROGRAM = """
import asyncio, os, sys
from postern_common.contracts.broker import GATEWAY_PROJECTION
from postern_common.messaging import BrokerConnection, Consumer, Publisher
from postern_common.persistence import Inbox, Outbox, Relay, UnitOfWorkFactory, Wakeup, create_engine
from postern_common.runtime import TaskOwner
from postern_common.testing import FakeDeadLetters
from tests.support.messages import received_event

async def main():
    engine = create_engine(os.environ["DATABASE"], application_name="crash")
    broker, wakeup, handled = BrokerConnection(os.environ["BROKER"], name="crash"), Wakeup(), asyncio.Event()
    units = UnitOfWorkFactory(engine, Outbox("gateway", wakeup))
    effects = UnitOfWorkFactory(engine, Outbox("gateway", Wakeup()))
    inbox = Inbox("gateway", "crash")

    async def handle(event):
        async with effects() as unit:
            print("new" if await inbox.insert(unit.connection, event) else "seen", flush=True)
        handled.set()

    owner = TaskOwner()
    if sys.argv[1] == "write":
        async with units() as unit:
            unit.publish(received_event())
    relay = Relay(engine=engine, schema="gateway", source="/postern/gateway", publisher=Publisher(broker),
                  wakeup=wakeup, owner=str(os.getpid()))
    consumer = Consumer(connection=broker, queue=GATEWAY_PROJECTION, handler=handle, dead_letters=FakeDeadLetters())
    for name, run in (("broker", broker.run), ("relay", relay.run), ("consumer", consumer.run)):
        owner.spawn(run(), name=name)
    async with asyncio.timeout(20):
        await handled.wait()
        while (await relay.pending()).count:
            await asyncio.sleep(0.02)
    await consumer.drain()
    await owner.close(5)
    await engine.dispose()

asyncio.run(main())
"""


async def _run(mode: str, url: str, broker: str, crashpoint: str = "") -> tuple[int, list[str]]:
    environment = {**os.environ, "DATABASE": url, "BROKER": broker, "PYTHONPATH": ".", "POSTERN_CRASHPOINT": crashpoint}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, mode, env=environment, stdout=PIPE, stderr=PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), 40)
    words = [line for line in output.decode().splitlines() if line in ("new", "seen")]
    assert process.returncode in (0, 137), errors.decode()
    return process.returncode, words


async def _count(engine: AsyncEngine, table: str) -> int:
    async with open_transaction(engine) as connection:
        return int(await connection.scalar(text(f"SELECT count(*) FROM {SCHEMA}.{table}")) or 0)


async def _expire_leases(engine: AsyncEngine) -> None:
    """What 15 seconds do."""
    async with open_transaction(engine) as connection:
        await connection.execute(text(f"UPDATE {SCHEMA}.relay_leases SET expires_at = '-infinity'"))


async def test_death_before_the_commit_leaves_nothing(service_url: str, amqp_url: str, engine: AsyncEngine) -> None:
    assert await _run("write", service_url, amqp_url, "before_commit") == (137, [])
    assert await _count(engine, "outbox") == 0


@pytest.mark.parametrize(
    ("crashpoint", "later"), [("after_commit", ["new"]), ("after_confirm", ["new"]), ("before_ack", ["seen"])]
)
async def test_death_after_the_commit_changes_nothing_but_the_time(
    crashpoint: str, later: list[str], service_url: str, amqp_url: str, engine: AsyncEngine
) -> None:
    status, before = await _run("write", service_url, amqp_url, crashpoint)
    assert status == 137
    await _expire_leases(engine)
    status, words = await _run("resume", service_url, amqp_url)
    assert status == 0
    assert (before + words).count("new") == 1
    if crashpoint != "after_confirm":
        assert words[: len(later)] == later
    assert await _count(engine, "inbox") == 1
    assert await _count(engine, "outbox") == 1
