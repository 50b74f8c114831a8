"""Derives what every change means and stores it: one leader's work for the time of its epoch.

Deriving is synchronous, at the moment of the change, so that no transition is passed over while another is being
written. Writing takes what has come together since the last write in one transaction (rows and events). When a write
fails or is fenced off, memory is not trusted any more: the records are read again and derived anew, so that an unknown
outcome of a commit makes neither a gap nor a duplicate.
"""

import asyncio
import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.errors import TransientError
from postern_common.logging import get_logger
from postern_common.persistence import UnitOfWorkFactory, open_transaction
from postern_common.runtime import Wakeup, delay_for
from postern_watcher.domain.derivation import derive_state
from postern_watcher.domain.drift import find_drift
from postern_watcher.domain.entry import Entry
from postern_watcher.domain.record import Record, Transition, advance, believe
from postern_watcher.metrics import CONFLICTS, TRANSITIONS
from postern_watcher.services.announcing import Drifted, announce
from postern_watcher.services.sightings import Sightings
from postern_watcher.storage.rows import RecordWrite, is_tombstone, read_live, read_some, write_records

logger = get_logger(__name__)

BATCH_DATABASES = 200
IDLE_SECONDS = 30.0
"""How long the writer sleeps when nothing is due; orphans are looked through then."""


@dataclass(slots=True)
class _Pending:
    """What is to be written about one database: the revision read, the newest record, its news in order."""

    read_revision: int | None
    record: Record
    news: list[Transition | Drifted] = field(default_factory=list)


