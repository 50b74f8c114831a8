"""The writer's statements: the locked head, counters, entries and gaps of one batch, all in the caller's transaction.

The lock on the head's row makes writers take turns; its epoch keeps out one that was replaced without noticing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from postern_audit.domain.chain import Batch, Head
from postern_audit.domain.gaps import Gap, Progress
from postern_audit.storage.columns import COLUMNS, NAMES
from postern_common.errors import TransientError

Source = tuple[str, int]
"""A source and its shard."""
_NO_PROGRESS: Final[Mapping[Source, Progress]] = {}


class FencedError(TransientError):
    """Another writer was elected since: this process must not write until it is elected again."""


_ARRAYS: Final = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in COLUMNS)
_LOCK_HEAD: Final = text("SELECT position, hash, epoch FROM audit.ledger_head FOR UPDATE")
_PROGRESS: Final = (
    "INSERT INTO audit.source_progress AS p (source, shard, highest)"
    " SELECT * FROM unnest(CAST(:sources AS text[]), CAST(:shards AS smallint[]), CAST(:highest AS bigint[]))"
    " ON CONFLICT (source, shard) DO UPDATE SET highest = excluded.highest"
)
_INSERT: Final = text(
    f"WITH entries AS (INSERT INTO audit.ledger ({', '.join(NAMES)}) SELECT * FROM unnest({_ARRAYS})),"  # noqa: S608 - constants
    " streams AS (INSERT INTO audit.ledger_streams AS s (project, sequence)"
    " SELECT * FROM unnest(CAST(:stream_projects AS text[]), CAST(:stream_sequences AS bigint[]))"
    " ON CONFLICT (project) DO UPDATE SET sequence = excluded.sequence),"
    f" progress AS ({_PROGRESS})"
    " UPDATE audit.ledger_head SET position = :head_position, hash = :head_hash, epoch = :head_epoch"
)
_COUNTERS: Final = text(
    "SELECT project AS name, CAST(NULL AS smallint) AS shard, sequence AS number, CAST(NULL AS bigint) AS first,"
    " CAST(NULL AS bigint) AS last FROM audit.ledger_streams WHERE project = ANY(CAST(:projects AS text[]))"
    " UNION ALL SELECT p.source, p.shard, p.highest, g.first, g.last FROM audit.source_progress p"
    " LEFT JOIN audit.source_gaps g ON g.source = p.source AND g.shard = p.shard"
    " WHERE (p.source, p.shard) IN (SELECT * FROM unnest(CAST(:sources AS text[]), CAST(:shards AS smallint[])))"
    " ORDER BY first"
)
_MOVE_PROGRESS: Final = text(_PROGRESS)
_CLOSE_GAPS: Final = text(
    "DELETE FROM audit.source_gaps WHERE (source, shard, first) IN (SELECT * FROM"
    " unnest(CAST(:sources AS text[]), CAST(:shards AS smallint[]), CAST(:first AS bigint[])))"
)
_OPEN_GAPS: Final = text(
    "INSERT INTO audit.source_gaps (source, shard, first, last) SELECT * FROM"
    " unnest(CAST(:sources AS text[]), CAST(:shards AS smallint[]), CAST(:first AS bigint[]), CAST(:last AS bigint[]))"
)


async def lock_head(connection: AsyncConnection, epoch: int) -> Head:
    """The newest entry's place, locked until the transaction ends. Raises ``FencedError`` for a replaced writer."""
    row = (await connection.execute(_LOCK_HEAD)).one()
    if row.epoch > epoch:
        raise FencedError("writer_fenced", f"epoch {epoch} was replaced by {row.epoch}")
    return Head(row.position, row.hash)


@dataclass(frozen=True, slots=True)
class Counters:
    """Where a batch goes on: the newest sequence of each project, and what arrived of each source and shard."""

    sequences: dict[str, int]
    progress: dict[Source, Progress]


async def read_counters(connection: AsyncConnection, projects: set[str], sources: Sequence[Source]) -> Counters:
    """The counters of these projects and sources, in one statement; those that have none yet are left out."""
    values = {"projects": sorted(projects), **_source_columns(sources)}
    sequences: dict[str, int] = {}
    highest: dict[Source, int] = {}
    gaps: dict[Source, list[Gap]] = defaultdict(list)
    for row in await connection.execute(_COUNTERS, values):
        if row.shard is None:
            sequences[row.name] = row.number
            continue
        key = (row.name, row.shard)
        highest[key] = row.number
        if row.first is not None:
            gaps[key].append(Gap(row.first, row.last))
    return Counters(sequences, {key: Progress(number, tuple(gaps[key])) for key, number in highest.items()})


async def insert_batch(
    connection: AsyncConnection, batch: Batch, epoch: int, progress: Mapping[Source, Progress] = _NO_PROGRESS
) -> None:
    """Insert the entries and move every counter behind them, in one statement: its round trip is every event's."""
    columns = {name: [getattr(entry, name) for entry in batch.entries] for name in NAMES}
    projects = sorted(batch.sequences)
    values = {
        "stream_projects": projects,
        "stream_sequences": [batch.sequences[project] for project in projects],
        "head_position": batch.head.position,
        "head_hash": batch.head.hash,
        "head_epoch": epoch,
    }
    await connection.execute(_INSERT, columns | values | _progress_columns(progress))


async def move_progress(connection: AsyncConnection, progress: Mapping[Source, Progress]) -> None:
    """Move the sources' counters for a batch that brought nothing new."""
    await connection.execute(_MOVE_PROGRESS, _progress_columns(progress))


async def write_gaps(
    connection: AsyncConnection, before: Mapping[Source, Progress], after: Mapping[Source, Progress]
) -> None:
    """Store the differences of the gaps. One that shrank is closed and opened anew."""
    keys = sorted(after)
    closed = [(key, gap) for key in keys for gap in before.get(key, Progress()).gaps if gap not in after[key].gaps]
    opened = [(key, gap) for key in keys for gap in after[key].gaps if gap not in before.get(key, Progress()).gaps]
    if closed:
        await connection.execute(_CLOSE_GAPS, _gap_columns(closed))
    if opened:
        await connection.execute(_OPEN_GAPS, {**_gap_columns(opened), "last": [gap.last for _, gap in opened]})


def _source_columns(sources: Sequence[Source]) -> dict[str, list[object]]:
    return {"sources": [source for source, _ in sources], "shards": [shard for _, shard in sources]}


def _progress_columns(progress: Mapping[Source, Progress]) -> dict[str, list[object]]:
    keys = sorted(progress)
    return {**_source_columns(keys), "highest": [progress[key].highest for key in keys]}


def _gap_columns(gaps: Sequence[tuple[Source, Gap]]) -> dict[str, list[object]]:
    return {
        "sources": [source for (source, _), _ in gaps],
        "shards": [shard for (_, shard), _ in gaps],
        "first": [gap.first for _, gap in gaps],
    }
