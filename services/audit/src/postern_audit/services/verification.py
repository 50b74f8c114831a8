"""``postern-audit verify``: walks the whole ledger against the checkpoints and says where it was touched first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from postern_audit.domain.chain import Head
from postern_audit.domain.checkpoint import Checkpoint
from postern_audit.domain.walk import Fault, Finding, Walk, check_checkpoints
from postern_audit.storage.ledger_reader import LedgerReader
from postern_common.errors import PermanentError

PAGE_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at and what was found. ``vouched`` is the last position that a genuine checkpoint confirms."""

    first: int
    last: int
    head: int
    checkpoints: int
    vouched: int
    findings: tuple[Finding, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def words(self) -> tuple[str, ...]:
        """The report for a person, a line each; the first bad position comes first."""
        if self.findings:
            return (
                f"NOT INTACT: first bad position {self.findings[0].position}",
                *(f"  {finding.fault} at {finding.position}: {finding.detail}" for finding in self.findings),
                f"  rows {self.first} to {self.last} are good; checkpoints vouch up to position {self.vouched}",
            )
        walked = f"rows {self.first} to {self.last}" if self.last >= self.first else "the ledger is empty"
        unvouched = self.last - max(self.vouched, self.first - 1)
        tail = f"; the last {unvouched} are not under a checkpoint yet" if unvouched > 0 else ""
        return (f"intact: {walked}, {self.checkpoints} checkpoints vouch up to position {self.vouched}{tail}",)


class VerificationService:
    """Walks with a read-only view. ``progress`` is called with (position, last position) after every page."""

    def __init__(
        self,
        reader: LedgerReader,
        checkpoints: Sequence[Checkpoint],
        keys: Mapping[str, Ed25519PublicKey],
        *,
        unreadable_lines: Sequence[int] = (),
        progress: Callable[[int, int], None] = lambda _position, _last: None,
    ) -> None:
        self._reader = reader
        self._genuine, findings = check_checkpoints(checkpoints, keys)
        torn = [
            Finding(0, Fault.CHECKPOINT_FORGED, f"line {number} of the checkpoint file is no checkpoint")
            for number in unreadable_lines
        ]
        self._findings = (*torn, *findings)
        self._progress = progress

    async def verify(self, *, first: int = 1, last: int | None = None) -> Report:
        """Walk from ``first`` to ``last`` (default: all that is recorded). Findings come in order of position.

        Checkpoints were read before: all of them must lie within the head that is read now. Raises ``PermanentError``
        when ``first`` lies beyond the ledger, ``TransientError`` when the database does not answer.
        """
        head = await self._reader.head()
        until = head.position if last is None else min(last, head.position)
        walk = Walk(self._genuine, start=await self._start(first, head) if first > 1 else None)
        finding = await self._walk(walk, until)
        if finding is None and until < head.position:
            finding = _short(walk, until)
        elif finding is None:
            finding = walk.finish(head) or await self._beyond(head)
        found = self._findings if finding is None else (*self._findings, finding)
        ordered = tuple(sorted(found, key=lambda each: each.position))
        return Report(first, walk.head.position, head.position, len(self._genuine), walk.vouched, ordered)

    async def _start(self, first: int, head: Head) -> Head:
        before = await self._reader.entries_after(first - 2, limit=1, until=first - 1)
        if not before:
            words = f"row {first - 1}, before the first to verify, does not exist (head: {head.position})"
            raise PermanentError("start_not_found", words)
        return Head(first - 1, before[0].hash)

    async def _walk(self, walk: Walk, until: int) -> Finding | None:
        while walk.head.position < until:
            page = await self._reader.entries_after(walk.head.position, limit=PAGE_ROWS, until=until)
            if not page:
                return None
            for entry in page:
                if finding := walk.feed(entry):
                    return finding
            self._progress(walk.head.position, until)
        return None

    async def _beyond(self, head: Head) -> Finding | None:
        """Rows after the recorded head are fine only if the head has moved since."""
        if await self._reader.entries_after(head.position, limit=1) and await self._reader.head() == head:
            first = head.position + 1
            words = f"row {first} and what follows were inserted: the recorded head is position {head.position}"
            return Finding(first, Fault.EXTRA, words)
        return None


def _short(walk: Walk, until: int) -> Finding | None:
    if walk.head.position >= until:
        return None
    first = walk.head.position + 1
    return Finding(first, Fault.MISSING, f"rows {first} to {until} are missing: deleted")
