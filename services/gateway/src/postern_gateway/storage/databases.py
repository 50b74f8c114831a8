# ruff: noqa: S608 - statements are built from column names of ours; values are always parameters
"""Rows of ``databases`` with the operations that change them: every write is one statement (architecture, step 1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from postern_common.errors import TransientError
from postern_gateway.domain.idempotency import IdempotencyKey, StoredAnswer
from postern_gateway.domain.records import DatabaseRecord, OperationRecord
from postern_gateway.domain.representations import Usage
from postern_gateway.storage.columns import (
    DATABASE_COLUMNS,
    OPERATION_COLUMNS,
    database_values,
    insert_values,
    operation_values,
    read_database,
    read_operation,
    to_json,
    update_list,
)
from postern_gateway.storage.idempotency import INSERT_TEMPLATE, key_values

_D_NAMES, _D_VALUES = insert_values(DATABASE_COLUMNS, "d_")
_O_NAMES, _O_VALUES = insert_values(OPERATION_COLUMNS, "o_")
_D_SET = update_list(DATABASE_COLUMNS, "d_")
_OPERATION: Final = (
    f"o AS (INSERT INTO gateway.operations ({_O_NAMES}, command) SELECT {_O_VALUES}, CAST(:command AS bytea) FROM d)"
)
_SUPERSEDE: Final = (
    "s AS (UPDATE gateway.operations SET status = 'superseded', finished_at = CAST(:o_created_at AS timestamptz),"
    " revision = revision + 1, command = NULL WHERE database_id = CAST(:d_id AS uuid)"
    " AND status IN ('pending', 'running') AND generation < CAST(:d_generation AS bigint))"
)
_KEY: Final = f"k AS ({INSERT_TEMPLATE} FROM d)"
_INSERT_D: Final = (
    f"d AS (INSERT INTO gateway.databases ({_D_NAMES}) VALUES ({_D_VALUES})"
    " ON CONFLICT (project_id, name) WHERE deleted_at IS NULL DO NOTHING RETURNING id)"
)
_UPDATE_D: Final = f"d AS (UPDATE gateway.databases SET {_D_SET} WHERE id = CAST(:d_id AS uuid) RETURNING id)"


def _with(*parts: str) -> TextClause:
    return text(f"WITH {', '.join(parts)} SELECT count(*) FROM d")


# (with an idempotency key?) → statement
_CREATE = {False: _with(_INSERT_D, _OPERATION), True: _with(_INSERT_D, _OPERATION, _KEY)}
_CHANGE = {False: _with(_UPDATE_D, _SUPERSEDE, _OPERATION), True: _with(_UPDATE_D, _SUPERSEDE, _OPERATION, _KEY)}
_EDIT = {False: _with(_UPDATE_D), True: _with(_UPDATE_D, _KEY)}

_SELECT: Final = "SELECT d.*, p.name AS project FROM gateway.databases d JOIN gateway.projects p ON p.id = d.project_id"
_BY_NAME: Final = f"{_SELECT} WHERE d.project_id = :project_id AND d.name = :name AND d.deleted_at IS NULL"
_READ = text(_BY_NAME)
_LOCK = text(f"{_BY_NAME} FOR UPDATE OF d")
_READ_ID = text(f"{_SELECT} WHERE d.id = :id")
_LOCK_ID = text(f"{_SELECT} WHERE d.id = :id FOR UPDATE OF d")
_OPERATION_OF = text("SELECT * FROM gateway.operations WHERE id = :id")
_IDS_OF_NAME = text("SELECT id FROM gateway.databases WHERE project_id = :project_id AND name = :name")
_USAGE = text(
    """
    SELECT count(*) AS databases, CAST(coalesce(sum(n), 0) AS bigint) AS instances,
           CAST(coalesce(sum(n * cpu_millis), 0) AS bigint) AS cpu_millis,
           CAST(coalesce(sum(n * memory_bytes), 0) AS bigint) AS memory_bytes,
           CAST(coalesce(sum(instances * storage_bytes), 0) AS bigint) AS storage_bytes
    FROM (SELECT *, CASE WHEN CAST(desired ->> 'hibernated' AS boolean) THEN 0 ELSE instances END AS n
          FROM gateway.databases
          WHERE project_id = :project_id AND deleted_at IS NULL AND delete_generation IS NULL) AS d
    """
)


@dataclass(frozen=True, slots=True)
class DatabaseFilter:
    """What a list of databases shows. ``position`` is the last id of the page before."""

    project_id: UUID
    states: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    position: UUID | None = None
    ascending: bool = False


class ClusterNameTakenError(TransientError):
    """Another database's objects have that name; a new id gives a new name."""


