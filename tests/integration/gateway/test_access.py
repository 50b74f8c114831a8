"""Who may call what: every route by every role, from the policy table; other projects stay unknown."""

import httpx
import pytest
from sqlalchemy import text
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.test_refusals import DATABASES, GOOD, problem

from postern_common.contracts.identifiers import new_id
from postern_gateway.domain.access import Right
from postern_gateway.routes.policy import POLICY

WHO = ("nobody", "stranger", "viewer", "reader", "editor", "owner", "administrator")
ALLOWED: dict[Right, set[str]] = {
    Right.PUBLIC: set(WHO),
    Right.AUTHENTICATED: {"stranger", "viewer", "reader", "editor", "owner", "administrator"},
    Right.ADMINISTER: {"administrator"},
    Right.READ: {"viewer", "reader", "editor", "owner", "administrator"},
    Right.WRITE: {"editor", "owner", "administrator"},
    Right.READ_AUDIT: {"editor", "owner", "administrator"},
    Right.MANAGE_KEYS: {"owner", "administrator"},
    Right.READ_CREDENTIALS: {"reader", "administrator"},
}


async def credentials(gateway: Gateway) -> dict[str, str]:
    """A bearer token for each of ``WHO``; the stranger owns another project."""
    await gateway.client.post("/v1/projects", json={"name": "other"})
    return {
        "nobody": "",
        "stranger": await gateway.key("owner", "credentials:read", project="other"),
        "viewer": await gateway.key("viewer"),
        "reader": await gateway.key("viewer", "credentials:read"),
        "editor": await gateway.key("editor"),
        "owner": await gateway.key("owner"),
        "administrator": gateway.client.headers["Authorization"].removeprefix("Bearer "),
    }


async def call(gateway: Gateway, method: str, path: str, token: str) -> httpx.Response:
    """The route with values that exist, so that only the right decides; a dry run where there is one."""
    url = path.replace("{project}", "acme").replace("{name}", "orders").replace("{id}", str(new_id()))
    body = {"name": "orders", "plan": "dev-1"} if method in ("POST", "PATCH") and "/actions/" not in path else None
    headers = {"Authorization": f"Bearer {token}"} if token else {"Authorization": ""}
    return await gateway.client.request(method, url, headers=headers, json=body)


@pytest.mark.parametrize("route", sorted(POLICY), ids=lambda route: f"{route[0]} {route[1]}")
async def test_every_route_answers_by_the_policy_for_every_role(gateway: Gateway, route: tuple[str, str]) -> None:
    await gateway.create(deletion_protection=True)
    tokens = await credentials(gateway)
    right = POLICY[route]
    in_project = "{project}" in route[1]
    for who in WHO:
        recorded = len(await gateway.actions())
        response = await call(gateway, *route, tokens[who])
        if who in ALLOWED[right] and (who != "stranger" or not in_project):
            assert response.status_code not in (401, 403), (who, response.text)
            continue
        if who == "nobody":
            problem(response, 401, "unauthenticated")
        elif who == "stranger" and in_project:
            problem(response, 404, "not_found")
        else:
            problem(response, 403, "forbidden")
        # a refused mutation, and a refused read of credentials, leave exactly their action; a 401 or 404 nothing
        is_recorded = response.status_code == 403 and (route[0] != "GET" or right is Right.READ_CREDENTIALS)
        assert len(await gateway.actions()) == recorded + int(is_recorded), who
        if is_recorded:
            assert (await gateway.actions())[-1]["outcome"] == "forbidden"


async def test_a_refused_create_writes_nothing_but_its_action(gateway: Gateway) -> None:
    viewer = {"Authorization": f"Bearer {await gateway.key('viewer')}"}
    before = len(await gateway.outbox())
    problem(await gateway.client.post(DATABASES, json=GOOD, headers=viewer), 403, "forbidden")
    assert await gateway.counts() == (0, 0, 0)
    assert len(await gateway.outbox()) == before + 1


