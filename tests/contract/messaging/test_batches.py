"""What the batch consumer promises: all or nothing, in order."""

import asyncio
import itertools
from dataclasses import replace

import pytest
from tests.contract.messaging.conftest import Harness
from tests.support.messages import generation_of, outgoing, received_event
from tests.support.polling import eventually

from postern_common.contracts.broker import AUDIT_LEDGER
from postern_common.contracts.cloudevent import CloudEvent
from postern_common.messaging import consumer as consumer_module

QUEUE = AUDIT_LEDGER


async def _settled(harness: Harness, *, dead: int = 0) -> None:
    await harness.drain()
    await harness.close()

    async def all_gone() -> bool:
        return await harness.depth(QUEUE) == 0 and await harness.dead(QUEUE) == dead

    await eventually(all_gone)


async def test_batches_come_in_order_and_are_acknowledged_together(harness: Harness) -> None:
    handled: list[int] = []
    sizes: list[int] = []

    async def handle(events: list[CloudEvent]) -> None:
        sizes.append(len(events))
        handled.extend(generation_of(event) for event in events)
        await asyncio.sleep(0.02)

    await harness.publish(*(outgoing(received_event(generation=number)) for number in range(100)))
    harness.consume_batches(QUEUE, handle)
    await eventually(lambda: len(handled) >= 100)
    await _settled(harness)
    assert handled == list(range(100))
    assert max(sizes) > 1


async def test_a_failed_batch_comes_again_whole_and_nothing_overtakes_it(harness: Harness) -> None:
    committed: list[int] = []
    failures = 0

    async def handle(events: list[CloudEvent]) -> None:
        nonlocal failures
        if failures < 2 and any(generation_of(event) >= 10 for event in events):
            failures += 1
            raise ZeroDivisionError
        committed.extend(generation_of(event) for event in events)

    await harness.publish(*(outgoing(received_event(generation=number)) for number in range(40)))
    harness.consume_batches(QUEUE, handle, prefetch=8)
    await eventually(lambda: len(committed) >= 40)
    await _settled(harness)
    first_seen = list(dict.fromkeys(committed))
    assert first_seen == list(range(40))
    assert failures == 2


async def test_a_poisonous_message_is_parked_and_its_batch_goes_on(harness: Harness) -> None:
    handled: list[int] = []

    async def handle(events: list[CloudEvent]) -> None:
        handled.extend(generation_of(event) for event in events)

    await harness.publish(
        outgoing(received_event(generation=1)),
        replace(outgoing(received_event()), body=b"}"),
        outgoing(received_event(generation=2)),
    )
    harness.consume_batches(QUEUE, handle)
    await eventually(lambda: handled == [1, 2])
    await _settled(harness, dead=1)
    assert [letter.reason for letter in harness.dead_letters.recorded] == ["malformed"]


async def test_a_cancelled_batch_is_left_unsettled(harness: Harness) -> None:
    started = asyncio.Event()
    handled: list[int] = []

    async def hang(_: list[CloudEvent]) -> None:
        started.set()
        await asyncio.Event().wait()

    async def handle(events: list[CloudEvent]) -> None:
        handled.extend(generation_of(event) for event in events)

    await harness.publish(*(outgoing(received_event(generation=number)) for number in range(5)))
    _, task = harness.consume_batches(QUEUE, hang)
    await asyncio.wait_for(started.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    harness.consume_batches(QUEUE, handle)
    await eventually(lambda: handled == list(range(5)))
    await _settled(harness)


async def test_a_lost_connection_in_mid_batch_brings_it_again(harness: Harness) -> None:
    handled: list[int] = []

    async def handle(events: list[CloudEvent]) -> None:
        handled.extend(generation_of(event) for event in events)
        if len(handled) <= 5:
            harness.lose_connection()
            await asyncio.sleep(0.05)

    await harness.publish(*(outgoing(received_event(generation=number)) for number in range(5)))
    harness.consume_batches(QUEUE, handle)
    await eventually(lambda: len(handled) > 5 and handled[-5:] == list(range(5)))
    await _settled(harness)


async def test_a_drain_ends_the_batch_under_way(harness: Harness) -> None:
    release = asyncio.Event()
    handled: list[int] = []

    async def handle(events: list[CloudEvent]) -> None:
        handled.extend(generation_of(event) for event in events)
        await release.wait()

    await harness.publish(outgoing(received_event(generation=1)))
    consumer, _ = harness.consume_batches(QUEUE, handle)
    await eventually(lambda: handled == [1])
    async with asyncio.TaskGroup() as group:
        draining = group.create_task(consumer.drain())
        await asyncio.sleep(0.05)
        assert not draining.done()
        release.set()
    await _settled(harness)
    assert handled == [1]


async def test_what_arrives_after_a_failure_waits_for_what_failed(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "backoff", lambda: itertools.repeat(0.1))
    failed = asyncio.Event()
    handled: list[int] = []

    async def handle(events: list[CloudEvent]) -> None:
        if not failed.is_set():
            failed.set()
            raise ZeroDivisionError
        handled.extend(generation_of(event) for event in events)

    harness.consume_batches(QUEUE, handle)
    await harness.publish(outgoing(received_event(generation=1)))
    await asyncio.wait_for(failed.wait(), 10)
    await harness.publish(outgoing(received_event(generation=2)))
    await eventually(lambda: len(handled) >= 2)
    await _settled(harness)
    assert handled == [1, 2]