class TransitionService:
    """Transitions of one epoch. ``fenced`` is called when a write shows that another may lead."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        units: UnitOfWorkFactory,
        epoch: int,
        fenced: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.sightings = Sightings(self._look, clock)
        self._engine = engine
        self._units = units
        self._epoch = epoch
        self._fenced = fenced
        self._clock = clock
        self._ready = False
        self._wakeup = Wakeup()
        self._pending: dict[str, _Pending] = {}
        self._stale: set[str] = set()
        self._due: dict[str, float] = {}
        self._timers: list[tuple[float, str]] = []
        self._failures = 0

    async def load(self) -> None:
        """Read the records of all databases that are not tombstones. Raises ``TransientError``."""
        async with open_transaction(self._engine) as connection:
            records = await read_live(connection)
        for record in records:
            self.sightings.remember(record)

    def start(self) -> None:
        """Everything is in sight for the first time: from now on an absence means something."""
        if self._ready:
            return
        self._ready = True
        for key in self.sightings:
            self._look(key)

    async def run(self) -> None:
        """Write what is pending and look again at what is due, for ever."""
        while True:
            await self._wakeup.wait(self._patience())
            self._look_at_due()
            while self._pending or self._stale:
                try:
                    await self._refresh()
                    await self._write()
                    self._failures = 0
                except TransientError as error:
                    pause = delay_for(self._failures)
                    self._failures += 1
                    logger.warning(
                        "transitions_not_written", code=error.code, detail=error.detail, pause=round(pause, 3)
                    )
                    await asyncio.sleep(pause)  # changes meanwhile must not make it try sooner
                self._look_at_due()
            self.sightings.forget_orphans()

    def _look(self, key: str) -> None:
        """Derive the state of one database from what is in sight now."""
        entry = self.sightings.get(key) if self._ready and key not in self._stale else None
        if entry is None or not entry.is_known:
            return
        now = self._clock()
        record = entry.record
        if record is not None and entry.cluster is not None and record.database_id != entry.cluster.database_id:
            logger.error("cluster_name_taken", cluster=key, database_id=entry.cluster.database_id)
            return
        cluster = believe(record, entry.cluster)
        observed, recheck_after = derive_state(
            record.observed if record is not None else None,
            now,
            cluster,
            tuple(entry.volumes.values()),
            tuple(entry.pods.values()),
            tuple(entry.warnings),
        )
        step = advance(record, observed, cluster, now)
        drift = find_drift(record, cluster)
        self._schedule(key, now, recheck_after)
        if step.record != record:
            entry.record = step.record
            self.sightings.put(key, entry)
        if step.keep or drift is not None:
            pending = self._pending.get(key)
            if pending is None:
                pending = _Pending(record.revision if record is not None else None, step.record)
                self._pending[key] = pending
            pending.record = step.record
            pending.news += [Drifted(step.record, drift)] if drift is not None else []
            pending.news += [step.transition] if step.transition is not None else []
            self._wakeup.set()

    def _schedule(self, key: str, now: float, after: float | None) -> None:
        if after is None:
            self._due.pop(key, None)
            return
        self._due[key] = now + after
        heapq.heappush(self._timers, (now + after, key))
        self._wakeup.set()

    def _patience(self) -> float:
        """Seconds until the next database is due."""
        if self._pending or self._stale:
            return 0.0
        if not self._timers:
            return IDLE_SECONDS
        return min(max(self._timers[0][0] - self._clock(), 0.0), IDLE_SECONDS)

    def _look_at_due(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            due, key = heapq.heappop(self._timers)
            if self._due.get(key) == due:
                del self._due[key]
                self._look(key)

    async def _write(self) -> None:
        batch = dict(list(self._pending.items())[:BATCH_DATABASES])
        if not batch:
            return
        for key in batch:
            del self._pending[key]
        try:
            stored = await self._store(list(batch.values()))
        except BaseException:
            self._distrust(batch)
            raise
        fenced_off = [key for key, pending in batch.items() if pending.record.database_id not in stored]
        if fenced_off:
            CONFLICTS.inc(len(fenced_off))
            logger.warning("transitions_fenced_off", databases=len(fenced_off), epoch=self._epoch)
            self._distrust(fenced_off)
            self._fenced()
        for key in batch.keys() - set(fenced_off):
            self._forget_if_gone(key)

    async def _store(self, batch: Sequence[_Pending]) -> set[str]:
        """One transaction: rows, and the events of those rows that were not fenced off."""
        writes = [RecordWrite(pending.record, pending.read_revision) for pending in batch]
        async with self._units() as unit:
            stored = await write_records(unit.connection, self._epoch, writes)
            for pending in batch:
                if pending.record.database_id in stored:
                    for news in pending.news:
                        unit.publish(announce(news))
        for pending in batch:
            if pending.record.database_id in stored:
                _report(pending)
        return stored

    def _distrust(self, keys: Sequence[str] | dict[str, _Pending]) -> None:
        for key in keys:
            self._pending.pop(key, None)
            self._stale.add(key)

    async def _refresh(self) -> None:
        """Read the records of distrusted databases and derive them anew."""
        if not self._stale:
            return
        keys = list(self._stale)[:BATCH_DATABASES]
        entries = {key: entry for key in keys if (entry := self.sightings.get(key)) is not None}
        async with open_transaction(self._engine) as connection:
            records = await read_some(connection, {identity for entry in entries.values() if (identity := _id(entry))})
        for key in keys:
            self._stale.discard(key)
            entry = self.sightings.get(key)
            if entry is None:
                continue
            entry.record = records.get(_id(entry))
            if entry.cluster is None and (entry.record is None or is_tombstone(entry.record)):
                self.sightings.drop(key)
                continue
            self.sightings.put(key, entry)
            self._look(key)

    def _forget_if_gone(self, key: str) -> None:
        entry = self.sightings.get(key)
        if entry is not None and entry.cluster is None and entry.record is not None and is_tombstone(entry.record):
            self.sightings.drop(key)
            self._due.pop(key, None)


def _id(entry: Entry) -> str:
    if entry.cluster is not None:
        return entry.cluster.database_id
    return entry.record.database_id if entry.record is not None else ""


def _report(pending: _Pending) -> None:
    for news in pending.news:
        if isinstance(news, Drifted):
            logger.warning(
                "object_drifted", database_id=pending.record.database_id, who=news.drift.who, what=news.drift.what
            )
            continue
        seen = news.record.observed
        TRANSITIONS.labels(seen.state.value, "state_changed" if news.changed else "observed").inc()
        if news.changed:
            logger.info(
                "database_state_changed",
                database_id=news.record.database_id,
                revision=news.record.revision,
                from_state=news.from_state,
                to_state=seen.state,
                reason=seen.reason,
                observed_generation=seen.observed_generation,
                operation_id=news.operation.id if news.operation is not None else None,
            )
