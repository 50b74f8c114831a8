"""Each test gets a database and a virtual host of its own on the session's servers."""

import aio_pika
import asyncpg
import pytest

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("turn", [1, 2, 3])
async def test_what_one_test_writes_no_other_test_reads(database_url: str, turn: int) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE mine (turn int)")
    await connection.execute("INSERT INTO mine VALUES ($1)", turn)
    assert await connection.fetchval("SELECT count(*) FROM mine") == 1
    await connection.close()


@pytest.mark.parametrize("turn", [1, 2, 3])
async def test_a_virtual_host_starts_empty(vhost_url: str, turn: int) -> None:
    connection = await aio_pika.connect(vhost_url)  # noqa: TID251 (a test looks from outside)
    channel = await connection.channel()
    queue = await channel.declare_queue("same-name", durable=True, arguments={"x-queue-type": "quorum"})
    assert queue.declaration_result.message_count == 0
    await channel.default_exchange.publish(aio_pika.Message(b"left behind"), routing_key=queue.name)
    await connection.close()
