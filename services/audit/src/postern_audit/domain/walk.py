"""The walk along the chain: names the first position where the ledger is not what was written.

Pure: fed with entries in order of position, so that the command and the tests share it. The chain alone proves order
and content; genuine checkpoints prove that the chain itself was not replaced or cut.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from postern_audit.domain.chain import GENESIS, Head, entry_hash
from postern_audit.domain.checkpoint import Checkpoint, is_genuine
from postern_audit.domain.entry import Entry, trace_id_of


class Fault(StrEnum):
    """What is wrong at a position."""

    ALTERED = "altered"
    """The row's content is not what its hash was made of."""
    MISSING = "missing"
    """No row at this position, but rows after it."""
    UNLINKED = "unlinked"
    """The row does not follow the one before: swapped, inserted, or put in its place."""
    SEQUENCE = "sequence_broken"
    """The project's sequence does not count on."""
    MISLABELLED = "mislabelled"
    """A column outside the hash contradicts the hashed ones."""
    TRUNCATED = "truncated"
    """Rows that a checkpoint or the ledger's head vouches for are gone from the end."""
    FORKED = "forked"
    """The chain is whole in itself, but not the one a checkpoint vouches for: rewritten since the checkpoint before."""
    EXTRA = "extra"
    """Rows after the head, or a head that is not the last row's hash."""
    CHECKPOINT_FORGED = "checkpoint_forged"
    """A checkpoint that no known key signed, or that cannot be read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, where it is, and plain words."""

    position: int
    fault: Fault
    detail: str


def check_checkpoints(
    checkpoints: Sequence[Checkpoint], keys: Mapping[str, Ed25519PublicKey]
) -> tuple[tuple[Checkpoint, ...], tuple[Finding, ...]]:
    """Split checkpoints into the genuine ones, by position, and a finding for each of the others.

    Two genuine checkpoints that give one position two hashes are a fork that the service itself has signed.
    """
    genuine: dict[int, Checkpoint] = {}
    findings = []
    for checkpoint in checkpoints:
        position = checkpoint.position
        if not is_genuine(checkpoint, keys):
            words = f"the checkpoint of position {position} is not signed by a known key (key id {checkpoint.key_id})"
            findings.append(Finding(position, Fault.CHECKPOINT_FORGED, words))
        elif genuine.setdefault(position, checkpoint).hash != checkpoint.hash:
            words = f"two signed checkpoints give position {position} different hashes"
            findings.append(Finding(position, Fault.FORKED, words))
    return tuple(genuine[position] for position in sorted(genuine)), tuple(findings)


