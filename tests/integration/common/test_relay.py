"""What the relay promises on a real database: order per subject, a gapless sequence, nothing sent unowned."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tests.integration.common.conftest import SCHEMA, Writer
from tests.support.messages import generation_of, received_event
from tests.support.polling import eventually
from typing_extensions import override

from postern_common.contracts.broker import EVENTS_EXCHANGE
from postern_common.contracts.cloudevent import decode
from postern_common.contracts.identifiers import new_id
from postern_common.contracts.outgoing import OutgoingMessage
from postern_common.errors import DependencyDownError, PermanentError, TransientError
from postern_common.persistence import Relay, SentMessage, shard_of
from postern_common.persistence import relay as relay_module
from postern_common.runtime import TaskOwner
from postern_common.testing import FakeBroker

pytestmark = pytest.mark.integration


class Relays:
    """Starts relays and ends them with the test."""

    def __init__(self, engine: AsyncEngine, writer: Writer) -> None:
        self._engine = engine
        self._writer = writer
        self.owner = TaskOwner()

    def start(self, publisher: Any, *, owner: str = "one", **more: Any) -> tuple[Relay, asyncio.Task[None]]:
        """A running relay."""
        made = Relay(
            engine=self._engine,
            schema=SCHEMA,
            source="/postern/gateway",
            publisher=publisher,
            wakeup=self._writer.wakeup,
            owner=owner,
            **more,
        )
        return made, self.owner.spawn(made.run(), name="relay")


@pytest.fixture
async def relays(engine: AsyncEngine, writer: Writer) -> AsyncIterator[Relays]:
    """Relays of the service."""
    made = Relays(engine, writer)
    yield made
    await made.owner.close(5.0)


class Recorder:
    """A publisher that keeps what it gets, and fails as told."""

    def __init__(self) -> None:
        self.messages: list[OutgoingMessage] = []
        self.failures: list[Exception] = []
        self.refused: dict[str, Exception] = {}

    async def publish(self, message: OutgoingMessage) -> None:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        event = decode(message.body)
        if event.subject in self.refused:
            raise self.refused[event.subject]
        self.messages.append(message)

    def generations(self, subject: str) -> list[int]:
        events = [decode(message.body) for message in self.messages]
        return [generation_of(event) for event in events if event.subject == subject]


async def test_a_committed_message_is_published_within_milliseconds_and_marked_sent(
    relays: Relays, writer: Writer
) -> None:
    broker = FakeBroker()
    relays.start(broker.publisher())
    await asyncio.sleep(0.3)
    event = received_event()
    await writer.write(event)
    await eventually(lambda: len(broker.published) == 1, timeout=0.5, every=0.001)
    assert decode(broker.published[0].body).id == event.id

    async def none_left() -> bool:
        return await writer.unsent() == 0

    await eventually(none_left)


async def test_rows_of_a_subject_leave_in_order_and_the_sequence_has_no_gap(relays: Relays, writer: Writer) -> None:
    publisher = Recorder()
    subjects = [f"database-{number}" for number in range(20)]
    for generation in range(1, 16):
        await writer.write(*(received_event(subject, generation=generation) for subject in subjects))
    relays.start(publisher)
    await eventually(lambda: len(publisher.messages) == 300)
    for subject in subjects:
        assert publisher.generations(subject) == list(range(1, 16))
    stamps: dict[int, list[int]] = {}
    for message in publisher.messages:
        event = decode(message.body)
        assert event.sourceshard == shard_of(event.subject)
        assert event.sourcesequence is not None
        stamps.setdefault(event.sourceshard, []).append(event.sourcesequence)
    for sequence in stamps.values():
        assert sorted(sequence) == list(range(1, len(sequence) + 1))


async def test_only_what_goes_to_the_events_exchange_is_counted(relays: Relays, writer: Writer) -> None:
    publisher = Recorder()
    event = received_event()
    await writer.write(event, exchange="postern.commands")
    await writer.write(event)
    relays.start(publisher)
    await eventually(lambda: len(publisher.messages) == 2)
    by_exchange = {message.exchange: decode(message.body) for message in publisher.messages}
    assert by_exchange["postern.commands"].sourcesequence is None
    assert by_exchange[EVENTS_EXCHANGE].sourcesequence == 1
    assert {each.id for each in by_exchange.values()} == {event.id}


async def test_a_command_leaves_only_when_the_broker_has_its_ledger_copy(relays: Relays, writer: Writer) -> None:
    publisher = Recorder()
    event = received_event()
    publisher.refused[event.subject] = TransientError("nacked", "not now")
    await writer.write(event, exchange=EVENTS_EXCHANGE)
    await writer.write(event, exchange="postern.commands")
    other = received_event("database-2")
    await writer.write(other)
    relays.start(publisher)
    await eventually(lambda: len(publisher.messages) == 1)
    assert decode(publisher.messages[0].body).id == other.id
    publisher.refused.clear()
    await eventually(lambda: len(publisher.messages) == 3)
    assert [message.exchange for message in publisher.messages[1:]] == [EVENTS_EXCHANGE, "postern.commands"]


async def test_a_broker_that_is_down_costs_time_but_no_attempt(relays: Relays, writer: Writer) -> None:
    publisher = Recorder()
    publisher.failures = [DependencyDownError("broker_unavailable", "down")] * 3
    await writer.write(received_event(generation=1), received_event(generation=2))
    relays.start(publisher)
    await eventually(lambda: len(publisher.messages) == 2)
    assert publisher.generations("database-1") == [1, 2]
    await eventually(lambda: _none_unsent(writer))
    assert await writer.rows("attempts, parked_reason") == [(1, None), (1, None)]


async def _none_unsent(writer: Writer) -> bool:
    return await writer.unsent() == 0


async def test_a_re_send_carries_the_same_id_and_the_same_sequence(relays: Relays, writer: Writer) -> None:
    bodies: list[dict[str, Any]] = []

    class FailsAfterSending(Recorder):
        @override
        async def publish(self, message: OutgoingMessage) -> None:
            bodies.append(json.loads(message.body))
            if len(bodies) == 1:
                raise DependencyDownError("broker_unavailable", "the confirm was lost")

    await writer.write(received_event())
    relays.start(FailsAfterSending())
    await eventually(lambda: len(bodies) == 2)
    assert bodies[0] == bodies[1]


async def test_a_row_that_is_refused_for_good_is_parked_and_blocks_only_its_subject(
    relays: Relays, writer: Writer
) -> None:
    publisher = Recorder()
    publisher.refused["bad"] = PermanentError("message_too_large", "too large")
    await writer.write(received_event("bad", generation=1), received_event("good", generation=1))
    made, _ = relays.start(publisher)
    await eventually(lambda: publisher.generations("good") == [1])
    await writer.write(received_event("bad", generation=2), received_event("good", generation=2))
    await eventually(lambda: publisher.generations("good") == [1, 2])

    async def only_the_bad_are_left() -> bool:
        backlog = await made.pending()
        return (backlog.count, backlog.parked) == (2, 1)

    await eventually(only_the_bad_are_left)
    assert publisher.generations("bad") == []
    parked = await writer.rows("parked_reason")
    assert [reason for (reason,) in parked if reason] == ["message_too_large: too large"]


async def test_a_row_refused_for_now_holds_its_successors_back_and_then_leaves_first(
    relays: Relays, writer: Writer
) -> None:
    publisher = Recorder()
    publisher.refused["busy"] = TransientError("publish_refused", "the queue is full")
    await writer.write(*(received_event("busy", generation=number) for number in (1, 2, 3)))
    relays.start(publisher)

    async def tried() -> bool:
        return [attempts for (attempts,) in await writer.rows("attempts")] == [2, 0, 0]

    await eventually(tried)
    publisher.refused.clear()
    await eventually(lambda: publisher.generations("busy") == [1, 2, 3])


async def test_an_unknown_error_is_given_up_after_eight_attempts(
    relays: Relays, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "delay_for", lambda _: 0.0)
    publisher = Recorder()
    publisher.refused["odd"] = ZeroDivisionError()
    await writer.write(received_event("odd"))
    relays.start(publisher)

    async def parked() -> bool:
        return await writer.rows("attempts, parked_reason") == [(8, "unexpected_error: ZeroDivisionError")]

    await eventually(parked)


async def test_the_hook_runs_in_the_transaction_that_marks_sent(relays: Relays, writer: Writer) -> None:
    told: list[SentMessage] = []

    async def on_sent(connection: AsyncConnection, messages: Sequence[SentMessage]) -> None:
        told.extend(messages)
        if len(told) == 1:
            raise TransientError("database_contended", "deadlock")
        for message in messages:
            await connection.execute(
                text(f"INSERT INTO {SCHEMA}.inbox (consumer, source, id) VALUES ('hook', 'test', :id)"),
                {"id": message.event_id},
            )

    publisher = Recorder()
    operation = new_id()
    event = received_event(operation_id=operation)
    await writer.write(event)
    relays.start(publisher, on_sent=on_sent)
    await eventually(lambda: _none_unsent(writer))
    assert [(message.event_id, message.operation_id) for message in told] == [(event.id, operation)] * 2
    assert len(publisher.messages) == 2


async def test_a_second_relay_takes_over_when_the_first_gives_its_shards_back(relays: Relays, writer: Writer) -> None:
    first, second = Recorder(), Recorder()
    _, task = relays.start(first, owner="one")
    await writer.write(received_event("a"))
    await eventually(lambda: first.generations("a") == [1])
    relays.start(second, owner="two")
    await writer.write(received_event("b"))
    await eventually(lambda: first.generations("b") == [1])
    task.cancel()
    await asyncio.wait([task])
    await writer.write(received_event("c"))
    await eventually(lambda: second.generations("c") == [1])
    assert second.generations("a") == second.generations("b") == []


async def test_a_relay_that_lost_its_lease_marks_nothing_sent(
    relays: Relays, writer: Writer, engine: AsyncEngine
) -> None:
    class Stolen(Recorder):
        @override
        async def publish(self, message: OutgoingMessage) -> None:
            await super().publish(message)
            async with engine.begin() as connection:
                await connection.execute(text(f"UPDATE {SCHEMA}.relay_leases SET owner = 'thief', epoch = epoch + 1"))

    publisher = Stolen()
    await writer.write(received_event())
    relays.start(publisher)
    await eventually(lambda: len(publisher.messages) == 1)
    await asyncio.sleep(0.2)
    assert await writer.unsent() == 1
    assert len(publisher.messages) == 1


async def test_an_idle_relay_asks_about_once_a_second(relays: Relays, engine: AsyncEngine) -> None:
    relays.start(FakeBroker().publisher())
    await asyncio.sleep(2.0)
    before = await _statements(engine)
    await asyncio.sleep(2.0)
    assert await _statements(engine) - before <= 6


async def _statements(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_stat_force_next_flush()"))
        committed = await connection.scalar(
            text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        )
        return int(committed or 0)
