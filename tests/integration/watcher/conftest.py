"""A watcher in this process against a real database and the API server of the development cluster."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.polling import eventually

from postern_common.contracts.identifiers import cluster_name, new_id
from postern_common.contracts.kubernetes import (
    ANNOTATION_GENERATION,
    ANNOTATION_GOAL,
    ANNOTATION_OPERATION_ID,
    CNPG_API_VERSION,
    FIELD_MANAGER,
    LABEL_CNPG_CLUSTER,
    LABEL_DATABASE,
    LABEL_DATABASE_ID,
    LABEL_INSTALLATION,
    LABEL_PROJECT,
    LABEL_PROJECT_ID,
)
from postern_common.errors import DependencyDownError
from postern_common.kube.client import KubeClient
from postern_common.kube.paths import CLUSTERS, NAMESPACES, PERSISTENT_VOLUME_CLAIMS
from postern_common.kube.watch import WatchTiming
from postern_common.persistence import LeaseStore, Outbox, UnitOfWorkFactory, Wakeup, create_engine, read_installation
from postern_devcluster.apiserver.server import ApiServer, running_api_server
from postern_watcher.observers.session import WatchSessions
from postern_watcher.services.leadership import LeadershipService
from postern_watcher.storage.rows import LEASE

NAMESPACE = "postern-acme"
FAST = WatchTiming(backoff_first=0.02, backoff_limit=0.2)
"""Pauses short enough for a test; nothing else differs."""


class WatcherProcess:
    """What the composition root joins, without broker and HTTP: leadership, watches, transitions."""

    def __init__(self, engine: AsyncEngine, client: KubeClient, *, timing: WatchTiming = FAST) -> None:
        units = UnitOfWorkFactory(engine, Outbox("watcher", Wakeup()))
        self.sessions = WatchSessions(client=client, engine=engine, units=units, fenced=self._fenced, timing=timing)
        lease = LeaseStore(engine, "watcher", LEASE, owner=uuid.uuid4().hex)
        self.leadership = LeadershipService(lease, self.sessions.run)
        self._task: asyncio.Task[None] | None = None

    def _fenced(self) -> None:
        self.leadership.doubt()

    async def start(self) -> "WatcherProcess":
        """Begin, and wait until everything was listed once."""
        self._task = asyncio.get_running_loop().create_task(self.leadership.run())
        await eventually(self.is_ready)
        return self

    async def is_ready(self) -> bool:
        """Whether it leads and has listed everything."""
        assert self._task is not None
        if self._task.done():
            self._task.result()
        if self.leadership.epoch is None or not self.sessions.collections:
            return False
        try:
            await self.sessions.check()
        except DependencyDownError:
            return False
        return True

    async def kill(self) -> None:
        """End without giving the lease back."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})

    async def stop(self) -> None:
        """End in order."""
        await self.kill()
        await self.leadership.release()


class Outboxes:
    """What was announced, read from the outbox."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def events(self, database: "Database | None" = None) -> list[dict[str, Any]]:
        """All events in order of their positions, as CloudEvents."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(text("SELECT body FROM watcher.outbox ORDER BY position"))
            events = [json.loads(row.body) for row in rows]
        return [e for e in events if database is None or e["subject"] == str(database.id)]

    async def story(self, database: "Database") -> list[str]:
        """The states in order, after checking that revisions and states chain without a break."""
        told = [event["data"] for event in await self.events(database) if "drifted" not in event["type"]]
        assert [data["revision"] for data in told] == list(range(1, len(told) + 1))
        before = [data["to"] for data in told]
        assert [data["from"] for data in told] == [None, *before[:-1]] if told else True
        return [data["to"] for data in told if data["from"] != data["to"]]

    async def wait_for(self, database: "Database", *states: str) -> None:
        """Wait until the story is exactly ``states``."""

        async def told() -> bool:
            return await self.story(database) == list(states)

        try:
            await eventually(told)
        except AssertionError:
            assert await self.story(database) == list(states)


