"""Checkpoints: when they are written, what they survive, and that a key is made once."""

import asyncio
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from postern_audit.domain.chain import GENESIS, Head, append
from postern_audit.domain.checkpoint import is_genuine, key_id, sign
from postern_audit.domain.entry import Draft, Entry
from postern_audit.services import checkpointing
from postern_audit.services.checkpointing import CheckpointingService
from postern_audit.storage.checkpoints import CheckpointFile, ensure_signing_key, load_public_keys, load_signing_key
from postern_common.errors import DependencyDownError, PermanentError
from postern_common.runtime import TaskOwner, Wakeup

KEY = Ed25519PrivateKey.from_private_bytes(b"7" * 32)


class Rows:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.down = False

    def add(self, count: int) -> None:
        at = len(self.entries)
        drafts = [
            Draft(source="/s", id=UUID(int=at + n), type="t", subject="u", time="2026", data="{}") for n in range(count)
        ]
        self.entries += append(self.place, {}, drafts).entries

    @property
    def place(self) -> Head:
        return Head(self.entries[-1].position, self.entries[-1].hash) if self.entries else Head(0, GENESIS)

    async def head(self) -> Head:
        if self.down:
            raise DependencyDownError("database_unavailable", "down")
        return self.place

    async def entries_after(self, position: int, *, limit: int, until: int | None = None) -> Sequence[Entry]:
        return self.entries[position:until][:limit]


class Bench:
    """A running checkpointing service over rows in memory."""

    def __init__(self, path: Path, *, interval: float = 3600.0, rows: int = 10) -> None:
        self.rows, self.file, self.wakeup = Rows(), CheckpointFile(path / "deep" / "checkpoints.jsonl"), Wakeup()
        self.service = CheckpointingService(
            reader=self.rows,  # type: ignore[arg-type]
            file=self.file,
            key=KEY,
            wakeup=self.wakeup,
            interval=interval,
            rows=rows,
            now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        )

    def add(self, count: int) -> None:
        self.rows.add(count)
        self.wakeup.set()

    async def positions(self, expected: list[int]) -> None:
        async with asyncio.timeout(5):
            while [checkpoint.position for checkpoint in self.file.read()[0]] != expected:  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def unthrottled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "THROTTLE_SECONDS", 0.0)


async def test_so_many_entries_make_a_checkpoint_before_the_time_is_up(tmp_path: Path) -> None:
    bench, owner = Bench(tmp_path), TaskOwner()
    owner.spawn(bench.service.run(), name="checkpoints")
    bench.add(9)
    await asyncio.sleep(0.01)
    bench.add(1)
    await bench.positions([10])
    bench.add(25)
    await bench.positions([10, 35])
    (first, _), _ = bench.file.read()
    assert is_genuine(first, {key_id(KEY.public_key()): KEY.public_key()})
    assert (first.hash, first.time) == (bench.rows.entries[9].hash.hex(), "2026-01-01T00:00:00Z")
    await owner.close(1)


async def test_time_makes_a_checkpoint_only_when_there_is_something_new(tmp_path: Path) -> None:
    bench, owner = Bench(tmp_path, interval=0.005), TaskOwner()
    owner.spawn(bench.service.run(), name="checkpoints")
    bench.add(1)
    await bench.positions([1])
    await asyncio.sleep(0.03)
    await bench.positions([1])
    bench.rows.down = True
    bench.add(1)
    await asyncio.sleep(0.01)
    bench.rows.down = False
    await bench.positions([1, 2])
    await owner.close(1)


async def test_after_a_restart_it_goes_on_from_the_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.rows.add(20)
    bench.file.append(sign(bench.rows.place, time="2026-01-01T00:00:00Z", key=KEY))
    bench.file.append(sign(Head(99, bytes(32)), time="2026-01-01T00:00:00Z", key=Ed25519PrivateKey.generate()))
    owner = TaskOwner()
    owner.spawn(bench.service.run(), name="checkpoints")
    bench.add(9)
    await asyncio.sleep(0.01)
    await bench.positions([20, 99])
    bench.add(1)
    await bench.positions([20, 99, 30])
    await owner.close(1)


async def test_a_chain_that_was_touched_since_is_not_signed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.rows.add(12)
    head = bench.rows.place
    bench.rows.entries[7] = msgspec.structs.replace(bench.rows.entries[7], subject="touched")
    assert await bench.service.vouch(Head(0, b""), head) == Head(0, b"")
    assert bench.file.read() == ([], [])


def test_a_line_torn_by_a_crash_is_no_forgery_and_is_cut_off(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "c.jsonl")
    first, second = (sign(Head(n, bytes(32)), time="2026-01-01T00:00:00Z", key=KEY) for n in (1, 2))
    file.append(first)
    with file.path.open("ab") as raw:
        raw.write(b'{"position":2,"ha')
    assert file.read() == ([first], [])
    file.append(second)
    assert file.read() == ([first, second], [])


def test_lines_that_are_no_checkpoints_are_told_by_number(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "c.jsonl")
    file.append(sign(Head(1, bytes(32)), time="2026-01-01T00:00:00Z", key=KEY))
    with file.path.open("ab") as raw:
        raw.write(b'{"position":2}\n\xff\xfe\n[]\n')
    checkpoints, unreadable = file.read()
    assert (len(checkpoints), unreadable) == (1, [2, 3, 4])


def test_a_key_is_made_once_and_for_nobody_else_to_read(tmp_path: Path) -> None:
    path = tmp_path / "state" / "key.pem"
    made = ensure_signing_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = ensure_signing_key(path)
    assert again.private_bytes_raw() == made.private_bytes_raw()
    name = key_id(made.public_key())
    assert set(load_public_keys([path.with_name("key.pem.pub")])) == set(load_public_keys([path])) == {name}


@pytest.mark.parametrize(
    "content", [None, b"", b"not a key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_an_unusable_key_is_told_in_words_that_do_not_show_it(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PermanentError) as caught:
        load_signing_key(path)
    assert str(path) in caught.value.detail


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(PermanentError, match="not an Ed25519 key"):
        load_signing_key(path)
