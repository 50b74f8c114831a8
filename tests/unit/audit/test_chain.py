"""The hash chain: vectors written by hand, so that another implementation can check itself against them."""

import random
from hashlib import sha256
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from postern_audit.domain.chain import GENESIS, Head, append, canonical, entry_hash
from postern_audit.domain.entry import Draft, Entry

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
PROJECT = UUID("01890a5d-ac96-774b-bcce-b302099a8058")
OPERATION = UUID("01890a5d-ac96-774b-bcce-b302099a8059")

FULL = Draft(
    source="/postern/gateway",
    id=ID,
    type="dev.postern.api.action.v1",
    subject="orders",
    time="2026-01-01T00:00:00.000000Z",
    data='{"actor" : {"name":"Zoë"}}',
    project="acme",
    project_id=PROJECT,
    operation_id=OPERATION,
    trace_id="0af7651916cd43dd8448eb211c80319c",
    actor="user:Zoë",
)
BARE = Draft(source="/s", id=ID, type="t", subject="u", time="2026", data="null")

FULL_TEXT = (
    r'{"actor":"user:Zoë","data":"{\"actor\" : {\"name\":\"Zoë\"}}","id":"01890a5d-ac96-774b-bcce-b302099a8057",'
    r'"operation_id":"01890a5d-ac96-774b-bcce-b302099a8059","position":1,'
    r'"project_id":"01890a5d-ac96-774b-bcce-b302099a8058","sequence":1,"source":"/postern/gateway","subject":"orders",'
    r'"time":"2026-01-01T00:00:00.000000Z","trace_id":"0af7651916cd43dd8448eb211c80319c",'
    r'"type":"dev.postern.api.action.v1"}'
)
BARE_TEXT = (
    '{"actor":null,"data":"null","id":"01890a5d-ac96-774b-bcce-b302099a8057","operation_id":null,"position":2,'
    '"project_id":null,"sequence":null,"source":"/s","subject":"u","time":"2026","trace_id":null,"type":"t"}'
)


def test_the_canonical_form_is_the_one_written_by_hand() -> None:
    assert canonical(FULL, position=1, sequence=1).decode() == FULL_TEXT
    assert canonical(BARE, position=2, sequence=None).decode() == BARE_TEXT


def test_the_hash_of_two_entries_is_the_one_computed_by_hand() -> None:
    first = sha256(b"\x00" * 32 + FULL_TEXT.encode()).digest()
    second = sha256(first + BARE_TEXT.encode()).digest()
    assert first.hex() == "e7cd801d17051ea33eca8fc64c880fe1db06fb08d42bc03c2545543e30a31e6a"
    assert second.hex() == "b18126ea29b0bfacbf69c37278712bbe26b6702d05e7337bef090baa6275f348"
    batch = append(Head(0, GENESIS), {}, [FULL, BARE])
    assert [entry.hash for entry in batch.entries] == [first, second]
    assert [entry.previous_hash for entry in batch.entries] == [bytes(32), first]
    assert batch.head == Head(2, second)


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ('"\\/', r"\"\\/"),
        ("\b\t\n\f\r", r"\b\t\n\f\r"),
        ("\x00\x1f\x0b", r"\u0000\u001f\u000b"),
        ("\x7f\u2028\u2029\ufeff", "\x7f\u2028\u2029\ufeff"),
        ("é€😀", "é€😀"),
        ("e\u0301", "e\u0301"),
        ("1e400 9007199254740993 -0.0", "1e400 9007199254740993 -0.0"),
        ("\\ud800", r"\\ud800"),
        ("<>&'", "<>&'"),
    ],
)
def test_strings_are_escaped_as_rfc_8785_says_and_numbers_in_them_stay_text(value: str, escaped: str) -> None:
    draft = Draft(source="/s", id=ID, type="t", subject="u", time="2026", data=value)
    assert f'"data":"{escaped}"'.encode() in canonical(draft, position=1, sequence=None)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(TEXT, TEXT, TEXT, st.none() | TEXT, st.integers(1, 2**53 - 1), st.none() | st.integers(1, 2**53 - 1))
def test_the_fast_encoder_is_rfc_8785(  # noqa: PLR0917 - hypothesis
    data: str, time: str, subject: str, actor: str | None, position: int, sequence: int | None
) -> None:
    draft = Draft(source="/s", id=ID, type="t", subject=subject, time=time, data=data, actor=actor, project_id=PROJECT)
    expected = rfc8785.dumps(
        {
            "position": position,
            "project_id": str(PROJECT),
            "sequence": sequence,
            "source": "/s",
            "id": str(ID),
            "type": "t",
            "subject": subject,
            "time": time,
            "operation_id": None,
            "trace_id": None,
            "actor": actor,
            "data": data,
        }
    )
    assert canonical(draft, position=position, sequence=sequence) == expected


def test_every_hashed_member_changes_the_hash() -> None:
    reference = entry_hash(GENESIS, FULL, position=1, sequence=1)
    hashes = {
        entry_hash(b"\x01" * 32, FULL, position=1, sequence=1),
        entry_hash(GENESIS, FULL, position=2, sequence=1),
        entry_hash(GENESIS, FULL, position=1, sequence=2),
    }
    members = {name: getattr(FULL, name) for name in Draft.__struct_fields__}
    for name in ("source", "type", "subject", "time", "data", "trace_id", "actor"):
        changed = Draft(**{**members, name: members[name] + "x"})
        hashes.add(entry_hash(GENESIS, changed, position=1, sequence=1))
    for name in ("id", "project_id", "operation_id"):
        changed = Draft(**{**members, name: UUID(int=7)})
        hashes.add(entry_hash(GENESIS, changed, position=1, sequence=1))
    assert len(hashes) == 13
    assert reference not in hashes


def test_each_project_counts_on_from_its_own_sequence() -> None:
    def of(project: str | None) -> Draft:
        return Draft(source="/s", id=ID, type="t", subject="u", time="2026", data="{}", project=project)

    batch = append(Head(41, b"h" * 32), {"a": 7, "c": 1}, [of("a"), of("b"), of(None), of("a"), of("b")])
    assert [(entry.position, entry.sequence) for entry in batch.entries] == [
        (42, 8), (43, 1), (44, None), (45, 9), (46, 2),
    ]  # fmt: skip
    assert batch.sequences == {"a": 9, "b": 2}, "untouched projects are not written"


def test_a_long_chain_in_pieces_is_the_chain_in_one_piece() -> None:
    chance = random.Random(7)
    drafts = [
        Draft(source="/s", id=UUID(int=n), type="t", subject="u", time="2026", data="{}", project=chance.choice("abc"))
        for n in range(200)
    ]
    whole = append(Head(0, GENESIS), {}, drafts)
    head, pieces = Head(0, GENESIS), list[Entry]()
    sequences: dict[str, int] = {}
    while drafts:
        size = chance.randint(1, 20)
        piece = append(head, sequences, drafts[:size])
        drafts, head, sequences = drafts[size:], piece.head, {**sequences, **piece.sequences}
        pieces += piece.entries
    assert tuple(pieces) == whole.entries