class DatabaseStore:
    """Every method works inside the caller's transaction."""

    async def insert(
        self,
        connection: AsyncConnection,
        database: DatabaseRecord,
        operation: OperationRecord,
        command: bytes,
        answer: tuple[IdempotencyKey, StoredAnswer] | None,
    ) -> bool:
        """A new database with its operation and, with a key, the stored answer. False: the name is taken, nothing was
        written.
        """
        values = database_values(database) | operation_values(operation) | {"command": command}
        if answer is not None:
            values |= key_values(*answer)
        try:
            written = await connection.scalar(_CREATE[answer is not None], values)
        except IntegrityError as error:
            if "databases_cluster_name_key" in str(error.orig):
                raise ClusterNameTakenError("cluster_name_taken", database.cluster_name) from error
            raise
        return bool(written)

    async def change(
        self,
        connection: AsyncConnection,
        database: DatabaseRecord,
        operation: OperationRecord | None,
        command: bytes | None,
        answer: tuple[IdempotencyKey, StoredAnswer] | None,
    ) -> None:
        """Store a changed database; with an operation the open ones of lower generation are superseded (semantics
        16).
        """
        values = database_values(database)
        if operation is not None:
            values |= operation_values(operation) | {"command": command}
        if answer is not None:
            values |= key_values(*answer)
        statements = _EDIT if operation is None else _CHANGE
        await connection.execute(statements[answer is not None], values)

    async def find(
        self, connection: AsyncConnection, project_id: UUID, name: str, *, lock: bool = False
    ) -> tuple[DatabaseRecord, OperationRecord] | None:
        """The live database of that name with its newest operation; ``lock`` holds it until the transaction ends.

        Two statements: after a wait for the lock a join would pair the new row with the operation of the old.
        """
        values = {"project_id": project_id, "name": name}
        row = (await connection.execute(_LOCK if lock else _READ, values)).one_or_none()
        return None if row is None else await self._with_operation(connection, read_database(row))

    async def find_by_id(
        self, connection: AsyncConnection, database_id: UUID, *, lock: bool = False
    ) -> tuple[DatabaseRecord, OperationRecord] | None:
        """The database of that id, a tombstone too."""
        row = (await connection.execute(_LOCK_ID if lock else _READ_ID, {"id": database_id})).one_or_none()
        return None if row is None else await self._with_operation(connection, read_database(row))

    async def _with_operation(
        self, connection: AsyncConnection, database: DatabaseRecord
    ) -> tuple[DatabaseRecord, OperationRecord]:
        row = (await connection.execute(_OPERATION_OF, {"id": database.operation_id})).one()
        return database, read_operation(row, database.project)

    async def list(
        self, connection: AsyncConnection, chosen: DatabaseFilter, limit: int
    ) -> Sequence[tuple[DatabaseRecord, OperationRecord]]:
        """Up to ``limit`` live databases by id, newest first unless ascending."""
        where = ["d.project_id = :project_id", "d.deleted_at IS NULL"]
        values: dict[str, Any] = {"project_id": chosen.project_id, "limit": limit}
        if chosen.states:
            where.append("d.state = ANY(CAST(:states AS text[]))")
            values["states"] = list(chosen.states)
        if chosen.labels:
            where.append("d.labels @> CAST(:labels AS jsonb)")
            values["labels"] = to_json(dict(chosen.labels))
        if chosen.position is not None:
            where.append(f"d.id {'>' if chosen.ascending else '<'} :position")
            values["position"] = chosen.position
        order = "ASC" if chosen.ascending else "DESC"
        rows = (
            await connection.execute(
                text(f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY d.id {order} LIMIT :limit"), values
            )
        ).all()
        databases = [read_database(row) for row in rows]
        found = await connection.execute(
            text("SELECT * FROM gateway.operations WHERE id = ANY(CAST(:ids AS uuid[]))"),
            {"ids": [database.operation_id for database in databases]},
        )
        operations = {row.id: row for row in found}
        return [(d, read_operation(operations[d.operation_id], d.project)) for d in databases]

    async def ids_of_name(self, connection: AsyncConnection, project_id: UUID, name: str) -> Sequence[UUID]:
        """Ids of every database that ever had the name: its events outlive it."""
        rows = await connection.execute(_IDS_OF_NAME, {"project_id": project_id, "name": name})
        return [row.id for row in rows]

    async def usage(self, connection: AsyncConnection, project_id: UUID) -> Usage:
        """What the project's databases take together."""
        row = (await connection.execute(_USAGE, {"project_id": project_id})).one()
        return Usage(row.databases, row.instances, row.cpu_millis, row.memory_bytes, row.storage_bytes)
