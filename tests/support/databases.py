"""A fresh database for each test, copied from the template.

The services' roles belong to the server, so all copies share the template's roles; each test has a database of its own.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from tests.support.sharing import SERVERS
from tests.support.template import ROLE_PASSWORD, SERVICES, TEMPLATE, failure_file


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> str:
    """Administrator's URL of a private server (database ``postern``, empty)."""
    return pytestconfig.stash[SERVERS].postgres.url


@pytest.fixture
def database_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """Administrator's URL of a fresh database with everything prepared and migrated."""
    server = pytestconfig.stash[SERVERS].postgres
    name = f"t_{uuid.uuid4().hex[:16]}"
    server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
    yield server.url_of(name)
    server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


class SchemaUrls(dict[str, str]):
    """URL by service; asking for a service whose schema could not be made fails the test with the reason."""

    def __init__(self, urls: dict[str, str], directory: Path) -> None:
        failed = {service for service in urls if failure_file(directory, service).exists()}
        super().__init__({service: url for service, url in urls.items() if service not in failed})
        self._directory = directory

    def __missing__(self, service: str) -> str:
        pytest.fail(failure_file(self._directory, service).read_text(), pytrace=False)


@pytest.fixture
def schema_urls(pytestconfig: pytest.Config, database_url: str) -> dict[str, str]:
    """URL of each service's own role to the same fresh database, by service name."""
    parts = urlsplit(database_url)
    urls = {
        service: urlunsplit(
            parts._replace(netloc=f"{TEMPLATE}_{service}:{ROLE_PASSWORD}@{parts.hostname}:{parts.port}")
        )
        for service in SERVICES
    }
    return SchemaUrls(urls, pytestconfig.stash[SERVERS].directory)