async def test_only_an_owner_changes_deletion_protection(gateway: Gateway) -> None:
    await gateway.create(deletion_protection=True)
    editor = {"Authorization": f"Bearer {await gateway.key('editor')}"}
    off = {"deletion_protection": False}
    problem(await gateway.client.patch(f"{DATABASES}/orders", json=off, headers=editor), 403, "forbidden")
    assert (await gateway.get())["deletion_protection"] is True
    owner = {"Authorization": f"Bearer {await gateway.key('owner')}"}
    assert (await gateway.client.patch(f"{DATABASES}/orders", json=off, headers=owner)).status_code == 200


async def test_a_key_is_shown_once_and_stored_as_a_hash(gateway: Gateway) -> None:
    body = {"name": "ci", "role": "editor", "permissions": ["credentials:read"]}
    key = {"Idempotency-Key": "k1"}
    created = await gateway.client.post("/v1/projects/acme/api-keys", json=body, headers=key)
    secret = created.json()["key"]
    replay = await gateway.client.post("/v1/projects/acme/api-keys", json=body, headers=key)
    assert (replay.status_code, replay.json()["key"]) == (201, None)
    assert replay.json()["id"] == created.json()["id"]
    listed = (await gateway.client.get("/v1/projects/acme/api-keys")).json()["items"]
    assert [item["name"] for item in listed] == ["ci"]
    assert "key" not in listed[0]
    tail = secret.rpartition("_")[2]
    for table in ("api_keys", "idempotency_keys", "outbox"):
        for row in await gateway.rows(f"SELECT t::text AS text FROM gateway.{table} t"):
            assert tail not in row.text
    for _, event in await gateway.outbox():
        assert tail not in bytes(event.data).decode()
    me = await gateway.client.get("/v1/me", headers={"Authorization": f"Bearer {secret}"})
    assert (me.json()["role"], me.json()["project"], me.json()["permissions"]) == (
        "editor",
        "acme",
        ["credentials:read"],
    )


async def test_a_revoked_or_expired_key_is_refused_at_once(gateway: Gateway) -> None:
    token = await gateway.key("viewer")
    headers = {"Authorization": f"Bearer {token}"}
    me = (await gateway.client.get("/v1/me", headers=headers)).json()
    deleted = await gateway.client.delete(f"/v1/projects/acme/api-keys/{me['credential_id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    problem(await gateway.client.get("/v1/me", headers=headers), 401, "unauthenticated")

    token = await gateway.key("viewer")
    async with gateway.engine.begin() as connection:
        await connection.execute(
            text("UPDATE gateway.api_keys SET expires_at = clock_timestamp() - interval '1 second'")
        )
    problem(await gateway.client.get("/v1/me", headers={"Authorization": f"Bearer {token}"}), 401, "unauthenticated")
    for moment in ("2020-01-01T00:00:00Z", "2100-01-01T00:00:00", "9999-12-31T23:59:59-23:59"):
        key = {"name": "ci", "role": "viewer", "expires_at": moment}
        response = await gateway.client.post("/v1/projects/acme/api-keys", json=key)
        assert problem(response, 422, "validation_failed")["errors"][0]["pointer"] == "/expires_at"


async def test_a_key_sees_its_own_project_only(gateway: Gateway) -> None:
    tokens = await credentials(gateway)
    headers = {"Authorization": f"Bearer {tokens['stranger']}"}
    listed = (await gateway.client.get("/v1/projects", headers=headers)).json()["items"]
    assert [project["name"] for project in listed] == ["other"]
    everything = (await gateway.client.get("/v1/projects")).json()["items"]
    assert [project["name"] for project in everything] == ["other", "acme"]
    database = await gateway.create()
    foreign = f"/v1/projects/other/operations/{database['operation']['id']}"
    problem(await gateway.client.get(foreign, headers=headers), 404, "not_found")
