"""What a newcomer's two commands do, with private servers: demo, demo again, down, up, clean-data.

It runs beside the session's other stacks, so it also shows that two stacks do not collide.
"""

import asyncio
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.support.sharing import SharedServers

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
KEYS = ["POSTERN_URL", "POSTERN_TOKEN", "POSTERN_AMQP_URL", "POSTERN_DATABASE_URL", "KUBECONFIG"]


@pytest.fixture
async def own_stack(servers: SharedServers) -> AsyncIterator[Stack]:
    """A state directory below the session's, so that whatever ends the session ends this, too."""
    servers.directory.mkdir(parents=True, exist_ok=True)
    stack = Stack(Path(tempfile.mkdtemp(prefix="own-", dir=servers.directory)))
    yield stack
    await stack.run("clean-data")
    assert not stack.home.exists()


async def rows(stack: Stack) -> int:
    """Rows that the demo's database holds, by the credentials that the API gives."""
    values = stack.env
    headers = {"Authorization": f"Bearer {values['POSTERN_TOKEN']}"}
    async with httpx.AsyncClient(base_url=values["POSTERN_URL"], headers=headers, timeout=20) as http:
        api = Api(http, "demo")
        await api.reaches("orders", "ready")
        async with api.sql("orders") as sql:
            return int(await sql.fetchval("SELECT count(*) FROM orders"))


async def test_the_demo_runs_twice_and_down_and_up_bring_every_row_back(own_stack: Stack) -> None:
    first = await own_stack.run("demo", within=180)
    assert "provisioning → ready" in first
    assert "SQL on the primary" in first
    assert "SQL on a replica" in first
    assert list(own_stack.env) == KEYS
    mode = await asyncio.to_thread((own_stack.home / "env").stat)
    assert stat.S_IMODE(mode.st_mode) == 0o600, "the file holds the administrator's token"
    again = await own_stack.run("demo")
    assert "is there already, ready" in again
    before = await rows(own_stack)
    assert before > 0

    assert "Stopped; data stay" in await own_stack.run("down")
    assert "Nothing was running" in await own_stack.run("down")
    with pytest.raises(httpx.ConnectError):
        await rows(own_stack)
    await own_stack.run("up")
    assert await rows(own_stack) == before
    assert "Everything is ready" in await own_stack.run("status")
