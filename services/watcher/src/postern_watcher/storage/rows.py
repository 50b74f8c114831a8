"""The watcher's table: one row per database, kept as a tombstone after it is gone (semantics 11a).

Every write is fenced twice: by the leader's epoch and by the revision that was read. The record travels whole in one
jsonb column; the columns beside it are for people and for the keys.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from postern_common.contracts.states import DatabaseState
from postern_watcher.domain.record import Record

LEASE = "watcher"
_COLUMNS = (
    "database_id", "project_id", "project", "name", "namespace", "cluster_name", "read_revision", "revision", "state",
    "reason", "since", "uid", "resource_version", "generation", "observed_generation", "record",
)  # fmt: skip
_TYPES = {
    "database_id": "uuid", "project_id": "uuid", "read_revision": "bigint", "revision": "bigint",
    "since": "double precision", "generation": "bigint", "observed_generation": "bigint",
}  # fmt: skip
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Record)


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """A record to store, and the revision that it was made from (None: there was no row)."""

    record: Record
    read_revision: int | None


def _upsert() -> TextClause:
    arrays = ", ".join(f"CAST(:{name} AS {_TYPES.get(name, 'text')}[])" for name in _COLUMNS)
    values = ", ".join(
        {"since": "to_timestamp(n.since)", "record": "CAST(n.record AS jsonb)"}.get(name, f"n.{name}")
        for name in _COLUMNS
    )
    sets = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:])
    return text(
        f"INSERT INTO watcher.databases AS d ({', '.join(_COLUMNS)}) SELECT {values}"  # noqa: S608 (constants)
        f" FROM unnest({arrays}) AS n({', '.join(_COLUMNS)})"
        f" WHERE EXISTS (SELECT FROM watcher.leases WHERE name = '{LEASE}' AND epoch = :epoch)"
        f" ON CONFLICT (database_id) DO UPDATE SET {sets}, updated_at = clock_timestamp()"
        " WHERE d.revision = excluded.read_revision RETURNING d.database_id"
    )


_UPSERT = _upsert()
_LIVE = text("SELECT CAST(record AS text) AS record FROM watcher.databases WHERE state <> 'deleted'")
_SOME = text("SELECT CAST(record AS text) AS record FROM watcher.databases WHERE database_id = ANY(:ids)")


async def write_records(connection: AsyncConnection, epoch: int, writes: Sequence[RecordWrite]) -> set[str]:
    """Store records in one statement. Returns the ids of those stored; the rest were fenced off and are as before."""
    columns: dict[str, list[object]] = {name: [] for name in _COLUMNS}
    for write in writes:
        for name, value in _values(write).items():
            columns[name].append(value)
    result = await connection.execute(_UPSERT, {**columns, "epoch": epoch})
    return {str(row.database_id) for row in result}


def _values(write: RecordWrite) -> Mapping[str, object]:
    record, seen = write.record, write.record.observed
    return {
        "database_id": UUID(record.database_id),
        "project_id": UUID(record.project_id),
        "project": record.project,
        "name": record.name,
        "namespace": record.namespace,
        "cluster_name": record.cluster_name,
        "read_revision": write.read_revision if write.read_revision is not None else -1,
        "revision": record.revision,
        "state": seen.state.value,
        "reason": seen.reason.value,
        "since": seen.since,
        "uid": seen.uid,
        "resource_version": record.resource_version,
        "generation": seen.generation,
        "observed_generation": seen.observed_generation,
        "record": _ENCODER.encode(record).decode(),
    }


async def read_live(connection: AsyncConnection) -> list[Record]:
    """Records of every database that is not a tombstone."""
    return [_decode(row.record) for row in await connection.execute(_LIVE)]


async def read_some(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Record]:
    """Records of the given databases, tombstones included, by id."""
    rows = await connection.execute(_SOME, {"ids": [UUID(one) for one in ids]})
    return {record.database_id: record for record in (_decode(row.record) for row in rows)}


def _decode(column: str | bytes) -> Record:
    return _DECODER.decode(column)


def is_tombstone(record: Record) -> bool:
    """Whether the database is gone for good, as far as this row knows."""
    return record.observed.state is DatabaseState.DELETED
