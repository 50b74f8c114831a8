"""One development cluster for all tests of a worker; each test has a namespace of its own on it."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.integration.devcluster.operator.clusters import DevelopmentCluster, Workbench, running

from postern_common.kube.client import KubeClient
from postern_devcluster.operator.postgres.binaries import find_installations


@pytest.fixture(scope="session")
def development() -> Iterator[DevelopmentCluster]:
    if not find_installations().majors:
        pytest.skip("no PostgreSQL programs are installed")
    with running() as cluster:
        yield cluster


@pytest.fixture
async def bench(development: DevelopmentCluster) -> AsyncIterator[Workbench]:
    async for each in make_bench(development):
        yield each


async def make_bench(development: DevelopmentCluster) -> AsyncIterator[Workbench]:
    client = await KubeClient.connect(str(development.kubeconfig))
    namespace = f"t-{uuid.uuid4().hex[:10]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    await client.request("POST", "/api/v1/namespaces", body=body)
    try:
        yield Workbench(development, client, namespace)
    finally:
        await client.request("DELETE", f"/api/v1/namespaces/{namespace}")
        await client.close()
