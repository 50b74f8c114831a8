"""``postern-audit verify`` names the first bad position, whatever a superuser did to the tables."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.audit.ledger import Ledger, api_action, received

from postern_audit.domain.chain import Head, append
from postern_audit.domain.entry import Draft, Entry, draft_entry
from postern_audit.services.checkpointing import CheckpointingService
from postern_audit.services.verification import Report
from postern_audit.storage.checkpoints import CheckpointFile, ensure_signing_key, load_public_keys
from postern_audit.storage.ledger_writer import insert_batch
from postern_audit.verifying import verify_ledger
from postern_common.runtime import Wakeup

pytestmark = pytest.mark.integration


class Vault:
    """The checkpoint file and key of a service, outside the database, and the ledger they vouch for."""

    def __init__(self, ledger: Ledger, state: Path) -> None:
        self.ledger = ledger
        self.state = state
        self.file = CheckpointFile(state / "checkpoints.jsonl")
        self.key = ensure_signing_key(state / "checkpoint-key.pem")
        self._vouched = Head(0, b"")

    def service(self, key: Ed25519PrivateKey | None = None) -> CheckpointingService:
        return CheckpointingService(
            reader=self.ledger.reader, file=self.file, key=key or self.key, wakeup=Wakeup(), interval=60
        )

    async def fill(self, entries: int) -> None:
        """Append entries and vouch for them."""
        for _ in range(entries // 2):
            await self.ledger.append([received("acme"), api_action("beta")])
        self._vouched = await self.service().vouch(self._vouched, await self.ledger.reader.head())

    async def verify(self, url: str, first: int = 1, last: int | None = None) -> Report:
        """What the command does."""
        keys = load_public_keys([self.state / "checkpoint-key.pem.pub"])
        return await verify_ledger(
            url, file=self.file.path, keys=keys, first=first, last=last, progress=lambda _position, _last: None
        )

    async def run_verify(self, url: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run the command as a person would; returns its status and report."""
        executable = shutil.which("postern-audit", path=str(Path(sys.executable).parent))
        assert executable is not None
        process = await asyncio.create_subprocess_exec(
            *(executable, "verify", "--json", *arguments),
            env={
                "PATH": os.environ["PATH"],
                "POSTERN_DATABASE_URL": url,
                "POSTERN_STATE_DIRECTORY": str(self.state),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(20):
            output, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, json.loads(output) if output else {"stderr": errors.decode()}


@pytest.fixture
async def vault(ledger: Ledger, tmp_path: Path) -> Vault:
    """Twelve entries, a checkpoint at 6 and one at 12."""
    vault = Vault(ledger, tmp_path)
    await vault.fill(6)
    await vault.fill(6)
    return vault


Tamper = Callable[[Vault, AsyncEngine], Awaitable[None]]


def sql(*statements: str) -> Tamper:
    """Tampering by plain statements."""

    async def tamper(_: Vault, admin: AsyncEngine) -> None:
        async with admin.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    return tamper


async def rewrite(admin: AsyncEngine, entries: list[Entry | Draft], start: Head, epoch: int = 1) -> None:
    """Replace everything after ``start`` by a chain that is whole in itself, head and counters included."""
    async with admin.begin() as connection:
        await connection.execute(text("DELETE FROM audit.ledger WHERE position > :start"), {"start": start.position})
        sequences = await connection.execute(
            text("SELECT project, max(sequence) AS newest FROM audit.ledger WHERE project IS NOT NULL GROUP BY project")
        )
        drafts = [Draft(**{name: getattr(entry, name) for name in Draft.__struct_fields__}) for entry in entries]
        await insert_batch(connection, append(start, {row.project: row.newest for row in sequences}, drafts), epoch)


async def fork(vault: Vault, admin: AsyncEngine) -> None:
    """Row 8 says something else, and everything after it is hashed again."""
    entries = list(await vault.ledger.everything())
    forged = draft_entry(api_action("beta", outcome="read"))
    await rewrite(admin, [forged, *entries[8:]], Head(7, entries[6].hash))


async def insert_in_the_middle(vault: Vault, admin: AsyncEngine) -> None:
    """A row that was never received stands at 5, and the rest moved on by one."""
    entries = list(await vault.ledger.everything())
    batch = append(Head(4, entries[3].hash), {"acme": 2}, [draft_entry(received("acme"))])
    async with admin.begin() as connection:
        await connection.execute(text("UPDATE audit.ledger SET position = position + 100 WHERE position >= 5"))
        await connection.execute(text("UPDATE audit.ledger SET position = position - 99 WHERE position >= 100"))
        head = (await connection.execute(text("SELECT hash FROM audit.ledger_head"))).scalar_one()
        await insert_batch(connection, batch, 1)
        await connection.execute(text("UPDATE audit.ledger_head SET position = 13, hash = :hash"), {"hash": head})


async def truncate_thoroughly(vault: Vault, admin: AsyncEngine) -> None:
    """The last three rows are gone, and head and counters say that they never were."""
    entries = await vault.ledger.everything()
    async with admin.begin() as connection:
        await connection.execute(text("DELETE FROM audit.ledger WHERE position > 9"))
        await connection.execute(
            text("UPDATE audit.ledger_head SET position = 9, hash = :hash"), {"hash": entries[8].hash}
        )


async def forge_checkpoint(vault: Vault, admin: AsyncEngine) -> None:
    """Row 8 is rewritten, and the checkpoint of 12 replaced by one that says so, signed with another key."""
    await fork(vault, admin)
    lines = vault.file.path.read_bytes().splitlines(keepends=True)
    vault.file.path.write_bytes(lines[0])
    entries = await vault.ledger.everything()
    await vault.service(Ed25519PrivateKey.generate()).vouch(Head(6, entries[5].hash), await vault.ledger.reader.head())


async def flip_checkpoint(vault: Vault, _: AsyncEngine) -> None:
    """One hex digit of the first checkpoint's hash."""
    whole = vault.file.path.read_text()
    at = whole.index('"hash":"') + len('"hash":"')
    digit = "0" if whole[at] != "0" else "1"
    vault.file.path.write_text(whole[:at] + digit + whole[at + 1 :])


MOVE_UP_FROM_5 = (
    "UPDATE audit.ledger SET position = position + 100 WHERE position >= 5",
    "UPDATE audit.ledger SET position = position - 99 WHERE position >= 100",
)
COPY_OF = (
    "INSERT INTO audit.ledger SELECT {to}, {sequence}, project, project_id, source, gen_random_uuid(), type, subject,"
    " time, operation_id, trace_id, actor, data, dataschema, causation_id, traceparent, tracestate, source_shard,"
    " source_sequence, {previous}, hash FROM audit.ledger WHERE position = {of}"
)


def flip(column: str, position: int) -> str:
    """A statement that changes one byte of a hash."""
    changed = f"set_byte({column}, 3, 255 - get_byte({column}, 3))"
    return f"UPDATE audit.ledger SET {column} = {changed} WHERE position = {position}"


def swap(one: int, other: int) -> Tamper:
    """Two rows change places."""
    return sql(
        f"UPDATE audit.ledger SET position = CASE position WHEN {one} THEN {other} ELSE {one} END + 100"
        f" WHERE position IN ({one}, {other})",
        "UPDATE audit.ledger SET position = position - 100 WHERE position > 100",
    )


CASES: list[tuple[str, Tamper, int, str]] = [
    (
        "a byte of the data",
        sql("UPDATE audit.ledger SET data = replace(data, 'orders', 'orderz') WHERE position = 5"),
        5,
        "altered",
    ),
    ("white space of the data", sql("UPDATE audit.ledger SET data = data || ' ' WHERE position = 1"), 1, "altered"),
    ("a byte of a hash", sql(flip("hash", 5)), 5, "altered"),
    ("a byte of the previous hash", sql(flip("previous_hash", 5)), 5, "unlinked"),
    ("the time", sql("UPDATE audit.ledger SET time = '2020-01-01T00:00:00Z' WHERE position = 12"), 12, "altered"),
    ("the actor", sql("UPDATE audit.ledger SET actor = 'user:nobody' WHERE position = 2"), 2, "altered"),
    ("the project's name", sql("UPDATE audit.ledger SET project = 'beta' WHERE position = 3"), 3, "mislabelled"),
    ("a deleted row", sql("DELETE FROM audit.ledger WHERE position = 7"), 7, "missing"),
    ("the first row", sql("DELETE FROM audit.ledger WHERE position = 1"), 1, "missing"),
    (
        "a deleted row, the rest moved up",
        sql(
            "DELETE FROM audit.ledger WHERE position = 7",
            "UPDATE audit.ledger SET position = position + 100 WHERE position > 7",
            "UPDATE audit.ledger SET position = position - 101 WHERE position > 100",
            "UPDATE audit.ledger_head SET position = 11",
        ),
        7,
        "unlinked",
    ),
    ("two rows swapped", swap(4, 9), 4, "unlinked"),
    ("two neighbours swapped", swap(4, 5), 4, "unlinked"),
    (
        "a row inserted",
        sql(*MOVE_UP_FROM_5, COPY_OF.format(to=5, of=1, sequence=3, previous="hash")),
        5,
        "unlinked",
    ),
    ("a row inserted that follows the one before", insert_in_the_middle, 6, "unlinked"),
    ("a row after the end", sql(COPY_OF.format(to=13, of=12, sequence=7, previous="hash")), 13, "extra"),
    ("the tail cut off", sql("DELETE FROM audit.ledger WHERE position > 9"), 10, "truncated"),
    ("the tail cut off, the head with it", truncate_thoroughly, 10, "truncated"),
    ("everything gone", sql("DELETE FROM audit.ledger"), 1, "truncated"),
    ("the chain forked and hashed again", fork, 7, "forked"),
    ("a checkpoint forged with another key", forge_checkpoint, 12, "checkpoint_forged"),
    ("a checkpoint changed", flip_checkpoint, 6, "checkpoint_forged"),
]


@pytest.mark.parametrize(("tamper", "position", "fault"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_verify_names_the_first_bad_position(  # noqa: PLR0917 - pytest passes by name
    tamper: Tamper, position: int, fault: str, vault: Vault, admin: AsyncEngine, schema_urls: dict[str, str]
) -> None:
    await tamper(vault, admin)
    report = await vault.verify(schema_urls["audit"])
    assert not report.intact
    assert (report.findings[0].position, report.findings[0].fault) == (position, fault)
    assert str(position) in report.findings[0].detail
    assert report.words()[0] == f"NOT INTACT: first bad position {position}"


async def test_an_intact_ledger_is_called_so(vault: Vault, schema_urls: dict[str, str]) -> None:
    await vault.ledger.append([received()])
    assert (await vault.verify(schema_urls["audit"])).words() == (
        "intact: rows 1 to 13, 2 checkpoints vouch up to position 12; the last 1 are not under a checkpoint yet",
    )
    status, report = await vault.run_verify(schema_urls["audit"])
    assert status == 0
    assert report == {
        "intact": True, "first": 1, "last": 13, "head": 13, "checkpoints": 2, "vouched": 12, "findings": [],
    }  # fmt: skip


async def test_a_part_can_be_verified_alone(vault: Vault, admin: AsyncEngine, schema_urls: dict[str, str]) -> None:
    await sql("UPDATE audit.ledger SET data = '{}' WHERE position = 5")(vault, admin)
    after = await vault.verify(schema_urls["audit"], first=6)
    assert (after.intact, after.first, after.last) == (True, 6, 12)
    before = await vault.verify(schema_urls["audit"], last=4)
    assert (before.intact, before.last) == (True, 4)
    status, report = await vault.run_verify(schema_urls["audit"], "--from", "3", "--to", "8")
    assert (status, report["findings"][0]["position"]) == (1, 5)
    status, report = await vault.run_verify(schema_urls["audit"], "--from", "99")
    assert status == 2
    assert "row 98" in report["stderr"]


async def test_verify_says_in_words_when_it_cannot_verify(vault: Vault) -> None:
    status, report = await vault.run_verify("postgresql://nobody:x@127.0.0.1:1/none")
    assert status == 2
    assert "does not answer" in report["stderr"]
    assert "nobody" not in report["stderr"]


async def test_verify_holds_while_the_ledger_grows(vault: Vault, schema_urls: dict[str, str]) -> None:
    stop = asyncio.Event()

    async def grow() -> None:
        while not stop.is_set():
            await vault.ledger.append([received() for _ in range(20)])

    growing = asyncio.get_running_loop().create_task(grow())
    for _ in range(10):
        report = await vault.verify(schema_urls["audit"])
        assert report.intact, report
    stop.set()
    await growing


async def test_a_chain_that_was_touched_is_not_vouched_for(vault: Vault, admin: AsyncEngine) -> None:
    before = await vault.ledger.reader.head()
    await vault.ledger.append([received() for _ in range(5)])
    await sql("UPDATE audit.ledger SET data = '{}' WHERE position = 15")(vault, admin)
    assert await vault.service().vouch(before, await vault.ledger.reader.head()) == before
    checkpoints, unreadable = vault.file.read()
    assert [checkpoint.position for checkpoint in checkpoints] == [6, 12]
    assert unreadable == []
