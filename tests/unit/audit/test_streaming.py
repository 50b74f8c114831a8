"""The seam between what is stored and what is live, with the commits placed exactly where they could hurt."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from uuid import UUID

from postern_audit.domain.chain import GENESIS, Head, append
from postern_audit.domain.entry import Draft, Entry
from postern_audit.domain.stream import Filters, line_of
from postern_audit.services.streaming import StreamingService
from postern_audit.services.tail import Closed, Subscription
from postern_audit.storage.ledger_reader import Bounds


def entries(count: int) -> list[Entry]:
    drafts = [
        Draft(source="/s", id=UUID(int=n), type="t", subject="u", time="2026", data="{}", project="acme")
        for n in range(count)
    ]
    return list(append(Head(0, GENESIS), {}, drafts).entries)


class Seam:
    """Reader and tail in one: ``visible`` entries are stored; ``on_subscribe`` happens while the client subscribes."""

    def __init__(self, visible: int, on_subscribe: Callable[["Seam", Subscription], None]) -> None:
        self.all = entries(10)
        self.visible = visible
        self._on_subscribe = on_subscribe
        self.open = 0

    async def bounds(self, _: str) -> Bounds:
        return Bounds(1, self.visible)

    async def page(self, _: str, __: Filters, *, after: int, order: str, limit: int) -> Sequence[Entry]:
        assert order == "asc"
        return self.all[after : self.visible][:limit]

    async def subscribe(self, project: str, *, on_slow: Callable[[], None]) -> Subscription:
        subscription = Subscription(project, 100, on_slow=on_slow)
        self.open += 1
        self._on_subscribe(self, subscription)
        return subscription

    def unsubscribe(self, _: Subscription) -> None:
        self.open -= 1

    def offer(self, subscription: Subscription, *sequences: int) -> None:
        for sequence in sequences:
            line = line_of(self.all[sequence - 1])
            assert line is not None
            subscription.offer(line)


async def ids(seam: Seam, start: str, count: int) -> list[int]:
    """Ids until ``count`` came or the stream pings: then nothing more is there."""
    service = StreamingService(seam, seam, ping=0.01)  # type: ignore[arg-type]
    stream = await service.open("acme", start, Filters(), reduced=False)
    text = b""
    async with aclosing(stream.chunks()) as chunks:
        async for chunk in chunks:
            text += chunk
            if chunk.startswith(b": ping"):
                break
    found = [int(line[4:]) for line in text.split(b"\n") if line.startswith(b"id: ")]
    assert len(found) == count
    assert seam.open == 0, "the subscription is given back"
    return found


async def test_what_is_both_stored_and_live_comes_once() -> None:
    def overlap(seam: Seam, subscription: Subscription) -> None:
        seam.visible = 6
        seam.offer(subscription, 4, 5, 6, 7, 8)

    assert await ids(Seam(5, overlap), "2", 6) == [3, 4, 5, 6, 7, 8]


async def test_what_was_committed_while_subscribing_is_not_lost() -> None:
    def unseen_by_the_tail(seam: Seam, subscription: Subscription) -> None:
        seam.visible = 7
        seam.offer(subscription, 8)

    assert await ids(Seam(5, unseen_by_the_tail), "0", 8) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_a_subscription_that_is_closed_ends_the_stream() -> None:
    seam = Seam(3, lambda _, subscription: subscription.close(Closed.SHUTDOWN))
    stream = await StreamingService(seam, seam).open("acme", "0", Filters(), reduced=False)  # type: ignore[arg-type]
    chunks = [chunk async for chunk in stream.chunks()]
    assert b"id: 3\n" in chunks[-1]
    assert seam.open == 0
