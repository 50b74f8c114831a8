"""A batch of received events becomes entries of the ledger, in one transaction (semantics 27, 32, 34).

Order inside: the head is locked first, so that de-duplication, positions and sequences are decided by one writer at a
time; the epoch is compared under that lock.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from postern_audit import metrics
from postern_audit.domain.chain import append
from postern_audit.domain.entry import Draft, draft_entry
from postern_audit.domain.gaps import Progress, advance
from postern_audit.storage.ledger_writer import (
    FencedError,
    Source,
    insert_batch,
    lock_head,
    move_progress,
    read_counters,
    write_gaps,
)
from postern_common.contracts.cloudevent import CloudEvent
from postern_common.persistence import Inbox, UnitOfWorkFactory
from postern_common.runtime import crashpoint

logger = structlog.get_logger(__name__)


class AppendingService:
    """Appends batches. Used by the elected writer only; the epoch of its election fences a replaced one."""

    def __init__(self, units: UnitOfWorkFactory, inbox: Inbox) -> None:
        self._units = units
        self._inbox = inbox

    async def append(self, events: Sequence[CloudEvent], *, epoch: int) -> int:
        """Append what the ledger does not have yet, in the order given; returns how many entries that were. The events
        are storable: the consumer has set others aside (``require_storable``).

        Raises ``FencedError`` when another writer was elected since ``epoch``, ``DependencyDownError`` or
        ``TransientError`` when the database does not answer or is contended; nothing is written then.
        """
        started = time.perf_counter()
        drafts = [draft_entry(event) for event in events]
        try:
            fresh, position = await self._commit(events, drafts, epoch)
        except FencedError:
            metrics.FENCED.inc()
            raise
        crashpoint("ledger_after_commit")
        _measure(len(events), fresh, position, time.perf_counter() - started)
        return len(fresh)

    async def _commit(self, events: Sequence[CloudEvent], drafts: list[Draft], epoch: int) -> tuple[list[Draft], int]:
        arrived = _arrivals(drafts)
        async with self._units() as unit:
            head = await lock_head(unit.connection, epoch)
            is_new = await self._inbox.insert_many(unit.connection, events)
            fresh = [draft for draft, new in zip(drafts, is_new, strict=True) if new]
            projects = {draft.project for draft in fresh if draft.project is not None}
            counters = await read_counters(unit.connection, projects, list(arrived))
            progress = {
                key: advance(counters.progress.get(key, Progress()), numbers) for key, numbers in arrived.items()
            }
            if fresh:
                batch = append(head, counters.sequences, fresh)
                await insert_batch(unit.connection, batch, epoch, progress)
                head = batch.head
            elif progress:
                await move_progress(unit.connection, progress)
            await write_gaps(unit.connection, counters.progress, progress)
            crashpoint("ledger_before_commit")
        _report_gaps(counters.progress, progress)
        return fresh, head.position


def _arrivals(drafts: Sequence[Draft]) -> dict[Source, list[int]]:
    """Each source's own numbers: those that never come are messages that are missing (semantics 28)."""
    arrived: dict[Source, list[int]] = defaultdict(list)
    for draft in drafts:
        if draft.source_shard is not None and draft.source_sequence:
            arrived[draft.source, draft.source_shard].append(draft.source_sequence)
    return arrived


def _report_gaps(before: Mapping[Source, Progress], after: Mapping[Source, Progress]) -> None:
    for key, progress in after.items():
        known = before.get(key, Progress())
        for gap in progress.gaps:
            if gap.first > known.highest:
                logger.warning("ledger_gap_seen", source=key[0], shard=key[1], first=gap.first, last=gap.last)
        if progress.missing < known.missing:
            logger.info("ledger_gap_narrowed", source=key[0], shard=key[1], missing=progress.missing)
        metrics.MISSING.inc(progress.missing - known.missing)


def _measure(received: int, fresh: Sequence[Draft], position: int, seconds: float) -> None:
    metrics.DUPLICATES.inc(received - len(fresh))
    if not fresh:
        return
    metrics.APPENDED.inc(len(fresh))
    metrics.BATCH_SIZE.observe(len(fresh))
    metrics.APPEND_SECONDS.observe(seconds)
    metrics.HEAD_POSITION.set(position)
    metrics.LAG_SECONDS.set(max(0.0, _age_of(min(draft.time for draft in fresh))))


def _age_of(moment: str) -> float:
    """Seconds since an event's own time; 0 for one that cannot be read, it is a metric only."""
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return 0.0
    return (datetime.now(UTC) - then).total_seconds() if then.tzinfo is not None else 0.0
