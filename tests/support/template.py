"""The template database: prepared and migrated once per test session, as an installation does it.

Separate from the fixtures because it runs before them, by whichever worker is first.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from postern_common.contracts.broker import TOPOLOGY_VERSION
from postern_common.persistence.engine import create_engine
from postern_common.persistence.installation import write_topology_version
from postern_devcluster.embedded import PostgresServer

SERVICES = ("gateway", "provisioner", "watcher", "audit")
TEMPLATE = "template_postern"
ROLE_PASSWORD = "only-for-tests"


def prepare_template(server: PostgresServer, directory: Path) -> None:
    """Make the template as an installation does: ``postern-database prepare``, then each service's migrations.

    A service whose migrations fail is noted: exactly the tests that ask for its schema fail, with that text.
    """
    marker = directory / "template"
    if marker.exists():
        return
    server.execute(f'DROP DATABASE IF EXISTS "{TEMPLATE}"')
    server.execute(f'CREATE DATABASE "{TEMPLATE}"')
    url = server.url_of(TEMPLATE)
    failure = _run("database", "prepare", url)
    if failure is None:
        asyncio.run(_store_topology_version(url))
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            failures = list(pool.map(lambda service: _run(service, "migrate", url), SERVICES))
    else:
        failures = [failure] * len(SERVICES)
    for service, text in zip(SERVICES, failures, strict=True):
        if text is not None:
            failure_file(directory, service).write_text(text)
    marker.touch()


async def _store_topology_version(url: str) -> None:
    """Each test's virtual host has the topology of this code: the database says so."""
    engine = create_engine(url, application_name="tests", pool_size=1)
    await write_topology_version(engine, TOPOLOGY_VERSION)
    await engine.dispose()


def failure_file(directory: Path, service: str) -> Path:
    """Where it is noted why ``service`` has no schema; absent when it has."""
    return directory / f"template-{service}.failed"


def _run(program: str, command: str, url: str) -> str | None:
    """Run ``postern-<program> <command>``; return what it said when it failed."""
    executable = shutil.which(f"postern-{program}", path=str(Path(sys.executable).parent))
    if executable is None:
        return f"postern-{program} is not installed: make setup"
    passwords = {f"POSTERN_ROLE_PASSWORD_{service.upper()}": ROLE_PASSWORD for service in SERVICES}
    result = subprocess.run(
        [executable, command],
        env={"PATH": os.environ["PATH"], "POSTERN_DATABASE_URL": url, **passwords},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if result.returncode == 0:
        return None
    return f"postern-{program} {command} failed:\n{result.stdout}{result.stderr}"
