"""The provisioner as a process, as an installation runs it, and a publisher that speaks like the gateway's relay."""

import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.support.services import running_service, supervised_publisher

from postern_common.contracts.broker import COMMANDS_EXCHANGE
from postern_common.contracts.cloudevent import CloudEvent, encode
from postern_common.contracts.identifiers import new_id
from postern_common.contracts.outgoing import OutgoingMessage
from postern_common.http import issue_service_token
from postern_common.messaging import Publisher

KEY = "k" * 32


@dataclass
class ProvisionerProcess:
    """One running service."""

    process: Process
    port: int
    log: list[dict[str, Any]] = field(default_factory=list)

    async def get(self, path: str, *, audience: str | None = "provisioner") -> httpx.Response:
        """A call of the internal API; without ``audience`` no token is sent."""
        headers = {}
        if audience is not None:
            headers["Authorization"] = f"Bearer {issue_service_token(KEY, audience=audience, issuer='gateway')}"
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=8) as client:
            return await client.get(path, headers=headers)


def environment(url: str, amqp_url: str, kubeconfig: Path, **more: str) -> dict[str, str]:
    """Settings of the service."""
    return {
        "PATH": os.environ["PATH"],
        "POSTERN_DATABASE_URL": url,
        "POSTERN_AMQP_URL": amqp_url,
        "POSTERN_PORT": "0",
        "POSTERN_SERVICE_TOKEN_KEY": KEY,
        "POSTERN_ADDRESS_MODE": "development",
        "KUBECONFIG": str(kubeconfig),
        **more,
    }


@asynccontextmanager
async def provisioner_process(variables: dict[str, str]) -> AsyncIterator[ProvisionerProcess]:
    """Start the service and wait until it listens; it is killed at the end if it still runs."""
    async with running_service("provisioner", variables) as service:
        yield ProvisionerProcess(service.process, service.port, service.log)


@asynccontextmanager
async def gateway_relay(amqp_url: str) -> AsyncIterator["Commands"]:
    """Publishes commands on a supervised connection."""
    async with supervised_publisher(amqp_url) as publisher:
        yield Commands(publisher)


class Commands:
    """What the gateway sends."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def send(self, event: CloudEvent) -> None:
        """A command, as the relay publishes it."""
        await self.send_body(encode(event), event.type)

    async def send_body(self, body: bytes, type_: str = "dev.postern.command.database.apply.v1") -> None:
        """Any bytes as a message of a type."""
        await self._publisher.publish(
            OutgoingMessage(COMMANDS_EXCHANGE, "database.apply", body, event_id=new_id(), type=type_)
        )
