"""A private RabbitMQ node: found again, restarted, killed, and its messages are still there."""

import socket
from pathlib import Path

import aio_pika
import pytest
from aio_pika.exceptions import ProbableAuthenticationError

from postern_devcluster.embedded import EmbeddedServerError, RabbitServer, StopOutcome, rabbit

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

QUORUM = {"x-queue-type": "quorum"}


def server_in(state: Path) -> RabbitServer:
    return RabbitServer(state, password="p-w", log_directory=state / "logs")


async def publish(url: str, body: bytes) -> None:
    async with await aio_pika.connect(url) as connection:  # noqa: TID251 (the test is the client)
        channel = await connection.channel()
        await channel.declare_queue("kept", durable=True, arguments=QUORUM)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key="kept")


async def drain(url: str) -> list[bytes]:
    async with await aio_pika.connect(url) as connection:  # noqa: TID251 (the test is the client)
        channel = await connection.channel()
        queue = await channel.declare_queue("kept", durable=True, arguments=QUORUM)
        bodies = []
        while (message := await queue.get(fail=False)) is not None:
            await message.ack()
            bodies.append(message.body)
        return bodies


async def test_messages_survive_a_stop_and_a_kill_and_the_node_is_found_again(state: Path) -> None:
    server = server_in(state)
    url = server.start()
    await publish(url, b"before the stop")
    assert server.stop() is StopOutcome.STOPPED
    assert server.start() == url
    await publish(url, b"before the kill")
    server.kill()
    assert server.start() == url
    again = server_in(state)
    assert again.start() == url
    assert again.process.pid == server.process.pid
    assert await drain(url) == [b"before the stop", b"before the kill"]
    with pytest.raises(ProbableAuthenticationError):
        await aio_pika.connect(url.replace("p-w", "guess"))  # noqa: TID251 (the test is the client)


async def test_a_missing_package_is_said_with_the_command_that_installs_it(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbit, "INSTALLATIONS", tmp_path / "nothing")
    with pytest.raises(EmbeddedServerError) as error:
        server_in(state).start()
    assert error.value.code == "package_missing"
    assert "apt-get install rabbitmq-server" in error.value.next_step


async def test_a_port_that_somebody_took_meanwhile_is_chosen_anew(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as quicker:
        quicker.bind(("127.0.0.1", 0))
        quicker.listen()
        taken = [quicker.getsockname()[1]]
        choose = rabbit.choose_port
        monkeypatch.setattr(
            rabbit, "choose_port", lambda *given, **more: taken.pop() if taken else choose(*given, **more)
        )
        server = server_in(state)
        url = server.start()
    await publish(url, b"there")
    assert await drain(url) == [b"there"]
