"""What a consumer promises: one settlement per message, by the settle table; order per subject."""

import asyncio
from dataclasses import replace

import pytest
import structlog
from opentelemetry import trace
from tests.contract.messaging.conftest import Harness
from tests.support.messages import generation_of, outgoing, received_event
from tests.support.polling import eventually

from postern_common.contracts.broker import GATEWAY_PROJECTION
from postern_common.contracts.cloudevent import CloudEvent, encode
from postern_common.errors import DependencyDownError, PermanentError, TransientError

QUEUE = GATEWAY_PROJECTION


async def _settled(harness: Harness, *, dead: int = 0) -> None:
    """Nothing is ready, and nothing comes back after the consumers have gone."""
    await harness.drain()
    await harness.close()

    async def all_gone() -> bool:
        return await harness.depth(QUEUE) == 0 and await harness.dead(QUEUE) == dead

    await eventually(all_gone)


async def test_each_message_is_handled_once_and_acknowledged(harness: Harness) -> None:
    handled: list[CloudEvent] = []

    async def handle(event: CloudEvent) -> None:
        handled.append(event)

    events = [received_event(f"database-{number}") for number in range(20)]
    await harness.publish(*map(outgoing, events))
    harness.consume(QUEUE, handle)
    await eventually(lambda: len(handled) >= 20)
    await _settled(harness)
    assert {event.id for event in handled} == {event.id for event in events}
    assert len(handled) == 20


async def test_messages_of_one_subject_keep_their_order_while_others_overtake(harness: Harness) -> None:
    order: dict[str, list[int]] = {"slow": [], "fast": []}
    release = asyncio.Event()

    async def handle(event: CloudEvent) -> None:
        if event.subject == "slow" and generation_of(event) == 1:
            await release.wait()
        order[event.subject].append(generation_of(event))

    for generation in range(1, 4):
        await harness.publish(*(outgoing(received_event(subject, generation=generation)) for subject in order))
    harness.consume(QUEUE, handle)
    await eventually(lambda: order["fast"] == [1, 2, 3])
    assert order["slow"] == []
    release.set()
    await eventually(lambda: order["slow"] == [1, 2, 3])
    await _settled(harness)


