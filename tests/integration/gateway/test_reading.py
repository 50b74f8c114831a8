"""Reads, lists, entity tags, waiting and dry runs."""

import asyncio
import time

import pytest
from tests.integration.gateway.conftest import Gateway, applied, seen
from tests.integration.gateway.test_refusals import DATABASES, problem


async def test_a_get_is_304_until_something_visible_changes(gateway: Gateway) -> None:
    database = await gateway.create()
    read = await gateway.client.get(f"{DATABASES}/orders")
    match = {"If-None-Match": f'"other", {read.headers["etag"]}'}
    unchanged = await gateway.client.get(f"{DATABASES}/orders", headers=match)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    await gateway.tell(seen(database, 1, "provisioning", observed_generation=0))
    assert (await gateway.client.get(f"{DATABASES}/orders", headers=match)).status_code == 200


async def test_a_phase_of_the_operation_moves_the_tag_too(gateway: Gateway) -> None:
    database = await gateway.create()
    before = (await gateway.client.get(f"{DATABASES}/orders")).headers["etag"]
    await gateway.tell(applied(database))
    assert (await gateway.client.get(f"{DATABASES}/orders")).headers["etag"] != before


async def test_the_catalogue_has_a_tag_and_what_is_offered(gateway: Gateway) -> None:
    read = await gateway.client.get("/v1/catalog")
    catalogue = read.json()
    names = [
        "dev-1",
        "startup-1",
        "startup-2",
        "standard-1",
        "standard-2",
        "standard-4",
        "enterprise-4",
        "enterprise-8",
    ]
    assert [plan["name"] for plan in catalogue["plans"]] == names
    assert [v["major"] for v in catalogue["versions"] if v["default"]] == [18]
    assert catalogue["versions"][0]["parameters"]["shared_buffers"]["restart"] is True
    again = await gateway.client.get("/v1/catalog", headers={"If-None-Match": read.headers["etag"]})
    assert again.status_code == 304


