"""The verifier's walk names the first bad position of a chain in memory, for everything that can be done to one."""

from collections.abc import Callable
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from postern_audit.domain.chain import GENESIS, Head, append
from postern_audit.domain.checkpoint import Checkpoint, is_genuine, key_id, sign
from postern_audit.domain.entry import Draft, Entry
from postern_audit.domain.walk import Fault, Finding, Walk, check_checkpoints

KEY = Ed25519PrivateKey.from_private_bytes(b"7" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"8" * 32)
KEYS = {key_id(KEY.public_key()): KEY.public_key()}
PROJECTS = {"acme": UUID(int=1), "beta": UUID(int=2)}


def draft(number: int, project: str | None = "acme", **changes: object) -> Draft:
    members = {
        "source": "/s", "id": UUID(int=number), "type": "t", "subject": "u", "time": "2026",
        "data": f'{{"n":{number}}}', "project": project, "project_id": None if project is None else PROJECTS[project],
    }  # fmt: skip
    return Draft(**{**members, **changes})  # type: ignore[arg-type]


def drafts(length: int = 12) -> list[Draft]:
    projects = ("acme", "beta", None)
    return [draft(n, projects[n % 3]) for n in range(length)]


def chain() -> list[Entry]:
    return list(append(Head(0, GENESIS), {}, drafts()).entries)


def replace(entry: Entry, **changes: object) -> Entry:
    return msgspec.structs.replace(entry, **changes)


def checkpoint(entries: list[Entry], position: int, key: Ed25519PrivateKey = KEY) -> Checkpoint:
    return sign(Head(position, entries[position - 1].hash), time="2026-01-01T00:00:00Z", key=key)


def walk(
    entries: list[Entry], *, head: Head | None = None, checkpoints: list[Checkpoint] | None = None
) -> Finding | None:
    """The first finding over rows as a table would give them: by position."""
    genuine, findings = check_checkpoints(checkpoints or [], KEYS)
    if findings:
        return findings[0]
    walker = Walk(genuine)
    for entry in sorted(entries, key=lambda each: each.position):
        if finding := walker.feed(entry):
            return finding
    return walker.finish(head or (Head(entries[-1].position, entries[-1].hash) if entries else Head(0, GENESIS)))


def test_a_whole_chain_is_whole() -> None:
    entries = chain()
    assert walk(entries, checkpoints=[checkpoint(entries, 5), checkpoint(entries, 12)]) is None
    assert walk([]) is None