class Walk:
    """State between two rows. ``feed`` every row in order, then ``finish``; each gives the first fault or None.

    Starting later than at position 1 takes the hash before as given and each project's first sequence as it comes.
    """

    def __init__(self, checkpoints: Sequence[Checkpoint], *, start: Head | None = None) -> None:
        self._head = start or Head(0, GENESIS)
        self._from_beginning = start is None
        self._sequences: dict[str, int] = {}
        self._project_ids: dict[str, object] = {}
        self._checkpoints = {c.position: c.hash for c in checkpoints if c.position > self._head.position}
        self._vouched = self._head.position

    @property
    def head(self) -> Head:
        """The last row that was found good."""
        return self._head

    @property
    def vouched(self) -> int:
        """The highest position that a genuine checkpoint confirmed."""
        return self._vouched

    def feed(self, entry: Entry) -> Finding | None:
        """Check one row against everything before it."""
        expected = self._head.position + 1
        if entry.position != expected:
            until = entry.position - 1
            rows = f"row {expected} is missing" if until == expected else f"rows {expected} to {until} are missing"
            return Finding(expected, Fault.MISSING, f"{rows}: deleted")
        finding = self._check_hash(entry) or self._check_sequence(entry) or _check_labels(entry)
        if finding is None:
            self._head = Head(entry.position, entry.hash)
            finding = self._check_checkpoint(entry)
        return finding

    def finish(self, recorded: Head | None) -> Finding | None:
        """After the last row: compare with the head that the writer recorded (None: not to be compared) and with the
        checkpoints that lie beyond."""
        last = self._head.position
        beyond = [position for position in self._checkpoints if position > last]
        if recorded is None:
            return None
        if beyond or recorded.position > last:
            until = max([recorded.position, *beyond])
            by = "a signed checkpoint" if until in beyond else "the recorded head"
            words = f"rows {last + 1} to {until} are gone from the end: {by} vouches for them"
            return Finding(last + 1, Fault.TRUNCATED, words)
        if recorded.position < last or recorded.hash != self._head.hash:
            position = min(recorded.position + 1, last)
            words = f"the recorded head is position {recorded.position}, not row {last}: rows were added or replaced"
            return Finding(max(position, 1), Fault.EXTRA, words)
        return None

    def _check_hash(self, entry: Entry) -> Finding | None:
        linked = entry.previous_hash == self._head.hash
        own = entry_hash(entry.previous_hash, entry, position=entry.position, sequence=entry.sequence)
        if linked and own == entry.hash:
            return None
        before = entry.position - 1
        if linked:
            return Finding(entry.position, Fault.ALTERED, f"the content or hash of row {entry.position} was altered")
        if own == entry.hash:
            words = f"row {entry.position} is whole, but does not follow row {before}: inserted, or a chain forked here"
        else:
            words = f"row {entry.position} neither follows row {before} nor fits its hash: swapped or replaced"
        return Finding(entry.position, Fault.UNLINKED, words)

    def _check_sequence(self, entry: Entry) -> Finding | None:
        if entry.project is None:
            if entry.sequence is None and entry.project_id is None:
                return None
            words = f"row {entry.position} has a project's id or sequence without its name"
            return Finding(entry.position, Fault.MISLABELLED, words)
        known = self._project_ids.setdefault(entry.project, entry.project_id)
        if known != entry.project_id:
            words = f"row {entry.position} is labelled with project {entry.project}, whose id is another"
            return Finding(entry.position, Fault.MISLABELLED, words)
        before = self._sequences.get(entry.project, 0 if self._from_beginning else None)
        if entry.sequence is None or (before is not None and entry.sequence != before + 1):
            expected = "a number" if before is None else str(before + 1)
            words = f"row {entry.position} has sequence {entry.sequence} of {entry.project}, expected {expected}"
            return Finding(entry.position, Fault.SEQUENCE, words)
        self._sequences[entry.project] = entry.sequence
        return None

    def _check_checkpoint(self, entry: Entry) -> Finding | None:
        expected = self._checkpoints.get(entry.position)
        if expected is None:
            return None
        if expected == entry.hash.hex():
            self._vouched = entry.position
            return None
        first = self._vouched + 1
        words = (
            f"the chain is whole, but not the one that the checkpoint of position {entry.position} vouches for: "
            f"it was rewritten somewhere from position {first} on"
        )
        return Finding(first, Fault.FORKED, words)


class _Labels(msgspec.Struct, frozen=True):
    project: object = None


_DECODER = msgspec.json.Decoder(_Labels)
_OBJECT = re.compile(r"\s*\{")


def _check_labels(entry: Entry) -> Finding | None:
    """Columns that the hash does not cover must agree with those it does."""
    if entry.traceparent is not None and trace_id_of(entry.traceparent) != entry.trace_id:
        return Finding(entry.position, Fault.MISLABELLED, f"row {entry.position}: traceparent and trace_id differ")
    if entry.project is not None and _OBJECT.match(entry.data) and _named_project(entry) != entry.project:
        return Finding(entry.position, Fault.MISLABELLED, f"row {entry.position}: its data name another project")
    return None


def _named_project(entry: Entry) -> object:
    """The project that the data name; the row's own when they name none."""
    try:
        named = _DECODER.decode(entry.data).project
    except msgspec.DecodeError:
        return None
    return entry.project if named is None else named