class Database:
    """A Cluster as the provisioner and the operator would write it."""

    def __init__(self, client: KubeClient, installation: str, name: str) -> None:
        self.id, self.project_id, self.operation_id = new_id(), new_id(), new_id()
        self.name = cluster_name(name, self.id)
        self._client = client
        self._labels = {
            LABEL_INSTALLATION: installation,
            LABEL_PROJECT: "acme",
            LABEL_PROJECT_ID: str(self.project_id),
            LABEL_DATABASE: name,
            LABEL_DATABASE_ID: str(self.id),
        }
        self.spec: dict[str, Any] = {
            "instances": 2,
            "imageName": "ghcr.io/cloudnative-pg/postgresql:17.2",
            "storage": {"size": "1Gi"},
        }

    async def apply(self, generation: int, *, goal: str = "ready", manager: str = FIELD_MANAGER, **spec: Any) -> None:
        """Server-side apply with the annotations of ``generation``."""
        self.spec |= spec
        annotations = {
            ANNOTATION_GENERATION: str(generation),
            ANNOTATION_GOAL: goal,
            ANNOTATION_OPERATION_ID: str(self.operation_id),
        }
        manifest = {
            "apiVersion": CNPG_API_VERSION,
            "kind": "Cluster",
            "metadata": {
                "name": self.name,
                "namespace": NAMESPACE,
                "labels": self._labels,
                "annotations": annotations,
            },
            "spec": self.spec,
        }
        await self._client.request(
            "PATCH",
            CLUSTERS.object(self.name, NAMESPACE),
            query={"fieldManager": manager, "force": "true"},
            body=manifest,
            content_type="application/apply-patch+yaml",
        )

    async def status(self, phase: str, ready: int, *, primary: int = 1, instances: int | None = None) -> None:
        """The operator's status: ``ready`` instances of all, the ``primary``-th leads."""
        names = [f"{self.name}-{number + 1}" for number in range(max(ready, primary))]
        status = {
            "phase": phase,
            "instances": self.spec["instances"] if instances is None else instances,
            "readyInstances": ready,
            "currentPrimary": names[primary - 1],
            "targetPrimary": names[primary - 1],
            "image": self.spec["imageName"],
        }
        await self._client.request(
            "PATCH",
            CLUSTERS.object(self.name, NAMESPACE, subresource="status"),
            body={"status": status},
            content_type="application/merge-patch+json",
        )

    async def edit(self, patch: dict[str, Any], *, manager: str) -> None:
        """A merge patch by somebody."""
        await self._client.request(
            "PATCH",
            CLUSTERS.object(self.name, NAMESPACE),
            query={"fieldManager": manager},
            body=patch,
            content_type="application/merge-patch+json",
        )

    async def make_ready(self) -> None:
        """From created to healthy."""
        await self.status("Setting up primary", 0)
        await self.healthy()

    async def healthy(self, **options: Any) -> None:
        """Complete and healthy."""
        await self.status("Cluster in healthy state", self.spec["instances"], **options)

    async def delete(self) -> None:
        """Remove the Cluster."""
        await self._client.request("DELETE", CLUSTERS.object(self.name, NAMESPACE))

    async def add_volume(self) -> None:
        """A volume of its first instance."""
        body = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": f"{self.name}-1",
                "namespace": NAMESPACE,
                "labels": {LABEL_CNPG_CLUSTER: self.name, "cnpg.io/pvcRole": "PG_DATA"},
            },
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
        await self._client.request("POST", PERSISTENT_VOLUME_CLAIMS.collection(NAMESPACE), body=body)

    async def drop_volume(self) -> None:
        """The volume goes."""
        await self._client.request("DELETE", PERSISTENT_VOLUME_CLAIMS.object(f"{self.name}-1", NAMESPACE))


@pytest.fixture
async def api_server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """The development cluster's API server, without its operator."""
    async with running_api_server(tmp_path) as server:
        yield server


@pytest.fixture
async def admin(api_server: ApiServer) -> AsyncIterator[KubeClient]:
    """An administrator's client, with the project's namespace made."""
    client = await KubeClient.connect(str(api_server.kubeconfig))
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    await client.request("POST", NAMESPACES.collection(), body=body)
    yield client
    await client.close()


@pytest.fixture
async def watcher_client(api_server: ApiServer) -> AsyncIterator[KubeClient]:
    """A client with the watcher's own rights, no more."""
    assert api_server.kubeconfigs is not None
    client = await KubeClient.connect(str(api_server.kubeconfigs.watcher))
    yield client
    await client.close()


@pytest.fixture
async def engine(schema_urls: dict[str, str]) -> AsyncIterator[AsyncEngine]:
    """The watcher's own role."""
    engine = create_engine(schema_urls["watcher"], application_name="test-watcher")
    yield engine
    await engine.dispose()


@pytest.fixture
async def watcher(engine: AsyncEngine, watcher_client: KubeClient) -> AsyncIterator[WatcherProcess]:
    """A running watcher."""
    process = await WatcherProcess(engine, watcher_client).start()
    yield process
    await process.stop()


@pytest.fixture
def outbox(engine: AsyncEngine) -> Outboxes:
    """What the watcher announces."""
    return Outboxes(engine)


@pytest.fixture
async def database(engine: AsyncEngine, admin: KubeClient) -> Database:
    """A database that is not applied yet."""
    return Database(admin, await read_installation(engine), "orders")
