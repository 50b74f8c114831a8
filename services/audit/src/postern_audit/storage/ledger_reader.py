"""Reading the ledger: the newest position, new entries, a project's pages and its bounds. Every query is keyset."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from postern_audit.domain.chain import Head
from postern_audit.domain.entry import API_ACTION, Entry
from postern_audit.domain.stream import Filters
from postern_audit.storage.columns import SELECT_ENTRIES, entry_of
from postern_common.persistence.transactions import open_transaction

Order = Literal["asc", "desc"]

_HEAD: Final = text("SELECT position, hash FROM audit.ledger_head")
_AFTER: Final = text(f"{SELECT_ENTRIES} WHERE position > :position ORDER BY position LIMIT :limit")
_BETWEEN: Final = text(
    f"{SELECT_ENTRIES} WHERE position > :position AND position <= :until ORDER BY position LIMIT :limit"
)
_NEWEST: Final = text("SELECT sequence FROM audit.ledger_streams WHERE project = :project")
_OLDEST: Final = text("SELECT sequence FROM audit.ledger WHERE project = :project ORDER BY sequence LIMIT 1")
_MISSING: Final = text("SELECT coalesce(sum(last - first + 1), 0) FROM audit.source_gaps")
_ACTIONS: Final = f" AND type = '{API_ACTION}'"
"""A literal: with a parameter the planner could not use the partial index over API actions."""
_TYPES: Final = " AND type = ANY(CAST(:types AS text[]))"
_DATABASES: Final = " AND subject = ANY(CAST(:databases AS text[]))"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The oldest and the newest sequence of a project's stream; both 0 when there is nothing."""

    oldest: int
    newest: int


class LedgerReader:
    """Answers from committed entries only. Errors: ``DependencyDownError``, ``TransientError``."""

    def __init__(self, engine: AsyncEngine) -> None:
        # Every read is one statement, its own transaction: BEGIN and COMMIT would be two of three round trips between
        # an entry's commit and its line at a subscriber.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def head(self) -> Head:
        """Place of the newest entry as the writer recorded it."""
        async with self._connect() as connection:
            row = (await connection.execute(_HEAD)).one()
            return Head(row.position, row.hash)

    async def newest_position(self) -> int:
        """Position of the newest entry; 0 for an empty ledger."""
        return (await self.head()).position

    async def entries_after(self, position: int, *, limit: int, until: int | None = None) -> Sequence[Entry]:
        """Up to ``limit`` entries after ``position`` (and not beyond ``until``), in order."""
        statement, values = _AFTER, {"position": position, "limit": limit}
        if until is not None:
            statement, values = _BETWEEN, {**values, "until": until}
        async with self._connect() as connection:
            return _entries((await connection.execute(statement, values)).all())

    async def bounds(self, project: str) -> Bounds:
        """Oldest and newest sequence of a project."""
        async with self._connect() as connection:
            newest = await connection.scalar(_NEWEST, {"project": project})
            if newest is None:
                return Bounds(0, 0)
            return Bounds(await connection.scalar(_OLDEST, {"project": project}) or 0, newest)

    async def page(
        self, project: str, filters: Filters, *, after: int | None, order: Order, limit: int, until: int | None = None
    ) -> Sequence[Entry]:
        """Up to ``limit`` entries of a project, beyond ``after`` in the given order; ``until`` bounds the newest."""
        clauses, values = _conditions(project, filters)
        if after is not None:
            clauses += f" AND sequence {'>' if order == 'asc' else '<'} :after"
            values["after"] = after
        if until is not None:
            clauses += " AND sequence <= :until"
            values["until"] = until
        direction = "ASC" if order == "asc" else "DESC"
        values["limit"] = limit
        query = f"{SELECT_ENTRIES} WHERE project = :project{clauses} ORDER BY sequence {direction} LIMIT :limit"
        async with self._connect() as connection:
            return _entries((await connection.execute(text(query), values)).all())

    async def missing(self) -> int:
        """How many messages their sources numbered and the ledger has not received."""
        async with self._connect() as connection:
            return int(await connection.scalar(_MISSING) or 0)

    def _connect(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return open_transaction(self._engine)


def _conditions(project: str, filters: Filters) -> tuple[str, dict[str, Any]]:
    clauses = ""
    values: dict[str, Any] = {"project": project}
    if filters.types == {API_ACTION}:
        clauses += _ACTIONS
    elif filters.types:
        clauses += _TYPES
        values["types"] = sorted(filters.types)
    if filters.databases:
        clauses += _DATABASES
        values["databases"] = sorted(filters.databases)
    return clauses, values


def _entries(rows: Sequence[Row[Any]]) -> list[Entry]:
    return [entry_of(row) for row in rows]
