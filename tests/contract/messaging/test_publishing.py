"""What a publisher promises: a known outcome."""

import asyncio
from dataclasses import replace

import pytest
from tests.contract.messaging.conftest import Harness
from tests.support.messages import outgoing, received_event

from postern_common.contracts.broker import AUDIT_LEDGER, EVENTS_EXCHANGE, GATEWAY_PROJECTION, MAX_BODY_BYTES
from postern_common.errors import DependencyDownError, PermanentError
from postern_common.messaging import UnroutableError


async def test_a_confirmed_message_is_in_every_bound_queue(harness: Harness) -> None:
    await harness.publish(outgoing(received_event()))
    assert await harness.depth(AUDIT_LEDGER) == 1
    assert await harness.depth(GATEWAY_PROJECTION) == 1


async def test_many_messages_at_once_are_all_confirmed(harness: Harness) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(300):
            group.create_task(harness.publish(outgoing(received_event(f"database-{number}"))))
    assert await harness.depth(AUDIT_LEDGER) == 300


async def test_a_message_that_no_queue_wants_is_an_error_not_a_loss(harness: Harness) -> None:
    lost = replace(outgoing(received_event()), exchange="postern.dead", routing_key="nobody.listens")
    with pytest.raises(UnroutableError):
        await harness.publish(lost)
    await harness.publish(outgoing(received_event()))


async def test_a_missing_exchange_says_what_to_run_and_others_still_publish(harness: Harness) -> None:
    with pytest.raises(DependencyDownError) as caught:
        await harness.publish(replace(outgoing(received_event()), exchange="postern.unknown"))
    assert caught.value.code == "topology_missing"
    await harness.publish(outgoing(received_event()))
    assert await harness.depth(AUDIT_LEDGER) == 1


async def test_an_oversized_message_is_refused_at_its_source(harness: Harness) -> None:
    large = replace(outgoing(received_event()), body=b"x" * (MAX_BODY_BYTES + 1), exchange=EVENTS_EXCHANGE)
    with pytest.raises(PermanentError):
        await harness.publish(large)
    assert await harness.depth(AUDIT_LEDGER) == 0
