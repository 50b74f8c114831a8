"""Reads of databases and operations: single resources and keyset pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.persistence import open_transaction
from postern_gateway.domain.cursors import CursorSigner
from postern_gateway.domain.problems import refuse
from postern_gateway.domain.records import DatabaseRecord, ProjectRecord
from postern_gateway.domain.representations import Page, show_database, show_operation
from postern_gateway.services.calls import Answer, answer_database, answer_document, answer_operation
from postern_gateway.storage.databases import DatabaseFilter, DatabaseStore
from postern_gateway.storage.operations import OperationFilter, OperationStore

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a list was asked for: its cursor, size and direction."""

    limit: int
    cursor: str | None
    ascending: bool


class Pager:
    """Turns cursors into positions and rows into pages."""

    def __init__(self, signer: CursorSigner) -> None:
        self._signer = signer

    def position(self, scope: str, page: PageRequest) -> UUID | None:
        """Where the page starts. Raises 422 ``invalid_cursor``."""
        return None if page.cursor is None else self._signer.read(f"{scope}|{page.ascending}", page.cursor)

    def page(
        self, scope: str, page: PageRequest, rows: Sequence[R], key: Callable[[R], UUID], show: Callable[[R], object]
    ) -> Answer:
        """``rows`` may hold one more than the limit: then there is a next page."""
        shown = rows[: page.limit]
        cursor = None
        if len(rows) > page.limit:
            cursor = self._signer.sign(f"{scope}|{page.ascending}", key(shown[-1]))
        return answer_document(Page([show(row) for row in shown], cursor))


class ReadingService:
    """What clients may look at. The caller's right to the project is checked before."""

    def __init__(
        self, *, engine: AsyncEngine, databases: DatabaseStore, operations: OperationStore, pager: Pager
    ) -> None:
        self._engine = engine
        self._databases = databases
        self._operations = operations
        self._pager = pager

    async def database(self, project: ProjectRecord, name: str) -> Answer:
        """The live database of that name. Raises 404."""
        async with open_transaction(self._engine) as connection:
            found = await self._databases.find(connection, project.id, name)
        if found is None:
            raise refuse("not_found", f"project {project.name} has no database {name[:60]}")
        return answer_database(200, *found)

    async def record(self, project: ProjectRecord, name: str) -> DatabaseRecord:
        """The same as a record, for what hangs on it."""
        async with open_transaction(self._engine) as connection:
            found = await self._databases.find(connection, project.id, name)
        if found is None:
            raise refuse("not_found", f"project {project.name} has no database {name[:60]}")
        return found[0]

    async def database_by_id(self, database_id: UUID) -> Answer:
        """The database of that id, a tombstone too: the end of a write that was waited for."""
        async with open_transaction(self._engine) as connection:
            found = await self._databases.find_by_id(connection, database_id)
        if found is None:
            raise refuse("not_found", "no such database")
        return answer_database(200, *found)

    async def ids_of_names(self, project: ProjectRecord, names: Sequence[str]) -> list[UUID]:
        """Ids of every database that ever had one of the names. Raises 404 for a name nobody had."""
        ids: list[UUID] = []
        async with open_transaction(self._engine) as connection:
            for name in names:
                found = await self._databases.ids_of_name(connection, project.id, name)
                if not found:
                    raise refuse("not_found", f"project {project.name} never had a database {name[:60]}")
                ids += found
        return ids

    async def list_databases(
        self, project: ProjectRecord, page: PageRequest, states: Sequence[str], labels: Sequence[tuple[str, str]]
    ) -> Answer:
        """A page of live databases."""
        scope = f"databases|{project.id}|{sorted(states)}|{sorted(labels)}"
        chosen = DatabaseFilter(
            project.id, tuple(states), tuple(labels), self._pager.position(scope, page), page.ascending
        )
        async with open_transaction(self._engine) as connection:
            rows = await self._databases.list(connection, chosen, page.limit + 1)
        return self._pager.page(scope, page, rows, lambda r: r[0].id, lambda r: show_database(*r))

    async def operation(self, project: ProjectRecord, operation_id: UUID) -> Answer:
        """One operation. Raises 404."""
        async with open_transaction(self._engine) as connection:
            found = await self._operations.find(connection, project.id, project.name, operation_id)
        if found is None:
            raise refuse("not_found", f"project {project.name} has no operation {operation_id}")
        return answer_operation(found)

    async def list_operations(
        self,
        project: ProjectRecord,
        page: PageRequest,
        *,
        databases: Sequence[str],
        statuses: Sequence[str],
        types: Sequence[str],
        since: datetime | None,
    ) -> Answer:
        """A page of operations."""
        scope = f"operations|{project.id}|{sorted(databases)}|{sorted(statuses)}|{sorted(types)}|{since}"
        ids = tuple(await self.ids_of_names(project, databases)) if databases else None
        position = self._pager.position(scope, page)
        chosen = OperationFilter(
            project.id, project.name, ids, tuple(statuses), tuple(types), since, position, page.ascending
        )
        async with open_transaction(self._engine) as connection:
            rows = await self._operations.list(connection, chosen, page.limit + 1)
        return self._pager.page(scope, page, rows, lambda r: r.id, show_operation)
