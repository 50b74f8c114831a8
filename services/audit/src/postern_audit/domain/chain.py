"""The hash chain: what is hashed and how positions, sequences and hashes follow from the entries before (semantics 34).

Pure, so that the writer, the verifier and the tests share one definition. The canonical form is RFC 8785. All members
are strings, integers below 2**53 or null, so a struct whose members stand in sorted order and whose strings are escaped
by JSON's shortest rule *is* canonical; a test proves it equal to the ``rfc8785`` package, which is eight times slower.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from postern_audit.domain.entry import Draft, Entry

GENESIS = bytes(32)
"""The hash before the first entry."""


class _Canonical(msgspec.Struct, frozen=True):
    """Members in the order RFC 8785 sorts them; never reorder."""

    actor: str | None
    data: str
    id: str
    operation_id: str | None
    position: int
    project_id: str | None
    sequence: int | None
    source: str
    subject: str
    time: str
    trace_id: str | None
    type: str


_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry: its position and hash. ``Head(0, GENESIS)`` before the first."""

    position: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries with their places, the head after them, and the sequence each touched project has now."""

    entries: tuple[Entry, ...]
    head: Head
    sequences: Mapping[str, int]


def canonical(draft: Draft, *, position: int, sequence: int | None) -> bytes:
    """RFC 8785 form of what the hash covers."""
    return _ENCODER.encode(
        _Canonical(
            actor=draft.actor,
            data=draft.data,
            id=str(draft.id),
            operation_id=None if draft.operation_id is None else str(draft.operation_id),
            position=position,
            project_id=None if draft.project_id is None else str(draft.project_id),
            sequence=sequence,
            source=draft.source,
            subject=draft.subject,
            time=draft.time,
            trace_id=draft.trace_id,
            type=draft.type,
        )
    )


def entry_hash(previous: bytes, draft: Draft, *, position: int, sequence: int | None) -> bytes:
    """SHA-256 over the previous hash (32 raw bytes) and the canonical form."""
    return sha256(previous + canonical(draft, position=position, sequence=sequence)).digest()


def append(head: Head, sequences: Mapping[str, int], drafts: Sequence[Draft]) -> Batch:
    """Give each draft its position, its project's next sequence and its hash, in the order given.

    ``sequences`` holds the newest sequence of the projects that have one. Drafts without a project take a position but
    no sequence (semantics 32).
    """
    now = dict(sequences)
    entries = []
    for draft in drafts:
        sequence = None
        if draft.project is not None:
            sequence = now[draft.project] = now.get(draft.project, 0) + 1
        position = head.position + 1
        digest = entry_hash(head.hash, draft, position=position, sequence=sequence)
        entries.append(_place(draft, position, sequence, head.hash, digest))
        head = Head(position, digest)
    touched = {draft.project for draft in drafts if draft.project is not None}
    return Batch(tuple(entries), head, {project: now[project] for project in touched})


def _place(draft: Draft, position: int, sequence: int | None, previous: bytes, digest: bytes) -> Entry:
    members = msgspec.structs.asdict(draft)
    return Entry(**members, position=position, sequence=sequence, previous_hash=previous, hash=digest)