async def test_a_list_is_walked_by_cursors_in_both_directions(gateway: Gateway) -> None:
    names = [f"db-{number}" for number in range(5)]
    for name in names:
        await gateway.create(name)
    for order, expected in (("desc", names[::-1]), ("asc", names)):
        found, cursor = [], None
        while True:
            query = {"limit": 2, "order": order} | ({"cursor": cursor} if cursor else {})
            page = (await gateway.client.get(DATABASES, params=query)).json()
            found += [item["name"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == expected
    page = (await gateway.client.get(DATABASES, params={"limit": 2})).json()
    other = await gateway.client.get("/v1/projects/acme/operations", params={"limit": 2, "cursor": page["next_cursor"]})
    assert problem(other, 422, "validation_failed")["errors"][0]["code"] == "invalid_cursor"


async def test_lists_are_filtered_by_state_label_status_and_type(gateway: Gateway) -> None:
    ready = await gateway.create("one", labels={"team": "a", "env": "prod"})
    await gateway.create("two", labels={"team": "b"})
    await gateway.make_ready(ready)

    async def names(**query: object) -> list[str]:
        response = await gateway.client.get(DATABASES, params=query)
        return [item["name"] for item in response.json()["items"]]

    assert await names(state="ready") == ["one"]
    assert await names(state=["ready", "requested"]) == ["two", "one"]
    assert await names(label="team=b") == ["two"]
    assert await names(label=["team=a", "env=prod"]) == ["one"]
    assert await names(label=["team=a", "env=test"]) == []
    problem(await gateway.client.get(DATABASES, params={"state": "odd"}), 422, "validation_failed")
    operations = "/v1/projects/acme/operations"
    found = (await gateway.client.get(operations, params={"status": "succeeded", "type": "create"})).json()["items"]
    assert [item["database"] for item in found] == ["one"]
    found = (await gateway.client.get(operations, params={"since": "2100-01-01T00:00:00Z"})).json()["items"]
    assert found == []
    for odd in ("yesterday", "2026-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
        problem(await gateway.client.get(operations, params={"since": odd}), 422, "validation_failed")
    problem(await gateway.client.get(operations, params={"limit": "0"}), 422, "validation_failed")
    problem(await gateway.client.get(f"{operations}/nonsense"), 404, "not_found")


async def test_prefer_wait_answers_when_the_operation_ends(gateway: Gateway) -> None:
    database = await gateway.create()
    path = f"/v1/projects/acme/operations/{database['operation']['id']}"
    waiting = asyncio.gather(*(gateway.client.get(path, headers={"Prefer": "wait=20"}) for _ in range(5)))
    await asyncio.sleep(0)
    await gateway.make_ready(database)
    started = time.monotonic()
    for answer in await waiting:
        assert (answer.json()["status"], answer.headers["preference-applied"]) == ("succeeded", "wait=20")
    assert time.monotonic() - started < 5
    ended = await gateway.client.get(path, headers={"Prefer": "wait=20"})
    assert ended.json()["status"] == "succeeded"


async def test_prefer_wait_gives_up_with_what_there_is(gateway: Gateway) -> None:
    waited = await gateway.client.post(
        DATABASES, json={"name": "orders", "plan": "dev-1"}, headers={"Prefer": "respond-async, wait=1"}
    )
    assert (waited.status_code, waited.headers["preference-applied"]) == (202, "wait=1")


async def test_a_change_of_another_gateway_ends_a_wait_too(gateway: Gateway) -> None:
    from sqlalchemy import text  # noqa: PLC0415

    database = await gateway.create()
    path = f"/v1/projects/acme/operations/{database['operation']['id']}"
    waiting = asyncio.gather(gateway.client.get(path, headers={"Prefer": "wait=20"}))
    await asyncio.sleep(0)
    async with gateway.engine.begin() as connection:
        await connection.execute(text("UPDATE gateway.operations SET status = 'failed', finished_at = now()"))
    [answer] = await waiting
    assert answer.json()["status"] == "failed"


async def test_a_write_answers_where_its_resource_and_operation_are(gateway: Gateway) -> None:
    response = await gateway.client.post(DATABASES, json={"name": "orders", "plan": "standard-2"})
    body = response.json()
    assert response.headers["location"] == f"{DATABASES}/orders"
    assert response.headers["operation-location"] == f"/v1/projects/acme/operations/{body['operation']['id']}"
    assert (body["version"], body["instances"], body["storage"], body["deletion_protection"]) == (18, 2, "20Gi", True)
    assert (await gateway.client.get(response.headers["location"])).headers["etag"] == response.headers["etag"]
    assert (await gateway.client.get(response.headers["operation-location"])).json() == body["operation"]


async def test_a_patch_of_what_only_postern_keeps_is_200_without_an_operation(gateway: Gateway) -> None:
    database = await gateway.create(labels={"team": "a", "env": "prod"})
    response = await gateway.client.patch(f"{DATABASES}/orders", json={"labels": {"env": None, "tier": "1"}})
    assert response.status_code == 200
    body = response.json()
    assert (body["labels"], body["generation"]) == ({"team": "a", "tier": "1"}, 1)
    assert body["operation"]["id"] == database["operation"]["id"]
    assert (await gateway.client.patch(f"{DATABASES}/orders", json={})).status_code == 200
    assert await gateway.counts() == (1, 1, 1)


async def test_a_plan_change_moves_cpu_and_memory_only(gateway: Gateway) -> None:
    await gateway.create(storage="7Gi", parameters={"work_mem": "7MB"})
    body = (await gateway.client.patch(f"{DATABASES}/orders", json={"plan": "standard-2"})).json()
    assert (body["plan"], body["cpu"], body["memory"]) == ("standard-2", "2", "4Gi")
    assert (body["storage"], body["instances"], body["parameters"]["work_mem"]) == ("7Gi", 1, "7MB")


async def test_a_removed_parameter_falls_back_to_the_plans_default(gateway: Gateway) -> None:
    await gateway.create(parameters={"work_mem": "7MB", "jit": False})
    body = (
        await gateway.client.patch(f"{DATABASES}/orders", json={"parameters": {"work_mem": None, "jit": None}})
    ).json()
    assert body["parameters"]["work_mem"] == "4MB"
    assert "jit" not in body["parameters"]


async def test_a_dry_run_says_what_would_happen_and_changes_nothing(gateway: Gateway) -> None:
    database = await gateway.create(storage="5Gi")
    await gateway.make_ready(database)
    before = await gateway.client.get(f"{DATABASES}/orders")
    rows = len(await gateway.outbox())
    wish = {"plan": "standard-1", "storage": "10Gi", "instances": 2, "parameters": {"max_connections": 300}}
    response = await gateway.client.patch(f"{DATABASES}/orders?dry_run=true", json=wish)
    assert response.status_code == 200
    answer = response.json()
    impact = answer["impact"]
    assert (impact["restarts"], impact["downtime"], impact["rejected"]) == (True, "seconds", [])
    assert impact["storage_change"] == {"from": "5Gi", "to": "10Gi"}
    assert impact["quota_after"] == {
        "databases": 1,
        "instances": 2,
        "cpu_millis": 2000,
        "memory_bytes": 2 * 2 * 2**30,
        "storage_bytes": 2 * 10 * 2**30,
    }
    assert answer["changes"]["plan"] == ["startup-1", "standard-1"]
    assert (await gateway.client.get(f"{DATABASES}/orders")).content == before.content
    assert len(await gateway.outbox()) == rows + 1
    assert (await gateway.actions())[-1]["outcome"] == "dry_run"


@pytest.mark.parametrize(
    ("parameters", "restarts"),
    [({"work_mem": "8MB"}, False), ({"shared_buffers": "256MB"}, True), ({"jit": "off"}, False)],
)
async def test_a_dry_run_tells_a_restart_from_a_reload(
    gateway: Gateway, parameters: dict[str, str], restarts: bool
) -> None:
    await gateway.create()
    response = await gateway.client.patch(f"{DATABASES}/orders?dry_run=true", json={"parameters": parameters})
    assert response.json()["impact"]["restarts"] is restarts


async def test_a_dry_run_tells_what_would_be_refused(gateway: Gateway) -> None:
    database = await gateway.create(storage="5Gi", deletion_protection=True)
    await gateway.make_ready(database)

    async def rejected(method: str, path: str, body: object = None) -> list[str]:
        response = await gateway.client.request(method, f"{DATABASES}{path}?dry_run=true", json=body)
        assert response.status_code == 200, response.text
        return [entry["code"] for entry in response.json()["impact"]["rejected"]]

    assert await rejected("POST", "", {"name": "orders", "plan": "dev-1"}) == ["database_exists"]
    assert await rejected("POST", "", {"name": "other", "plan": "dev-1"}) == []
    assert await rejected("PATCH", "/orders", {"storage": "2Gi"}) == ["storage_shrink"]
    assert await rejected("DELETE", "/orders") == ["deletion_protected"]
    assert await rejected("POST", "/orders/actions/switchover") == ["no_replica"]
    assert await rejected("POST", "/orders/actions/restart") == []
    assert await gateway.counts() == (1, 1, 1)


async def test_two_databases_whose_objects_would_share_a_name_are_kept_apart(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    from postern_gateway.domain import writes  # noqa: PLC0415

    first = await gateway.create()
    await gateway.client.post("/v1/projects", json={"name": "other"})
    tail = first["id"].replace("-", "")[-6:]
    names = iter([f"orders-{tail}", "orders-abcdef"])
    monkeypatch.setattr(writes, "cluster_name", lambda *_: next(names))
    response = await gateway.client.post("/v1/projects/other/databases", json={"name": "orders", "plan": "dev-1"})
    assert response.status_code == 202
    found = await gateway.rows("SELECT cluster_name FROM gateway.databases ORDER BY created_at")
    assert [row.cluster_name for row in found] == [f"orders-{tail}", "orders-abcdef"]
