"""The audit service as a process, as an installation runs it, and what a test needs to speak to it."""

import asyncio
import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.support.services import running_service, supervised_publisher

from postern_common.contracts.broker import EVENTS_EXCHANGE
from postern_common.contracts.cloudevent import CloudEvent, encode
from postern_common.contracts.identifiers import new_id
from postern_common.contracts.outgoing import OutgoingMessage
from postern_common.contracts.registry import BY_TYPE
from postern_common.http import issue_service_token
from postern_common.messaging import Publisher

KEY = "k" * 32


@dataclass
class AuditProcess:
    """One running service."""

    process: Process
    address: str
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        """A fresh service token."""
        return {"Authorization": f"Bearer {issue_service_token(KEY, audience='audit', issuer='gateway')}"}

    async def get(self, path: str, **params: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.address, timeout=5) as client:
            return await client.get(path, params=params, headers=self.headers)

    async def events(self, project: str, **params: Any) -> dict[str, Any]:
        answer = await self.get(f"/internal/v1/projects/{project}/events", **{"limit": 200, **params})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def all_events(self, project: str) -> list[dict[str, Any]]:
        """Every event of the project, page by page."""
        found: list[dict[str, Any]] = []
        after = "0"
        while items := (page := await self.events(project, after=after))["items"]:
            found += items
            after = page["next_cursor"]
        return found


def environment(url: str, amqp_url: str, state: Path, **more: str) -> dict[str, str]:
    """Settings of the service."""
    return {
        "PATH": os.environ["PATH"],
        "POSTERN_DATABASE_URL": url,
        "POSTERN_AMQP_URL": amqp_url,
        "POSTERN_PORT": "0",
        "POSTERN_SERVICE_TOKEN_KEY": KEY,
        "POSTERN_STATE_DIRECTORY": str(state),
        **more,
    }


@asynccontextmanager
async def audit_process(variables: dict[str, str]) -> AsyncIterator[AuditProcess]:
    """Start the service and wait until it listens; it is killed at the end if it still runs."""
    async with running_service("audit", variables) as service:
        yield AuditProcess(service.process, f"http://127.0.0.1:{service.port}", service.log)


class Broker:
    """Publishes like a relay."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """All of them, many in flight."""
        async with asyncio.TaskGroup() as group:
            for event in events:
                group.create_task(self.publish_body(encode(event), event.type))

    async def publish_body(self, body: bytes, type_: str = "dev.postern.database.received.v1") -> None:
        """Any bytes, as a message of a type."""
        routing_key = BY_TYPE[type_].routing_key
        message = OutgoingMessage(EVENTS_EXCHANGE, routing_key, body, event_id=new_id(), type=type_)
        await self._publisher.publish(message)


@asynccontextmanager
async def broker_publisher(amqp_url: str) -> AsyncIterator[Broker]:
    """A publisher on a supervised connection."""
    async with supervised_publisher(amqp_url) as publisher:
        yield Broker(publisher)
