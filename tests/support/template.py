"""The template database: prepared and migrated once per test session, as an installation does it.

Separate from the fixtures because it runs before them, by whichever worker is first.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from postern_devcluster.embedded import PostgresServer

SERVICES = ("gateway", "provisioner", "watcher", "audit")
TEMPLATE = "template_postern"
ROLE_PASSWORD = "only-for-tests"


def prepare_template(server: PostgresServer, directory: Path) -> None:
    """Make the template as an installation does: ``postern-database prepare``, then each service's migrations."""
    marker = directory / "template"
    if marker.exists():
        return
    server.execute(f'DROP DATABASE IF EXISTS "{TEMPLATE}"')
    server.execute(f'CREATE DATABASE "{TEMPLATE}"')
    url = server.url_of(TEMPLATE)
    if _program("database") is not None:
        _run("database", "prepare", url)
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            list(pool.map(lambda service: _run(service, "migrate", url), filter(_program, SERVICES)))
    marker.touch()


def _program(name: str) -> str | None:
    return shutil.which(f"postern-{name}", path=str(Path(sys.executable).parent))


def _run(program: str, command: str, url: str) -> None:
    passwords = {f"POSTERN_ROLE_PASSWORD_{service.upper()}": ROLE_PASSWORD for service in SERVICES}
    result = subprocess.run(
        [str(_program(program)), command],
        env={"PATH": os.environ["PATH"], "POSTERN_DATABASE_URL": url, **passwords},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, f"postern-{program} {command} failed:\n{result.stdout}{result.stderr}"
