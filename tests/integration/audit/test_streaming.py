"""What a client of the event stream gets: everything once, in order, also when it was away or is slow."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.audit.ledger import EVERYTHING, Ledger, api_action, received, until

from postern_audit.domain.stream import PING, Filters
from postern_audit.routes.streams import EventStreamResponse
from postern_audit.services.streaming import StreamingService
from postern_audit.services.tail import Tail
from postern_common.runtime import TaskOwner

pytestmark = pytest.mark.integration


@pytest.fixture
async def tail(ledger: Ledger) -> AsyncIterator[Tail]:
    """A running tail, woken by the ledger's writer."""
    owner = TaskOwner()
    tail = Tail(ledger.reader, ledger.wakeup)
    owner.spawn(tail.run(), name="tail")
    yield tail
    await owner.close(2)


@pytest.fixture
def streaming(ledger: Ledger, tail: Tail) -> StreamingService:
    """Streams that ping often."""
    return StreamingService(ledger.reader, tail, ping=0.2)


class Client:
    """Reads a stream in the background, as a browser's EventSource does."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    @property
    def frames(self) -> list[dict[str, str]]:
        found = []
        for block in b"".join(self.chunks).decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
            if "id" in fields:
                found.append(fields)
        return found

    @property
    def ids(self) -> list[int]:
        return [int(frame["id"]) for frame in self.frames]

    async def read(
        self, streaming: StreamingService, start: str, filters: Filters = EVERYTHING, *, reduced: bool = False
    ) -> None:
        stream = await streaming.open("acme", start, filters, reduced=reduced)
        async with aclosing(stream.chunks()) as chunks:
            async for chunk in chunks:
                self.chunks.append(chunk)

    async def has(self, count: int) -> None:
        async def enough() -> bool:
            return len(self.frames) >= count

        await until(enough)


async def test_from_now_only_what_comes_from_now_on(ledger: Ledger, streaming: StreamingService) -> None:
    await ledger.append([received(), received()])
    client, owner = Client(), TaskOwner()
    owner.spawn(client.read(streaming, "now"), name="client")
    await until(lambda: chunk(client, PING))
    await ledger.append([received("beta"), received()])
    await client.has(1)
    assert client.ids == [3]
    frame = client.frames[0]
    assert frame["event"] == "dev.postern.database.received.v1"
    assert json.loads(frame["data"])["sequence"] == "3"
    assert client.chunks[0].startswith(b"retry: ")
    await owner.close(2)


async def test_from_the_oldest_then_live_without_gap_or_duplicate_under_load(
    ledger: Ledger, streaming: StreamingService
) -> None:
    for _ in range(6):
        await ledger.append([received() for _ in range(200)])
    owner, clients = TaskOwner(), [Client() for _ in range(5)]

    async def write() -> None:
        for _ in range(40):
            await ledger.append([received() for _ in range(20)])

    writing = owner.spawn(write(), name="writer", finite=True)
    for client in clients:
        owner.spawn(client.read(streaming, "0"), name="client")
        await asyncio.sleep(0)
    await writing
    for client in clients:
        await client.has(2000)
        assert client.ids == list(range(1, 2001))
    await owner.close(2)


async def test_a_client_that_comes_back_again_and_again_misses_nothing(
    ledger: Ledger, streaming: StreamingService
) -> None:
    owner = TaskOwner()

    async def write() -> None:
        for _ in range(300):
            await ledger.append([received(), received("beta")])

    writing = owner.spawn(write(), name="writer", finite=True)
    seen: list[int] = []
    while len(seen) < 300:
        client, connection = Client(), TaskOwner()
        connection.spawn(client.read(streaming, str(seen[-1] if seen else 0)), name="client", finite=True)
        await client.has(1)
        await connection.close(2)
        seen += client.ids
    await writing
    assert seen == list(range(1, 301))
    await owner.close(2)


async def test_filters_and_the_viewer_s_view(ledger: Ledger, streaming: StreamingService) -> None:
    wanted, action = received(), api_action()
    await ledger.append([received(), wanted, action])
    by_database, by_type, owner = Client(), Client(), TaskOwner()
    owner.spawn(by_database.read(streaming, "0", Filters(databases=frozenset({wanted.subject}))), name="database")
    owner.spawn(by_type.read(streaming, "0", Filters(types=frozenset({action.type})), reduced=True), name="type")
    await by_database.has(1)
    await by_type.has(1)
    await ledger.append([received(), api_action()])
    await by_type.has(2)
    assert (by_database.ids, by_type.ids) == ([2], [3, 5])
    assert json.loads(by_type.frames[1]["data"])["data"] == {"resource": "projects/acme/databases/orders"}
    await owner.close(2)


@pytest.mark.parametrize("forged", ["4", "999999999999", "abc", "-1", "9" * 40, "1 OR 1=1"])
async def test_an_id_that_was_never_given_out_gets_a_reset_and_goes_on_from_now(
    forged: str, ledger: Ledger, streaming: StreamingService
) -> None:
    await ledger.append([received(), received(), received()])
    client, owner = Client(), TaskOwner()
    owner.spawn(client.read(streaming, forged), name="client")
    await client.has(1)
    assert client.frames[0]["event"] == "reset"
    assert json.loads(client.frames[0]["data"]) == {"reason": "unknown", "resume_after": "3"}
    await ledger.append([received()])
    await client.has(2)
    assert client.ids == [3, 4]
    await owner.close(2)


async def test_an_id_older_than_what_is_kept_gets_a_reset_and_all_that_is_left(
    ledger: Ledger, streaming: StreamingService, admin: AsyncEngine
) -> None:
    await ledger.append([received() for _ in range(5)])
    async with admin.begin() as connection:
        await connection.execute(text("DELETE FROM audit.ledger WHERE position <= 3"))
    expired, beginning, edge, owner = Client(), Client(), Client(), TaskOwner()
    owner.spawn(expired.read(streaming, "1"), name="expired")
    owner.spawn(beginning.read(streaming, "0"), name="beginning")
    owner.spawn(edge.read(streaming, "3"), name="edge")
    await expired.has(3)
    await beginning.has(2)
    await edge.has(2)
    assert expired.frames[0]["event"] == "reset"
    assert json.loads(expired.frames[0]["data"]) == {"reason": "expired", "resume_after": "3"}
    assert (expired.ids, beginning.ids, edge.ids) == ([3, 4, 5], [4, 5], [4, 5])
    await owner.close(2)


async def test_a_client_that_does_not_read_is_cut_off_and_can_resume(
    ledger: Ledger,
) -> None:
    owner, tail = TaskOwner(), Tail(ledger.reader, ledger.wakeup, capacity=10)
    owner.spawn(tail.run(), name="tail")
    streaming = StreamingService(ledger.reader, tail, ping=0.2)
    stuck, sent = asyncio.Event(), []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)
        if b"id: " in bytes(message.get("body", b"")):  # type: ignore[call-overload]
            await stuck.wait()

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    stream = await streaming.open("acme", "now", EVERYTHING, reduced=False)
    answer = owner.spawn(EventStreamResponse(stream)({}, receive, send), name="answer", finite=True)  # type: ignore[arg-type]
    await until(lambda: any_sent(sent, PING))
    await ledger.append([received()])
    await until(lambda: any_sent(sent, b"id: 1"))
    await ledger.append([received() for _ in range(50)])
    async with asyncio.timeout(5):
        await answer
    assert all(message.get("more_body") is not False for message in sent[1:]), "the client must see that it was cut"
    client = Client()
    owner.spawn(client.read(streaming, "1"), name="client")
    await client.has(50)
    assert client.ids == list(range(2, 52))
    await owner.close(2)


async def test_streams_end_when_the_process_stops(ledger: Ledger, streaming: StreamingService, tail: Tail) -> None:
    client, owner = Client(), TaskOwner()
    reading = owner.spawn(client.read(streaming, "now"), name="client", finite=True)
    await until(lambda: chunk(client, PING))
    await tail.close()
    async with asyncio.timeout(2):
        await reading


async def chunk(client: Client, wanted: bytes) -> bool:
    """Whether the client got these bytes."""
    return wanted in client.chunks


async def any_sent(sent: list[dict[str, object]], wanted: bytes) -> bool:
    """Whether a message with these bytes was sent."""
    return any(wanted in bytes(message.get("body", b"")) for message in sent)  # type: ignore[call-overload]
