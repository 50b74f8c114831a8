"""The service as a process: real broker and database, the development cluster, with the service's own rights."""

import asyncio
import base64
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.provisioner.conftest import OPTIONS, eventually
from tests.integration.provisioner.process import environment, gateway_relay, provisioner_process
from tests.unit.provisioner.commands import apply_command, delete_command

from postern_common.contracts.identifiers import cluster_name, new_id
from postern_common.kube.client import KubeClient
from postern_common.kube.errors import NotFoundError
from postern_common.kube.paths import CLUSTERS, SECRETS, SERVICES
from postern_devcluster.apiserver import running_api_server
from postern_provisioner.bootstrap import build_parts
from postern_provisioner.handlers import command_handler

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]
"""Processes start slowly on a busy machine."""

NAMESPACE = "postern-acme"


class Cluster:
    """An API server and an administrator's client of it."""

    def __init__(self, client: KubeClient, provisioner_kubeconfig: Path) -> None:
        self.client = client
        self.kubeconfig = provisioner_kubeconfig

    async def get(self, database_id: Any) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self.client.request(
                "GET", CLUSTERS.object(cluster_name("orders", database_id), NAMESPACE)
            )
        except NotFoundError:
            return None
        return found

    async def publish_connection(self, database_id: Any) -> None:
        """What the operator writes once a cluster runs."""
        name = cluster_name("orders", database_id)
        for suffix, host in (("rw", "127.0.10.1"), ("ro", "127.0.10.2"), ("r", "127.0.10.3")):
            await self.client.request(
                "POST",
                SERVICES.collection(NAMESPACE),
                body={
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {
                        "name": f"{name}-{suffix}",
                        "annotations": {"postern.dev/dev-address": f"{host}:5432"},
                    },
                    "spec": {"ports": [{"port": 5432}]},
                },
            )
        for suffix, data in (
            ("app", {"username": "app", "password": "canary-secret", "dbname": "app"}),
            ("ca", {"ca.crt": "PEM", "ca.key": "private"}),
        ):
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
            await self.client.request(
                "POST",
                SECRETS.collection(NAMESPACE),
                body={"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{name}-{suffix}"}, "data": encoded},
            )


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_api_server(tmp_path) as server:
        assert server.kubeconfigs is not None
        client = await KubeClient.connect(str(server.kubeconfigs.admin))
        yield Cluster(client, server.kubeconfigs.provisioner)
        await client.close()


