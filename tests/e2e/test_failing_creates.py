"""What cannot work says why, in words a person can act on, and takes nothing down with it.

The development cluster has two storage classes: ``standard``, whose volumes grow, and ``fixed``, whose do not.
"""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.e2e.api import Api, Json
from tests.e2e.ledger import assert_ledger_is_whole, of_type
from tests.e2e.stack import Stack

from postern_common.kube.client import KubeClient
from postern_common.kube.paths import STORAGE_CLASSES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


async def reason_shown(api: Api, name: str, reason: str, *, within: float = 60) -> Json:
    """Poll until the database gives that reason."""
    deadline = time.monotonic() + within
    database: Json = {}
    while time.monotonic() < deadline:
        database = await api.get(name)
        if database["state_reason"] == reason:
            return database
        await asyncio.sleep(0.1)
    raise AssertionError(f"never gave {reason}: {database}")


async def settled(api: Api, name: str, generation: int, *, within: float = 90) -> Json:
    """Poll until the database is ready at that generation and no operation of it is open."""
    deadline = time.monotonic() + within
    database: Json = {}
    while time.monotonic() < deadline:
        database = await api.get(name)
        seen = (database["state"], database["observed_generation"], database["operation"]["status"])
        if seen == ("ready", generation, "succeeded"):
            return database
        await asyncio.sleep(0.1)
    raise AssertionError(f"not ready at generation {generation}: {database}")


@pytest.fixture
async def without_fixed(stack: Stack) -> AsyncIterator[None]:
    """An administrator has taken the class ``fixed`` away; the API still offers it."""
    client = await KubeClient.connect(stack.env["KUBECONFIG"])
    path = STORAGE_CLASSES.object("fixed")
    found = await client.request("GET", path)
    await client.request("DELETE", path)
    yield
    metadata = {part: found["metadata"].get(part) for part in ("name", "annotations")}
    await client.request("POST", STORAGE_CLASSES.collection(), body={**found, "metadata": metadata})
    await client.close()


async def test_the_storage_classes_that_there_are_can_be_chosen_and_no_others(api: Api) -> None:
    catalog = (await api.http.get("/v1/catalog")).json()
    assert catalog["storage_classes"] == ["standard", "fixed"]
    body = {"name": "orders", "plan": "dev-1", "storage_class": "no-such-class"}
    refused = await api.http.post(api.databases, json=body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/storage_class")


@pytest.mark.usefixtures("without_fixed")
async def test_a_storage_class_that_was_taken_away_is_named_within_seconds(api: Api) -> None:
    created = await api.create("orders", storage_class="fixed")
    database = await reason_shown(api, "orders", "storage_class_missing")
    assert database["state"] in {"provisioning", "failed"}, database
    assert "fixed" in database["state_message"], "a person must see which class is missing"
    assert database["observed"]["ready_instances"] in {0, None}
    changes = of_type(await api.events(), "database.state_changed", created["id"])
    told = [e for e in changes if e["data"]["reason"] == "storage_class_missing"]
    assert "fixed" in told[0]["data"]["message"]


@pytest.mark.usefixtures("without_fixed")
async def test_such_a_create_can_be_deleted_and_its_name_used_again(api: Api) -> None:
    await api.create("orders", storage_class="fixed")
    await reason_shown(api, "orders", "storage_class_missing")
    await api.succeeded(await api.delete("orders"))
    await api.ready("orders")


async def test_growth_that_the_storage_class_refuses_fails_and_is_taken_back(api: Api) -> None:
    before = await api.ready("orders", storage_class="fixed", storage="1Gi")
    async with api.sql("orders") as sql:
        await sql.execute("CREATE TABLE t AS SELECT 7 AS n")
    operation = await api.finished(await api.patch("orders", storage="2Gi"))
    assert operation["status"] == "failed", operation
    assert operation["error"]["code"] == "volume_expansion_refused", operation
    assert "fixed" in operation["error"]["detail"], "a person must see which class refuses"
    database = await settled(api, "orders", before["generation"] + 2)
    assert database["storage"] == "1Gi", "what is asked for is what there is again"
    assert database["operation"]["type"] == "undo_resize"
    async with api.sql("orders") as sql:
        assert await sql.fetchval("SELECT n FROM t") == 7
    assert_ledger_is_whole(await api.events())


async def test_a_database_whose_growth_was_refused_can_still_be_changed(api: Api) -> None:
    before = await api.ready("orders", storage_class="fixed", storage="1Gi")
    await api.finished(await api.patch("orders", storage="2Gi"))
    await settled(api, "orders", before["generation"] + 2)
    await api.succeeded(await api.patch("orders", instances=2))
    database = await api.get("orders")
    assert (database["state"], database["observed"]["ready_instances"]) == ("ready", 2)


async def test_growth_on_a_class_that_can_is_done_without_a_failure(api: Api) -> None:
    await api.ready("orders", storage_class="standard", storage="1Gi")
    await api.succeeded(await api.patch("orders", storage="2Gi"))
    database = await api.get("orders")
    assert (database["storage"], database["observed"]["storage"]) == ("2Gi", "2Gi")
