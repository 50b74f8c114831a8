"""What the ledger holds after batches, whatever was delivered twice, late, or by a writer that was replaced."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.audit.ledger import Ledger, api_action, received

from postern_audit.domain.chain import GENESIS, entry_hash
from postern_audit.storage.ledger_writer import FencedError
from postern_common.contracts.cloudevent import encode

pytestmark = pytest.mark.integration


async def assert_chained(ledger: Ledger) -> None:
    previous = GENESIS
    entries = await ledger.everything()
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    for entry in entries:
        assert entry.previous_hash == previous
        assert entry.hash == entry_hash(previous, entry, position=entry.position, sequence=entry.sequence)
        previous = entry.hash


async def test_entries_are_gapless_per_project_and_chained(ledger: Ledger) -> None:
    await ledger.append([received("acme"), received("beta"), received("acme"), api_action(None)])
    await ledger.append([received("beta"), api_action("acme")])
    entries = await ledger.everything()
    assert [(entry.project, entry.sequence) for entry in entries] == [
        ("acme", 1), ("beta", 1), ("acme", 2), (None, None), ("beta", 2), ("acme", 3),
    ]  # fmt: skip
    await assert_chained(ledger)


async def test_a_redelivered_batch_adds_nothing(ledger: Ledger) -> None:
    batch = [received() for _ in range(5)]
    assert await ledger.append(batch) == 5
    assert await ledger.append(batch) == 0
    assert await ledger.append([*batch, received()]) == 1
    assert [entry.sequence for entry in await ledger.everything()] == [1, 2, 3, 4, 5, 6]
    await assert_chained(ledger)


async def test_an_id_that_stands_twice_in_one_batch_is_one_entry(ledger: Ledger) -> None:
    event = received()
    assert await ledger.append([event, received(), event]) == 2
    await assert_chained(ledger)


async def test_what_was_received_is_given_back_to_the_byte(ledger: Ledger) -> None:
    event = api_action()
    await ledger.append([event])
    (entry,) = await ledger.everything()
    assert entry.time == event.time
    assert entry.data.encode() == bytes(event.data)
    assert entry.actor == "api_key:ci"
    assert entry.trace_id == "0af7651916cd43dd8448eb211c80319c"
    from postern_audit.domain.entry import event_of  # noqa: PLC0415

    assert encode(event_of(entry)).replace(b',"sequence":"1"', b"") == encode(event)


async def test_a_replaced_writer_is_fenced_and_writes_nothing(ledger: Ledger) -> None:
    await ledger.append([received()], epoch=2)
    with pytest.raises(FencedError):
        await ledger.append([received()], epoch=1)
    assert len(await ledger.everything()) == 1
    await ledger.append([received()], epoch=2)
    await assert_chained(ledger)


async def test_two_writers_at_once_make_one_chain(ledger: Ledger) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(ledger.append([received("acme"), received("beta")], epoch=1))
    entries = await ledger.everything()
    assert [entry.sequence for entry in entries if entry.project == "acme"] == list(range(1, 11))
    await assert_chained(ledger)


async def test_a_batch_cancelled_in_the_middle_leaves_no_trace(ledger: Ledger, admin: AsyncEngine) -> None:
    batch = [received() for _ in range(3)]
    async with admin.begin() as blocker:
        await blocker.execute(text("SELECT 1 FROM audit.ledger_head FOR UPDATE"))
        appending = asyncio.get_running_loop().create_task(ledger.append(batch))
        await asyncio.wait({appending}, timeout=0.2)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
    assert await ledger.everything() == []
    assert await ledger.append(batch) == 3
    await assert_chained(ledger)


async def test_missing_numbers_are_seen_and_a_late_arrival_closes_them(ledger: Ledger) -> None:
    await ledger.append([received(shard=3, number=1), received(shard=3, number=5)])
    assert await ledger.reader.missing() == 3
    await ledger.append([received(shard=3, number=3)])
    assert await ledger.reader.missing() == 2
    await ledger.append([received(shard=3, number=2), received(shard=3, number=4), received(shard=4, number=1)])
    assert await ledger.reader.missing() == 0


async def test_a_duplicate_counts_as_arrived_but_is_no_entry(ledger: Ledger) -> None:
    event = received(shard=0, number=1)
    await ledger.append([event])
    assert await ledger.append([event, received(shard=0, number=2)]) == 1
    assert await ledger.reader.missing() == 0