async def sent_events(engine: AsyncEngine) -> list[str]:
    """Routing keys of the events that the broker has confirmed."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT routing_key FROM provisioner.outbox WHERE sent_at IS NOT NULL ORDER BY position")
        )
        return [row.routing_key for row in rows]


async def test_a_command_travels_to_the_cluster_and_back_within_its_rights(
    schema_urls: dict[str, str], amqp_url: str, cluster: Cluster, engine: AsyncEngine
) -> None:
    variables = environment(schema_urls["provisioner"], amqp_url, cluster.kubeconfig)
    database_id = new_id()
    async with provisioner_process(variables) as service, gateway_relay(amqp_url) as gateway:
        await eventually(lambda: answers(service, "/readyz", 200))
        await gateway.send(apply_command(database_id))
        await eventually(lambda: has_sent(engine, ["database.received", "database.applied"]))
        found = await cluster.get(database_id)
        assert found is not None
        assert found["metadata"]["annotations"]["postern.dev/generation"] == "1"

        path = f"/internal/v1/databases/{database_id}"
        assert (await service.get(f"{path}/credentials", audience=None)).status_code == 401
        assert (await service.get(f"{path}/credentials", audience="audit")).status_code == 401
        early = await service.get(f"{path}/credentials")
        assert (early.status_code, early.json()["code"]) == (503, "not_provisioned_yet")
        assert early.headers["Retry-After"] == "1"
        await cluster.publish_connection(database_id)
        credentials = await service.get(f"{path}/credentials")
        assert credentials.json() == {
            "username": "app",
            "password": "canary-secret",
            "dbname": "app",
            "host": "127.0.10.1",
            "port": 5432,
            "sslmode": "require",
        }
        assert credentials.headers["Cache-Control"] == "no-store"
        connection = (await service.get(f"{path}/connection")).json()
        assert connection["ca_certificate"] == "PEM"
        assert [(e["role"], e["host"]) for e in connection["endpoints"]] == [
            ("primary", "127.0.10.1"),
            ("replicas", "127.0.10.2"),
            ("any", "127.0.10.3"),
        ]
        unknown = await service.get(f"/internal/v1/databases/{new_id()}/connection")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")

        await gateway.send(delete_command(database_id, 2))
        await eventually(lambda: has_sent(engine, ["database.removed"]))
        assert await cluster.get(database_id) is None
        service.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert await service.process.wait() == 0
        assert "canary-secret" not in str(service.log)


async def test_a_process_that_died_between_two_objects_is_finished_by_the_next(
    schema_urls: dict[str, str], amqp_url: str, cluster: Cluster, engine: AsyncEngine
) -> None:
    variables = environment(schema_urls["provisioner"], amqp_url, cluster.kubeconfig)
    database_id = new_id()
    dying = {**variables, "POSTERN_CRASHPOINT": "provisioner.after_cluster"}
    async with provisioner_process(dying) as service, gateway_relay(amqp_url) as gateway:
        await gateway.send(apply_command(database_id))
        async with asyncio.timeout(15):
            assert await service.process.wait() == 137
    before = await cluster.get(database_id)
    assert before is not None
    async with engine.begin() as connection:
        # The dead process's leases end by themselves after 15 and 20 s; the test does not wait for it.
        await connection.execute(text("UPDATE provisioner.relay_leases SET expires_at = '-infinity'"))
        await connection.execute(
            text("UPDATE provisioner.targets SET lease_until = '-infinity', next_attempt_at = clock_timestamp()")
        )
    async with provisioner_process(variables):
        await eventually(lambda: has_sent(engine, ["database.received", "database.applied"]))
    after = await cluster.get(database_id)
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert (await sent_events(engine)).count("database.applied") == 1


async def test_an_unreachable_cluster_is_said_in_words(
    schema_urls: dict[str, str], amqp_url: str, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],"
        " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}], users: [{name: u, user: {token: t}}]}"
    )
    async with provisioner_process(environment(schema_urls["provisioner"], amqp_url, kubeconfig)) as service:
        await eventually(lambda: answers(service, "/livez", 200))
        answer = await service.get("/readyz")
        checks = {check["name"]: check for check in answer.json()["checks"]}

    assert answer.status_code == 503
    assert checks["kubernetes"]["code"] == "kubernetes_unavailable"
    assert "cannot be reached" in checks["kubernetes"]["detail"]


async def answers(service: Any, path: str, status: int) -> bool:
    return bool((await service.get(path)).status_code == status)


async def has_sent(engine: AsyncEngine, wanted: list[str]) -> bool:
    sent = await sent_events(engine)
    return all(name in sent for name in wanted)


async def test_what_an_api_server_makes_of_our_objects_is_no_drift(cluster: Cluster, engine: AsyncEngine) -> None:
    """Defaults, other spellings and other managers' fields must not be repaired for ever."""
    client = await KubeClient.connect(str(cluster.kubeconfig))
    parts = build_parts(engine=engine, kube=client, options=OPTIONS, owner="x", namespace_prefix="postern-")
    database_id = new_id()
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(parts.reconciling.run())
        await command_handler(parts.receiving)(apply_command(database_id, 1, allowed_cidrs=("10.0.0.0/8",)))
        await eventually(lambda: is_applied(engine))
        due = await parts.resyncing.resync()
        loop.cancel()
    await client.close()

    assert due == 0


async def is_applied(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        return bool(await connection.scalar(text("SELECT applied_generation = 1 FROM provisioner.targets")))