ROWS: dict[str, tuple[Callable[[list[Entry]], list[Entry]], int, Fault]] = {
    "data": (lambda e: [*e[:4], replace(e[4], data='{"n":5}'), *e[5:]], 5, Fault.ALTERED),
    "data, same meaning": (lambda e: [*e[:4], replace(e[4], data='{"n": 4}'), *e[5:]], 5, Fault.ALTERED),
    "sequence": (lambda e: [*e[:4], replace(e[4], sequence=7), *e[5:]], 5, Fault.ALTERED),
    "project id": (lambda e: [replace(e[0], project_id=UUID(int=9)), *e[1:]], 1, Fault.ALTERED),
    "hash": (lambda e: [*e[:4], replace(e[4], hash=bytes(32)), *e[5:]], 5, Fault.ALTERED),
    "previous hash": (lambda e: [*e[:4], replace(e[4], previous_hash=bytes(32)), *e[5:]], 5, Fault.UNLINKED),
    "last row": (lambda e: [*e[:11], replace(e[11], subject="v")], 12, Fault.ALTERED),
    "project's name": (lambda e: [*e[:3], replace(e[3], project="beta"), *e[4:]], 4, Fault.MISLABELLED),
    "project's name taken away": (
        lambda e: [*e[:3], replace(e[3], project=None), *e[4:]],
        4,
        Fault.MISLABELLED,
    ),
    "traceparent": (
        lambda e: [*e[:4], replace(e[4], traceparent=f"00-{'a' * 32}-{'b' * 16}-01"), *e[5:]],
        5,
        Fault.MISLABELLED,
    ),
    "deleted": (lambda e: [*e[:6], *e[7:]], 7, Fault.MISSING),
    "several deleted": (lambda e: [*e[:6], *e[9:]], 7, Fault.MISSING),
    "first deleted": (lambda e: e[1:], 1, Fault.MISSING),
    "swapped": (
        lambda e: [*e[:3], replace(e[8], position=4), *e[4:8], replace(e[3], position=9), *e[9:]],
        4,
        Fault.UNLINKED,
    ),
    "inserted": (
        lambda e: [*e[:5], replace(e[0], position=6), *(replace(x, position=x.position + 1) for x in e[5:])],
        6,
        Fault.UNLINKED,
    ),
    "two tails": (
        lambda e: [*e[:5], *append(Head(5, b"x" * 32), {}, [draft(77, None)]).entries, *e[6:]],
        6,
        Fault.UNLINKED,
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_touched_row_is_named(name: str) -> None:
    tamper, position, fault = ROWS[name]
    entries = chain()
    finding = walk(tamper(entries), head=Head(12, entries[-1].hash))
    assert finding is not None
    assert (finding.position, finding.fault) == (position, fault)
    assert str(position) in finding.detail


def test_a_cut_tail_is_named_by_the_head_or_by_a_checkpoint() -> None:
    entries = chain()
    by_head = walk(entries[:9], head=Head(12, entries[-1].hash))
    by_checkpoint = walk(entries[:9], checkpoints=[checkpoint(entries, 12)])
    for finding in (by_head, by_checkpoint):
        assert finding is not None
        assert (finding.position, finding.fault) == (10, Fault.TRUNCATED)


def test_a_rewritten_chain_is_named_from_the_last_good_checkpoint_on() -> None:
    entries = chain()
    checkpoints = [checkpoint(entries, 4), checkpoint(entries, 10)]
    forged = append(Head(6, entries[5].hash), {"acme": 2, "beta": 2}, [draft(99), *drafts()[7:]])
    finding = walk([*entries[:6], *forged.entries], checkpoints=checkpoints)
    assert finding is not None
    assert (finding.position, finding.fault) == (5, Fault.FORKED)
    assert walk([*entries[:6], *forged.entries]) is None, "without checkpoints nobody can tell"


def test_a_head_that_is_not_the_last_row_is_named() -> None:
    entries = chain()
    behind = walk(entries, head=Head(11, entries[10].hash))
    other = walk(entries, head=Head(12, bytes(32)))
    assert behind is not None
    assert other is not None
    assert (behind.position, behind.fault, other.position, other.fault) == (12, Fault.EXTRA, 12, Fault.EXTRA)


@pytest.mark.parametrize("member", ["position", "hash", "time", "key_id", "signature"])
def test_a_checkpoint_with_any_member_changed_is_forged(member: str) -> None:
    genuine = checkpoint(chain(), 6)
    value = getattr(genuine, member)
    changed = replace_checkpoint(genuine, **{member: value + 1 if isinstance(value, int) else "0" + value[1:]})
    if changed == genuine:
        changed = replace_checkpoint(genuine, **{member: "1" + value[1:]})
    assert is_genuine(genuine, KEYS)
    assert not is_genuine(changed, KEYS)
    finding = walk(chain(), checkpoints=[changed])
    assert finding is not None
    assert (finding.position, finding.fault) == (changed.position, Fault.CHECKPOINT_FORGED)


def replace_checkpoint(checkpoint: Checkpoint, **changes: object) -> Checkpoint:
    return msgspec.structs.replace(checkpoint, **changes)


def test_another_key_a_signature_that_is_none_and_two_truths_are_named() -> None:
    entries = chain()
    foreign = checkpoint(entries, 6, OTHER)
    posing = replace_checkpoint(foreign, key_id=key_id(KEY.public_key()))
    garbage = replace_checkpoint(checkpoint(entries, 6), signature="not hex")
    for forged in (foreign, posing, garbage):
        finding = walk(entries, checkpoints=[forged])
        assert finding is not None
        assert finding.fault is Fault.CHECKPOINT_FORGED
    both = [checkpoint(entries, 6), sign(Head(6, bytes(32)), time="2026-01-01T00:00:00Z", key=KEY)]
    finding = walk(entries, checkpoints=both)
    assert finding is not None
    assert (finding.position, finding.fault) == (6, Fault.FORKED)


def test_a_walk_may_start_anywhere() -> None:
    entries = chain()
    walker = Walk([checkpoint(entries, 2), checkpoint(entries, 8)], start=Head(5, entries[4].hash))
    assert all(walker.feed(entry) is None for entry in entries[5:])
    assert (walker.head, walker.vouched) == (Head(12, entries[-1].hash), 8)


def test_broken_sequences_of_a_well_hashed_chain_are_named() -> None:
    batch = append(Head(0, GENESIS), {"acme": 3}, [draft(1)])
    finding = Walk(()).feed(batch.entries[0])
    assert finding is not None
    assert (finding.position, finding.fault) == (1, Fault.SEQUENCE)


@pytest.mark.parametrize("data", ['{"project":"beta"}', '{"project":"be', '{"project":7}'])
def test_data_that_name_another_project_contradict_the_label(data: str) -> None:
    batch = append(Head(0, GENESIS), {}, [draft(1, data=data)])
    finding = Walk(()).feed(batch.entries[0])
    assert finding is not None
    assert finding.fault is Fault.MISLABELLED
