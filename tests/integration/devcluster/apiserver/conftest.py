"""A real API server in this process and a client with its kubeconfig's trust and token."""

import asyncio
import base64
import io
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from postern_devcluster.apiserver import ApiServer, running_api_server

CNPG = "/apis/postgresql.cnpg.io/v1"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


@dataclass(frozen=True)
class Answer:
    """Status code, decoded body and headers."""

    code: int
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True)
class Client:
    """Requests as one user."""

    session: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json", **query: str
    ) -> Answer:
        data = None if body is None else io.BytesIO(json.dumps(body).encode())
        headers = {"Content-Type": content_type}
        async with self.session.request(method, path, data=data, headers=headers, params=query) as response:
            raw = await response.read()
            decoded = json.loads(raw) if response.content_type == "application/json" else raw.decode()
            return Answer(response.status, decoded, dict(response.headers))

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        async with self.session.get(path, params={"watch": "true", **query}) as response:
            assert response.status == 200, await response.text()

            async def events() -> AsyncIterator[dict[str, Any]]:
                async for line in response.content:
                    yield json.loads(line)

            yield events()


@asynccontextmanager
async def client_of(kubeconfig: Path) -> AsyncIterator[Client]:
    """A client for a kubeconfig file."""
    config = json.loads(await asyncio.to_thread(kubeconfig.read_text))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=authority))
    headers = {"Authorization": f"Bearer {user['token']}"}
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(
        cluster["server"], connector=connector, headers=headers, timeout=timeout
    ) as session:
        yield Client(session)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with running_api_server(tmp_path) as running:
        yield running


@pytest.fixture
async def admin(server: ApiServer) -> AsyncIterator[Client]:
    async with client_of(server.kubeconfig) as client:
        await client.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "acme"}})
        yield client
