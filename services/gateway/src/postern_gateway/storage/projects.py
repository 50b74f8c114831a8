# ruff: noqa: S608 - statements are built from column names of ours; values are always parameters
"""Rows of ``projects`` and ``api_keys``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from postern_gateway.domain.records import ApiKeyRecord, ProjectRecord
from postern_gateway.storage.columns import plain_uuid

_INSERT_PROJECT = text(
    "INSERT INTO gateway.projects (id, name, created_at, created_by) VALUES (:id, :name, :created_at, :created_by)"
    " ON CONFLICT (name) DO NOTHING"
)
_PROJECT = text("SELECT * FROM gateway.projects WHERE name = :name")
_KEYS: Final = "SELECT k.*, p.name AS project FROM gateway.api_keys k JOIN gateway.projects p ON p.id = k.project_id"
_KEY = text(f"{_KEYS} WHERE k.id = :id")
_INSERT_KEY = text(
    "INSERT INTO gateway.api_keys (id, project_id, name, role, permissions, secret_hash, created_at, created_by,"
    " expires_at)"
    " VALUES (:id, :project_id, :name, :role, :permissions, :secret_hash, :created_at, :created_by, :expires_at)"
)
_DELETE_KEY = text("DELETE FROM gateway.api_keys WHERE project_id = :project_id AND id = :id RETURNING name, role")


@dataclass(frozen=True, slots=True)
class Keyset:
    """Where a page starts and which way it goes."""

    position: UUID | None = None
    ascending: bool = False

    def clause(self, column: str) -> tuple[str, str, dict[str, Any]]:
        """Condition, ORDER BY and parameters on ``column``."""
        order = f"{column} {'ASC' if self.ascending else 'DESC'}"
        if self.position is None:
            return "true", order, {}
        return f"{column} {'>' if self.ascending else '<'} :position", order, {"position": self.position}


class ProjectStore:
    """Every method works inside the caller's transaction."""

    async def insert(self, connection: AsyncConnection, project: ProjectRecord) -> bool:
        """False: the name is taken."""
        values = {
            "id": project.id,
            "name": project.name,
            "created_at": project.created_at,
            "created_by": project.created_by,
        }
        return (await connection.execute(_INSERT_PROJECT, values)).rowcount == 1

    async def find(self, connection: AsyncConnection, name: str) -> ProjectRecord | None:
        """The project of that name."""
        row = (await connection.execute(_PROJECT, {"name": name})).one_or_none()
        return None if row is None else _read_project(row)

    async def list(
        self, connection: AsyncConnection, only: UUID | None, keyset: Keyset, limit: int
    ) -> Sequence[ProjectRecord]:
        """Projects by id; ``only`` narrows to the one that a key belongs to."""
        condition, order, values = keyset.clause("id")
        if only is not None:
            condition += " AND id = :only"
            values["only"] = only
        statement = f"SELECT * FROM gateway.projects WHERE {condition} ORDER BY {order} LIMIT :limit"
        rows = await connection.execute(text(statement), values | {"limit": limit})
        return [_read_project(row) for row in rows]


class ApiKeyStore:
    """Every method works inside the caller's transaction."""

    async def insert(self, connection: AsyncConnection, key: ApiKeyRecord) -> None:
        """A new key; its record carries the hash."""
        await connection.execute(
            _INSERT_KEY,
            {
                "id": key.id,
                "project_id": key.project_id,
                "name": key.name,
                "role": key.role,
                "permissions": list(key.permissions),
                "secret_hash": key.secret_hash,
                "created_at": key.created_at,
                "created_by": key.created_by,
                "expires_at": key.expires_at,
            },
        )

    async def find(self, connection: AsyncConnection, key_id: UUID) -> ApiKeyRecord | None:
        """The key of that id, whichever project it belongs to."""
        row = (await connection.execute(_KEY, {"id": key_id})).one_or_none()
        return None if row is None else _read_key(row)

    async def list(
        self, connection: AsyncConnection, project_id: UUID, keyset: Keyset, limit: int
    ) -> Sequence[ApiKeyRecord]:
        """Keys of a project by id."""
        condition, order, values = keyset.clause("k.id")
        statement = f"{_KEYS} WHERE k.project_id = :project_id AND {condition} ORDER BY {order} LIMIT :limit"
        rows = await connection.execute(text(statement), values | {"project_id": project_id, "limit": limit})
        return [_read_key(row) for row in rows]

    async def delete(self, connection: AsyncConnection, project_id: UUID, key_id: UUID) -> tuple[str, str] | None:
        """Name and role of the key that is no more; None when there was none."""
        row = (await connection.execute(_DELETE_KEY, {"project_id": project_id, "id": key_id})).one_or_none()
        return None if row is None else (row.name, row.role)


def _read_project(row: Any) -> ProjectRecord:
    return ProjectRecord(plain_uuid(row.id), row.name, row.created_at, row.created_by)


def _read_key(row: Any) -> ApiKeyRecord:
    return ApiKeyRecord(
        id=plain_uuid(row.id),
        project_id=plain_uuid(row.project_id),
        project=row.project,
        name=row.name,
        role=row.role,
        permissions=tuple(row.permissions),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        secret_hash=bytes(row.secret_hash),
    )
