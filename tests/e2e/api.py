"""A user of the public REST API: no shortcut into a database, a broker or a cluster."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx

FINAL = {"succeeded", "failed", "superseded", "cancelled"}
Json = dict[str, Any]


@dataclass(frozen=True)
class Api:
    """The API as one credential within one project sees it."""

    http: httpx.AsyncClient
    project: str

    @property
    def databases(self) -> str:
        return f"/v1/projects/{self.project}/databases"

    async def create(self, name: str, **members: Any) -> Json:
        """Ask for a database and return the 202's body."""
        body = {"name": name, "plan": "dev-1", **members}
        answer = await self.http.post(self.databases, json=body)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def get(self, name: str) -> Json:
        answer = await self.http.get(f"{self.databases}/{name}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def patch(self, name: str, **members: Any) -> Json:
        answer = await self.http.patch(
            f"{self.databases}/{name}", json=members, headers={"Content-Type": "application/merge-patch+json"}
        )
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def action(self, name: str, action: str) -> Json:
        answer = await self.http.post(f"{self.databases}/{name}/actions/{action}")
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def delete(self, name: str) -> Json:
        answer = await self.http.delete(f"{self.databases}/{name}")
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def finished(self, database: Json, *, within: float = 90) -> Json:
        """The database's operation once it ended; long-polls as a user would, over restarts of the gateway."""
        path = f"/v1/projects/{self.project}/operations/{database['operation']['id']}"
        deadline = time.monotonic() + within
        operation: Json = database["operation"]
        while time.monotonic() < deadline:
            try:
                answer = await self.http.get(path, headers={"Prefer": "wait=10"}, timeout=15)
                if answer.status_code == 200:
                    operation = answer.json()
                    if operation["status"] in FINAL:
                        return operation
            except httpx.TransportError:
                await asyncio.sleep(0.1)
        raise AssertionError(f"operation still {operation['status']} after {within} s: {operation}")

    async def succeeded(self, database: Json, *, within: float = 90) -> Json:
        """As ``finished``, and it succeeded."""
        operation = await self.finished(database, within=within)
        assert operation["status"] == "succeeded", operation
        return operation

    async def ready(self, name: str, **members: Any) -> Json:
        """Create a database and wait until it is ready."""
        await self.succeeded(await self.create(name, **members))
        database = await self.get(name)
        assert database["state"] == "ready", database
        return database

    async def reaches(self, name: str, state: str, *, within: float = 60) -> Json:
        """Poll until the database is in ``state``."""
        deadline = time.monotonic() + within
        database: Json = {}
        while time.monotonic() < deadline:
            database = await self.get(name)
            if database["state"] == state:
                return database
            await asyncio.sleep(0.1)
        raise AssertionError(f"never reached {state}: {database}")

    async def events(self, **filters: str) -> list[Json]:
        """Every event of the project, oldest first, page by page."""
        items: list[Json] = []
        after = "0"
        while True:
            answer = await self.http.get(
                f"/v1/projects/{self.project}/events", params={"after": after, "limit": "200", **filters}
            )
            assert answer.status_code == 200, answer.text
            page = answer.json()
            items += page["items"]
            if not page["next_cursor"] or not page["items"]:
                return items
            after = page["next_cursor"]

    async def credentials(self, name: str) -> Json:
        answer = await self.http.get(f"{self.databases}/{name}/credentials")
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return dict(answer.json())

    @asynccontextmanager
    async def sql(self, name: str) -> AsyncIterator[asyncpg.Connection]:
        """A connection made with the URI that the credentials endpoint gave, exactly as it stands."""
        connection = await connect((await self.credentials(name))["uri"])
        try:
            yield connection
        finally:
            await connection.close(timeout=5)


async def connect(uri: str, *, within: float = 15) -> asyncpg.Connection:
    """Connect, trying again while a proxy follows a moving primary."""
    deadline = time.monotonic() + within
    assert "sslmode=require" in uri, f"{urlsplit(uri).query}: the URI must ask for TLS"
    while True:
        try:
            return await asyncpg.connect(uri, timeout=5, command_timeout=10)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
