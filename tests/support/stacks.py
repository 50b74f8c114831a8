"""Whole stacks for end-to-end and chaos tests: the session's servers, a cluster and four services of their own.

Started once per session after collection, shared by all workers, ended with the session's servers. Tests that kill a
service have a stack of their own, so that the others never see a gateway die.
"""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.support.sharing import SERVERS, SharedServers

from postern_common.contracts.identifiers import new_id

STACK_FIXTURES = {"stack": "e2e", "kill_stack": "kill"}
START_SECONDS = 180


def asked_stacks(session: pytest.Session) -> set[str]:
    """Names of the stacks that the collected tests ask for."""
    fixtures = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    return {STACK_FIXTURES[name] for name in fixtures & STACK_FIXTURES.keys()}


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the stacks: no test's timeout pays for it."""
    if session.config.option.collectonly:
        return
    servers = session.config.stash[SERVERS]
    for name in sorted(asked_stacks(session)):
        with servers.locked(f"stack-{name}"):
            start(servers, name)


def start(servers: SharedServers, name: str) -> Stack:
    """Start the stack ``name``, or what of it is not running."""
    stack = Stack(servers.directory / name, targets(servers, name))
    if not (stack.home / "env").exists():
        environment = {**os.environ, "POSTERN_HOME": str(stack.home)}
        done = subprocess.run(
            [program(), "up", *stack.options],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=START_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"the stack {name} did not start:\n{done.stdout}{done.stderr}"
    return stack


def targets(servers: SharedServers, name: str) -> tuple[str, ...]:
    """Options of ``up``: the session's servers, with a database and a virtual host for this stack."""
    database = f"stack_{name}"
    if not (servers.directory / name / "env").exists():
        servers.postgres.execute(f'CREATE DATABASE "{database}"')
        servers.rabbit.create_vhost(name)
    return ("--database-url", servers.postgres.url_of(database), "--amqp-url", servers.rabbit.url_of(name))


def program() -> str:
    """The console script of this environment."""
    return str(Path(sys.executable).parent / "postern-stack")


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the stacks before the servers they use."""
    if hasattr(config, "workerinput"):
        return
    for name in STACK_FIXTURES.values():
        home = config.stash[SERVERS].directory / name
        if home.exists():
            subprocess.run(
                [program(), "clean-data"],
                env={**os.environ, "POSTERN_HOME": str(home)}, capture_output=True, timeout=60, check=False,
            )  # fmt: skip


@pytest.fixture(scope="session")
def stack(servers: SharedServers, postgres_server: str, rabbitmq_server: str) -> Stack:
    """A running stack that nobody kills."""
    return Stack(servers.directory / "e2e", targets(servers, "e2e"))


@pytest.fixture(scope="session")
def kill_stack(servers: SharedServers, postgres_server: str, rabbitmq_server: str) -> Stack:
    """A running stack whose services a test may kill; such tests run one after another (xdist group)."""
    return Stack(servers.directory / "kill", targets(servers, "kill"))


async def api_of(stack: Stack) -> AsyncIterator[Api]:
    """The administrator's API with a fresh project; its databases are deleted at the end, whatever became of them."""
    values = stack.env
    limits = httpx.Limits(max_connections=120)
    async with httpx.AsyncClient(
        base_url=values["POSTERN_URL"],
        headers={"Authorization": f"Bearer {values['POSTERN_TOKEN']}"},
        timeout=20,
        limits=limits,
    ) as http:
        project = f"p-{new_id().hex[-12:]}"
        answer = await http.post("/v1/projects", json={"name": project})
        assert answer.status_code == 201, answer.text
        api = Api(http, project)
        yield api
        await remove_databases(api)


async def remove_databases(api: Api) -> None:
    """Ask for the deletion of what is left: real PostgreSQL processes would slow the tests that follow."""
    listed = await api.http.get(api.databases)
    for database in listed.json()["items"]:
        path = f"{api.databases}/{database['name']}"
        if database["deletion_protection"]:
            await api.http.patch(path, json={"deletion_protection": False})
        await api.http.delete(path)


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[Api]:
    """The public API as its administrator sees it, within a project of its own."""
    async for made in api_of(stack):
        yield made


@pytest.fixture
async def kill_api(kill_stack: Stack) -> AsyncIterator[Api]:
    """As ``api``, on the stack whose services are killed."""
    async for made in api_of(kill_stack):
        yield made
