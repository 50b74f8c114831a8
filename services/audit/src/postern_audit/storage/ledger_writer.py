"""The writer's statements: the locked head, counters, entries and gaps of one batch, all in the caller's transaction.

The lock on the head's row makes writers take turns; its epoch keeps out one that was replaced without noticing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from postern_audit.domain.chain import Batch, Head
from postern_audit.domain.gaps import Gap, Progress
from postern_audit.storage.columns import COLUMNS, NAMES
from postern_common.errors import TransientError

Source = tuple[str, int]
"""A source and its shard."""


class FencedError(TransientError):
    """Another writer was elected since: this process must not write until it is elected again."""


_ARRAYS: Final = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in COLUMNS)
_LOCK_HEAD: Final = text("SELECT position, hash, epoch FROM audit.ledger_head FOR UPDATE")
_SEQUENCES: Final = text(
    "SELECT project, sequence FROM audit.ledger_streams WHERE project = ANY(CAST(:projects AS text[]))"
)
_INSERT: Final = text(
    f"WITH entries AS (INSERT INTO audit.ledger ({', '.join(NAMES)}) SELECT * FROM unnest({_ARRAYS})),"  # noqa: S608 - constants
    " streams AS (INSERT INTO audit.ledger_streams AS s (project, sequence)"
    " SELECT * FROM unnest(CAST(:stream_projects AS text[]), CAST(:stream_sequences AS bigint[]))"
    " ON CONFLICT (project) DO UPDATE SET sequence = excluded.sequence)"
    " UPDATE audit.ledger_head SET position = :head_position, hash = :head_hash, epoch = :head_epoch"
)
_PROGRESS: Final = text(
    "SELECT p.source, p.shard, p.highest, g.first, g.last FROM audit.source_progress p"
    " LEFT JOIN audit.source_gaps g ON g.source = p.source AND g.shard = p.shard"
    " WHERE (p.source, p.shard) IN (SELECT * FROM unnest(CAST(:sources AS text[]), CAST(:shards AS smallint[])))"
    " ORDER BY g.first"
)
_MOVE_PROGRESS: Final = text(
    "INSERT INTO audit.source_progress AS p (source, shard, highest)"
    " SELECT * FROM unnest(CAST(:sources AS text[]), CAST(:shards AS smallint[]), CAST(:highest AS bigint[]))"
    " ON CONFLICT (source, shard) DO UPDATE SET highest = excluded.highest"
)
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


async def read_sequences(connection: AsyncConnection, projects: set[str]) -> dict[str, int]:
    """The newest sequence of each of the projects that has one."""
    if not projects:
        return {}
    rows = await connection.execute(_SEQUENCES, {"projects": sorted(projects)})
    return {row.project: row.sequence for row in rows}


async def insert_batch(connection: AsyncConnection, batch: Batch, epoch: int) -> None:
    """Insert the entries and move the counters behind them, in one statement: its round trip is every event's."""
    columns = {name: [getattr(entry, name) for entry in batch.entries] for name in NAMES}
    projects = sorted(batch.sequences)
    values = {
        "stream_projects": projects,
        "stream_sequences": [batch.sequences[project] for project in projects],
        "head_position": batch.head.position,
        "head_hash": batch.head.hash,
        "head_epoch": epoch,
    }
    await connection.execute(_INSERT, columns | values)


async def read_progress(connection: AsyncConnection, sources: Sequence[Source]) -> dict[Source, Progress]:
    """What arrived of each source and shard so far."""
    if not sources:
        return {}
    names, shards = [source for source, _ in sources], [shard for _, shard in sources]
    gaps: dict[Source, list[Gap]] = defaultdict(list)
    highest: dict[Source, int] = {}
    for row in await connection.execute(_PROGRESS, {"sources": names, "shards": shards}):
        key = (row.source, row.shard)
        highest[key] = row.highest
        if row.first is not None:
            gaps[key].append(Gap(row.first, row.last))
    return {key: Progress(number, tuple(gaps[key])) for key, number in highest.items()}


async def write_progress(
    connection: AsyncConnection, before: Mapping[Source, Progress], after: Mapping[Source, Progress]
) -> None:
    """Store the differences. A gap that shrank is closed and opened anew."""
    keys = sorted(after)
    sources, shards = [source for source, _ in keys], [shard for _, shard in keys]
    values = {"sources": sources, "shards": shards, "highest": [after[key].highest for key in keys]}
    await connection.execute(_MOVE_PROGRESS, values)
    closed = [(key, gap) for key in keys for gap in before.get(key, Progress()).gaps if gap not in after[key].gaps]
    opened = [(key, gap) for key in keys for gap in after[key].gaps if gap not in before.get(key, Progress()).gaps]
    if closed:
        await connection.execute(_CLOSE_GAPS, _gap_columns(closed))
    if opened:
        await connection.execute(_OPEN_GAPS, {**_gap_columns(opened), "last": [gap.last for _, gap in opened]})


def _gap_columns(gaps: Sequence[tuple[Source, Gap]]) -> dict[str, list[object]]:
    return {
        "sources": [source for (source, _), _ in gaps],
        "shards": [shard for (_, shard), _ in gaps],
        "first": [gap.first for _, gap in gaps],
    }