async def test_the_handler_runs_in_the_messages_trace_and_log_context(harness: Harness) -> None:
    seen: dict[str, object] = {}

    async def handle(event: CloudEvent) -> None:
        seen.update(structlog.contextvars.get_contextvars())
        seen["trace_id"] = format(trace.get_current_span().get_span_context().trace_id, "032x")

    traced = replace_traceparent(received_event(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    await harness.publish(outgoing(traced))
    harness.consume(QUEUE, handle)
    await eventually(lambda: "trace_id" in seen)
    assert seen["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert seen["message_id"] == str(traced.id)
    assert seen["operation_id"] == str(traced.operationid)


def replace_traceparent(event: CloudEvent, traceparent: str) -> CloudEvent:
    """The event as created within another trace."""
    return CloudEvent(**{name: getattr(event, name) for name in event.__struct_fields__} | {"traceparent": traceparent})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{not json", "malformed"),
        (b"\xff\x00\xfe", "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'{"specversion":"1.0"}', "malformed"),
        (b'{"id":"%s"}' % (b"9" * 5000), "malformed"),
    ],
)
async def test_a_message_that_cannot_be_decoded_is_parked_with_its_reason_and_others_flow(
    harness: Harness, body: bytes, reason: str
) -> None:
    handled: list[CloudEvent] = []

    async def handle(event: CloudEvent) -> None:
        handled.append(event)

    await harness.publish(replace(outgoing(received_event()), body=body), outgoing(received_event()))
    harness.consume(QUEUE, handle)
    await eventually(lambda: len(handled) == 1 and len(harness.dead_letters.recorded) == 1)
    await _settled(harness, dead=1)
    assert harness.dead_letters.recorded[0].reason == reason
    assert harness.dead_letters.recorded[0].queue == QUEUE


async def test_a_message_of_an_unknown_type_is_parked_under_its_own_id(harness: Harness) -> None:
    event = received_event()
    unknown = encode(event).replace(event.type.encode(), b"dev.postern.database.received.v9")

    async def handle(_: CloudEvent) -> None:
        raise AssertionError("must not be called")

    await harness.publish(replace(outgoing(event), body=unknown))
    harness.consume(QUEUE, handle)
    await eventually(lambda: len(harness.dead_letters.recorded) == 1)
    await _settled(harness, dead=1)
    letter = harness.dead_letters.recorded[0]
    assert (letter.reason, letter.source, letter.id) == ("unknown_type", event.source, str(event.id))


async def test_a_permanent_error_parks_the_message_at_its_first_delivery(harness: Harness) -> None:
    calls = 0

    async def handle(_: CloudEvent) -> None:
        nonlocal calls
        calls += 1
        raise PermanentError("no_such_project", "there is no such project")

    await harness.publish(outgoing(received_event()))
    harness.consume(QUEUE, handle)
    await eventually(lambda: len(harness.dead_letters.recorded) == 1)
    await _settled(harness, dead=1)
    assert calls == 1
    assert harness.dead_letters.recorded[0].reason == "no_such_project"


async def test_a_transient_error_is_tried_again_until_it_succeeds(harness: Harness) -> None:
    calls = 0

    async def handle(_: CloudEvent) -> None:
        nonlocal calls
        calls += 1
        if calls < 6:
            raise TransientError("database_contended", "deadlock")

    await harness.publish(outgoing(received_event()))
    harness.consume(QUEUE, handle)
    await eventually(lambda: calls == 6)
    await _settled(harness)
    assert harness.dead_letters.recorded == []


async def test_an_unexpected_error_is_delivered_again_after_a_pause(harness: Harness) -> None:
    calls = 0

    async def handle(_: CloudEvent) -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise ZeroDivisionError

    await harness.publish(outgoing(received_event()))
    harness.consume(QUEUE, handle)
    await eventually(lambda: calls == 3)
    await _settled(harness)


async def test_while_a_dependency_is_down_one_message_tries_and_nothing_is_redelivered(harness: Harness) -> None:
    down, concurrent, worst, calls = True, 0, 0, 0
    handled: list[str] = []

    async def handle(event: CloudEvent) -> None:
        nonlocal concurrent, worst, calls
        calls += 1
        concurrent += 1
        worst = max(worst, concurrent)
        try:
            await asyncio.sleep(0)
            if down:
                raise DependencyDownError("database_unavailable", "connection refused")
            handled.append(event.subject)
        finally:
            concurrent -= 1

    await harness.publish(*(outgoing(received_event(f"database-{number}")) for number in range(30)))
    harness.consume(QUEUE, handle)
    await eventually(lambda: calls >= 1)
    await eventually(lambda: concurrent == 0)
    worst, seen = 0, calls
    await eventually(lambda: calls >= seen + 2)
    assert worst == 1
    assert handled == []
    down = False
    await eventually(lambda: len(handled) == 30, timeout=20)
    await _settled(harness)
    assert len(handled) == 30


async def test_a_message_cancelled_in_mid_handler_is_delivered_again(harness: Harness) -> None:
    started = asyncio.Event()
    handled: list[CloudEvent] = []

    async def hang(_: CloudEvent) -> None:
        started.set()
        await asyncio.Event().wait()

    async def handle(event: CloudEvent) -> None:
        handled.append(event)

    event = received_event()
    await harness.publish(outgoing(event))
    _, task = harness.consume(QUEUE, hang)
    await asyncio.wait_for(started.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    harness.consume(QUEUE, handle)
    await eventually(lambda: [each.id for each in handled] == [event.id])
    await _settled(harness)


async def test_a_connection_lost_between_handle_and_ack_delivers_again(harness: Harness) -> None:
    handled: list[CloudEvent] = []

    async def handle(event: CloudEvent) -> None:
        handled.append(event)
        if len(handled) == 1:
            harness.lose_connection()
            await asyncio.sleep(0)

    event = received_event()
    await harness.publish(outgoing(event))
    harness.consume(QUEUE, handle)
    await eventually(lambda: len(handled) == 2)
    await _settled(harness)
    assert {each.id for each in handled} == {event.id}


async def test_a_drain_ends_what_is_under_way_and_begins_nothing_new(harness: Harness) -> None:
    begun: list[int] = []
    release = asyncio.Event()

    async def handle(event: CloudEvent) -> None:
        begun.append(generation_of(event))
        await release.wait()

    await harness.publish(*(outgoing(received_event("one", generation=number)) for number in (1, 2, 3)))
    consumer, _ = harness.consume(QUEUE, handle)
    await eventually(lambda: begun == [1])
    async with asyncio.TaskGroup() as group:
        draining = group.create_task(consumer.drain())
        await asyncio.sleep(0.05)
        assert not draining.done()
        release.set()
    assert begun == [1]
    await harness.close()

    async def two_left() -> bool:
        return await harness.depth(QUEUE) == 2

    await eventually(two_left)


async def test_a_reason_is_stored_before_the_message_is_parked(harness: Harness) -> None:
    harness.dead_letters.is_up = False

    async def handle(_: CloudEvent) -> None:
        raise PermanentError("broken", "for good")

    await harness.publish(outgoing(received_event()))
    harness.consume(QUEUE, handle)
    await asyncio.sleep(0.3)
    assert await harness.dead(QUEUE) == 0
    harness.dead_letters.is_up = True
    await eventually(lambda: len(harness.dead_letters.recorded) == 1)
    await _settled(harness, dead=1)
