"""Vouches for the chain: every minute or 10,000 entries a signed checkpoint outside the database.

Before it signs, it walks what was added since the last checkpoint: a chain already touched is never vouched for.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from postern_audit import metrics
from postern_audit.domain.chain import Head
from postern_audit.domain.checkpoint import Checkpoint, is_genuine, key_id, sign
from postern_audit.domain.walk import Finding, Walk
from postern_audit.storage.checkpoints import CheckpointFile
from postern_audit.storage.ledger_reader import LedgerReader
from postern_common.errors import TransientError
from postern_common.runtime import Wakeup

logger = structlog.get_logger(__name__)

INTERVAL_SECONDS: Final = 60.0
INTERVAL_ROWS: Final = 10_000
THROTTLE_SECONDS: Final = 1.0
_PAGE_ROWS: Final = 500


class CheckpointingService:
    """Writes checkpoints while this process is the elected writer. ``wakeup`` is set after every commit."""

    def __init__(
        self,
        *,
        reader: LedgerReader,
        file: CheckpointFile,
        key: Ed25519PrivateKey,
        wakeup: Wakeup,
        interval: float = INTERVAL_SECONDS,
        rows: int = INTERVAL_ROWS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reader = reader
        self._file = file
        self._key = key
        self._wakeup = wakeup
        self._interval = interval
        self._rows = rows
        self._now = now
        self._broken = False

    async def run(self) -> None:
        """Vouch for ever; runs while elected. A file or database that fails is tried again."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._interval
        vouched: Head | None = None
        while True:
            await self._wakeup.wait(max(0.0, due - loop.time()))
            late = loop.time() >= due
            try:
                vouched = vouched or await self._last()
                vouched = await self._vouch_if_due(vouched, late=late)
            except (OSError, TransientError) as error:
                metrics.CHECKPOINT_FAILURES.inc()
                logger.warning("checkpoint_failed", error=type(error).__name__)
                late = True
            if late:
                due = loop.time() + self._interval
            await asyncio.sleep(min(THROTTLE_SECONDS, self._interval))

    async def _vouch_if_due(self, vouched: Head, *, late: bool) -> Head:
        head = await self._reader.head()
        grown = head.position - vouched.position
        due = grown > 0 if late else grown >= self._rows
        if due and (late or not self._broken):  # a broken chain is looked at once an interval
            return await self.vouch(vouched, head)
        return vouched

    async def vouch(self, vouched: Head, head: Head) -> Head:
        """Walk from ``vouched`` to ``head`` and sign it. Returns what is vouched for now.

        Raises ``OSError`` when the file cannot be written, ``TransientError`` when the database does not answer.
        """
        finding = await self._walk(vouched, head)
        self._broken = finding is not None
        metrics.CHAIN_BROKEN.set(self._broken)
        if finding is not None:
            logger.error("ledger_chain_broken", position=finding.position, fault=finding.fault, detail=finding.detail)
            return vouched
        moment = self._now()
        checkpoint = sign(head, time=moment.isoformat(timespec="seconds").replace("+00:00", "Z"), key=self._key)
        await asyncio.to_thread(self._file.append, checkpoint)
        metrics.CHECKPOINT_TIME.set(moment.timestamp())
        logger.info("checkpoint_exported", position=head.position, key_id=checkpoint.key_id)
        return head

    async def _walk(self, vouched: Head, head: Head) -> Finding | None:
        walk = Walk((), start=vouched if vouched.position else None)
        while walk.head.position < head.position:
            page = await self._reader.entries_after(walk.head.position, limit=_PAGE_ROWS, until=head.position)
            if not page:
                break
            for entry in page:
                if finding := walk.feed(entry):
                    return finding
        return walk.finish(head)

    async def _last(self) -> Head:
        """The newest checkpoint that our own key signed; the beginning when there is none."""
        checkpoints, _ = await asyncio.to_thread(self._file.read)
        keys = {key_id(self._key.public_key()): self._key.public_key()}
        genuine = [checkpoint for checkpoint in checkpoints if is_genuine(checkpoint, keys)]
        if not genuine:
            return Head(0, b"")
        newest: Checkpoint = max(genuine, key=lambda checkpoint: checkpoint.position)
        return Head(newest.position, bytes.fromhex(newest.hash))
