"""The service as a process on real RabbitMQ and PostgreSQL."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.audit.ledger import Ledger, api_action, received, until
from tests.integration.audit.process import AuditProcess, Broker, audit_process, broker_publisher, environment

from postern_common.contracts.cloudevent import encode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

EVENTS = "/internal/v1/projects/acme/events"


@pytest.fixture
def variables(schema_urls: dict[str, str], amqp_url: str, tmp_path: Path) -> dict[str, str]:
    """Settings of a service on fresh servers."""
    return environment(schema_urls["audit"], amqp_url, tmp_path)


async def holds(service: AuditProcess, count: int, project: str = "acme") -> list[dict[str, Any]]:
    """All events of the project once there are ``count``."""
    found: list[dict[str, Any]] = []

    async def enough() -> bool:
        found[:] = await service.all_events(project)
        return len(found) >= count

    await until(enough, seconds=20)
    return found


async def test_published_events_become_pages_with_sequences(variables: dict[str, str], amqp_url: str) -> None:
    events = [received() for _ in range(5)]
    async with audit_process(variables) as service, broker_publisher(amqp_url) as broker:
        await broker.publish(events)
        found = await holds(service, 5)
        assert [event["sequence"] for event in found] == ["1", "2", "3", "4", "5"]
        assert {event["id"] for event in found} == {str(event.id) for event in events}
        assert await service.events("nobody") == {"items": [], "next_cursor": "0"}
        assert (await service.get("/readyz")).json()["checks"]
