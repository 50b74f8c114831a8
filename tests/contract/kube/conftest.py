"""One suite for every API server: the fake, and the development cluster's over HTTPS with a real client."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postern_common.kube.client import KubeApi, KubeClient
from postern_common.kube.paths import NAMESPACES
from postern_common.testing.kube import FakeKube

NAMESPACE = "postern-contract"


@pytest.fixture(params=["fake", "development-cluster"])
async def kube(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[KubeApi]:
    """An API server with an empty namespace ``postern-contract``."""
    if request.param == "fake":
        fake = FakeKube()
        await _make_namespace(fake)
        yield fake
        return
    from postern_devcluster.apiserver import running_api_server  # noqa: PLC0415

    async with running_api_server(tmp_path) as server:
        assert server.kubeconfigs is not None
        client = await KubeClient.connect(str(server.kubeconfigs.admin))
        try:
            await _make_namespace(client)
            yield client
        finally:
            await client.close()


async def _make_namespace(kube: KubeApi) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    await kube.request("POST", NAMESPACES.collection(), body=body)
