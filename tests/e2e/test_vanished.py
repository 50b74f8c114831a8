"""What somebody deletes behind Postern's back is said, and never replaced by something empty that is called ready."""

import pytest
from tests.e2e.api import Api
from tests.e2e.ledger import assert_ledger_is_whole
from tests.e2e.stack import Stack
from tests.e2e.test_failing_creates import reason_shown

from postern_common.kube.client import KubeClient
from postern_common.kube.errors import NotFoundError
from postern_common.kube.paths import CLUSTERS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


async def test_a_cluster_deleted_with_kubectl_is_unavailable_until_a_person_decides(stack: Stack, api: Api) -> None:
    made = await api.ready("orders")
    cluster = CLUSTERS.object(f"orders-{made['id'].replace('-', '')[-6:]}", f"postern-{api.project}")
    async with api.sql("orders") as sql:
        await sql.execute("CREATE TABLE t AS SELECT 7 AS n")
    client = await KubeClient.connect(stack.env["KUBECONFIG"])
    await client.request("DELETE", cluster)

    gone = await reason_shown(api, "orders", "vanished")
    assert gone["state"] == "unavailable"
    answer = await api.http.post(f"{api.databases}/orders/actions/restart")
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid_state")
    with pytest.raises(NotFoundError):
        await client.request("GET", cluster)

    await api.succeeded(await api.patch("orders", parameters={"work_mem": "8MB"}))
    assert (await api.get("orders"))["state"] == "ready"
    async with api.sql("orders") as sql:
        assert await sql.fetchval("SELECT to_regclass('t') IS NULL"), "a new cluster, which is empty"
    await client.close()
    assert_ledger_is_whole(await api.events())
