"""What is refused: the right status, a problem document with a stable code and pointer, and nothing written."""

from typing import Any

import httpx
import pytest
from tests.integration.gateway.conftest import Gateway, seen

DATABASES = "/v1/projects/acme/databases"
GOOD = {"name": "orders", "plan": "startup-1"}


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The document, checked for its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["code"] == code, document
    assert document["status"] == status
    assert document["type"].endswith(f"/{code}")
    assert document["request_id"] == response.headers["x-request-id"]
    if status == 422:
        assert document["errors"]
    return document


@pytest.mark.parametrize(
    ("members", "pointer", "code"),
    [
        ({"plan": "huge"}, "/plan", "unknown_plan"),
        ({"plan": None}, "/plan", "invalid_type"),
        ({"name": "Orders"}, "/name", "invalid_name"),
        ({"name": "a" * 41}, "/name", "invalid_name"),
        ({"name": "a\x00b"}, "/name", "nul_character"),
        ({"name": "../etc"}, "/name", "invalid_name"),
        ({"version": 13}, "/version", "unknown_version"),
        ({"version": "17"}, "/version", "invalid_type"),
        ({"instances": 0}, "/instances", "invalid_value"),
        ({"instances": 10}, "/instances", "invalid_value"),
        ({"storage": "big"}, "/storage", "invalid_quantity"),
        ({"storage": "1Mi"}, "/storage", "invalid_value"),
        ({"parameters": {"archive_command": "rm -rf /"}}, "/parameters/archive_command", "fixed_parameter"),
        ({"parameters": {"wal_magic": "on"}}, "/parameters/wal_magic", "unknown_parameter"),
        ({"parameters": {"work_mem": "1kB"}}, "/parameters/work_mem", "invalid_value"),
        ({"parameters": {"shared_buffers": "2GB"}}, "/parameters/shared_buffers", "invalid_value"),
        (
            {"parameters": {"transaction_timeout": 5}, "version": 16},
            "/parameters/transaction_timeout",
            "unknown_parameter",
        ),
        ({"allowed_cidrs": ["10.0.0.1/8"]}, "/allowed_cidrs/0", "invalid_cidr"),
        ({"allowed_cidrs": ["fe80::1%eth0/128"]}, "/allowed_cidrs/0", "invalid_cidr"),
        ({"allowed_cidrs": ["::1", "fe80::1%x\nhost all all all trust #/128"]}, "/allowed_cidrs/1", "invalid_cidr"),
        ({"labels": {"team": 7}}, "/labels/team", "invalid_type"),
        ({"generation": 7}, "/generation", "unknown_member"),
        ({"state": "ready"}, "/state", "unknown_member"),
        ({"project_id": "x"}, "/project_id", "unknown_member"),
        ({"a/b~c": 1}, "/a~1b~0c", "unknown_member"),
    ],
)
async def test_a_bad_member_is_named_and_nothing_is_written(
    gateway: Gateway, members: dict[str, Any], pointer: str, code: str
) -> None:
    response = await gateway.client.post(DATABASES, json={**GOOD, **members})
    document = problem(response, 422, "validation_failed")
    assert (pointer, code) in [(e["pointer"], e["code"]) for e in document["errors"]], document
    assert await gateway.counts() == (0, 0, 0)
    assert await gateway.outbox() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"text"',
        b"null",
        b"\x00",
        b'{"name": "\xff"}',
        b'{"name": NaN}',
        b"{" * 100_000,
        b'{"a":' * 50 + b"1" + b"}" * 50,
        b'{"instances": ' + b"9" * 5000 + b"}",
        b'{"name": "\\ud800", "plan": "dev-1"}',
    ],
)
async def test_a_body_that_is_no_fit_object_is_422_with_errors(gateway: Gateway, body: bytes) -> None:
    response = await gateway.client.post(DATABASES, content=body, headers={"Content-Type": "application/json"})
    problem(response, 422, "validation_failed")
    assert await gateway.outbox() == []


async def test_every_fault_is_told_at_once(gateway: Gateway) -> None:
    response = await gateway.client.post(DATABASES, json={"name": "X", "plan": "huge", "storage": "big", "version": 1})
    pointers = {e["pointer"] for e in problem(response, 422, "validation_failed")["errors"]}
    assert pointers == {"/name", "/plan", "/storage", "/version"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "", "application/json; charset=latin-1"])
async def test_another_content_type_is_415(gateway: Gateway, content_type: str) -> None:
    response = await gateway.client.post(DATABASES, content=b"{}", headers={"Content-Type": content_type})
    problem(response, 415, "unsupported_media_type")
    assert await gateway.outbox() == []


async def test_merge_patch_is_a_type_of_patch_only(gateway: Gateway) -> None:
    await gateway.create()
    headers = {"Content-Type": "application/merge-patch+json"}
    patched = await gateway.client.patch(f"{DATABASES}/orders", content=b'{"labels": {"a": "b"}}', headers=headers)
    assert patched.status_code == 200
    problem(await gateway.client.post(DATABASES, content=b"{}", headers=headers), 415, "unsupported_media_type")


async def test_a_body_over_256_kib_is_413_unparsed(gateway: Gateway) -> None:
    response = await gateway.client.post(
        DATABASES, content=b"{" + b" " * (256 * 1024), headers={"Content-Type": "application/json"}
    )
    problem(response, 413, "payload_too_large")
    assert "connection" not in response.headers  # it was read to its end
    response = await gateway.client.post(
        DATABASES, content=b" " * (2 * 1024 * 1024), headers={"Content-Type": "application/json"}
    )
    problem(response, 413, "payload_too_large")
    assert await gateway.outbox() == []


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer wrong", "Basic YTpi", f"Bearer pst_{'0' * 32}_{'a' * 43}", "Bearer " + "x" * 5000],
)
async def test_no_or_a_bad_credential_is_401_with_a_challenge(gateway: Gateway, authorization: str) -> None:
    for method, path in (("GET", "/v1/me"), ("POST", DATABASES), ("GET", f"{DATABASES}/orders/credentials")):
        response = await gateway.client.request(method, path, headers={"Authorization": authorization}, json=GOOD)
        problem(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert await gateway.outbox() == []


@pytest.mark.parametrize("project", ["nope", "NOPE", "a%00b", "..%2f..%2fetc"])
async def test_an_unknown_project_is_404_for_everything(gateway: Gateway, project: str) -> None:
    for method, rest in (("GET", ""), ("GET", "/databases"), ("POST", "/databases"), ("GET", "/events")):
        response = await gateway.client.request(method, f"/v1/projects/{project}{rest}", json=GOOD)
        problem(response, 404, "not_found")
    assert await gateway.outbox() == []


async def test_a_taken_name_is_409_and_leaves_exactly_its_action(gateway: Gateway) -> None:
    await gateway.create()
    before = await gateway.outbox()
    problem(await gateway.client.post(DATABASES, json=GOOD), 409, "database_exists")
    after = await gateway.outbox()
    assert [e.type for _, e in after[len(before) :]] == ["dev.postern.api.action.v1"]
    action = (await gateway.actions())[-1]
    assert (action["outcome"], action["status"], action["method"]) == ("conflict", 409, "POST")
    assert await gateway.counts() == (1, 1, 1)


async def test_a_taken_project_name_is_409(gateway: Gateway) -> None:
    problem(await gateway.client.post("/v1/projects", json={"name": "acme"}), 409, "project_exists")
    assert [a["outcome"] for a in await gateway.actions()] == ["conflict"]


async def test_a_stale_etag_is_412_with_the_current_one_and_leaves_exactly_its_action(gateway: Gateway) -> None:
    database = await gateway.create(storage="5Gi")
    read = await gateway.client.get(f"{DATABASES}/orders")
    etag = read.headers["etag"]
    changed = await gateway.client.patch(
        f"{DATABASES}/orders", json={"labels": {"team": "a"}}, headers={"If-Match": etag}
    )
    assert changed.status_code == 200
    before = await gateway.outbox()
    response = await gateway.client.patch(f"{DATABASES}/orders", json={"instances": 2}, headers={"If-Match": etag})
    problem(response, 412, "precondition_failed")
    assert response.headers["etag"] == changed.headers["etag"] != etag
    refusals = (await gateway.outbox())[len(before) :]
    assert [(e.type, e.subject) for _, e in refusals] == [("dev.postern.api.action.v1", database["id"])]
    assert (await gateway.actions())[-1]["outcome"] == "precondition_failed"
    assert (await gateway.get())["instances"] == 1


async def test_a_storage_shrink_is_judged_by_the_largest_size_ever_applied(gateway: Gateway) -> None:
    database = await gateway.create(storage="5Gi")
    await gateway.make_ready(database, storage="5Gi")
    grown = await gateway.client.patch(f"{DATABASES}/orders", json={"storage": "20Gi"})
    assert grown.status_code == 202
    # not applied yet: what was asked may be taken back, but not below what there is
    assert (await gateway.client.patch(f"{DATABASES}/orders", json={"storage": "8Gi"})).status_code == 202
    count = len(await gateway.outbox())
    response = await gateway.client.patch(f"{DATABASES}/orders", json={"storage": "4Gi"})
    document = problem(response, 422, "storage_shrink")
    assert document["errors"][0]["pointer"] == "/storage"
    assert len(await gateway.outbox()) == count


async def test_a_mistyped_query_parameter_is_refused_not_ignored(gateway: Gateway) -> None:
    response = await gateway.client.post(f"{DATABASES}?dryrun=true", json=GOOD)
    document = problem(response, 422, "validation_failed")
    assert document["errors"][0] == {
        "pointer": "dryrun",
        "code": "unknown_query_parameter",
        "detail": "no such query parameter here",
    }
    assert await gateway.counts() == (0, 0, 0)


async def test_members_that_cannot_change_are_refused_by_a_patch(gateway: Gateway) -> None:
    database = await gateway.create()
    same = {"name": "orders", "version": database["version"]}
    assert (await gateway.client.patch(f"{DATABASES}/orders", json=same)).status_code == 200
    response = await gateway.client.patch(f"{DATABASES}/orders", json={"name": "other", "version": 14})
    assert [e["code"] for e in problem(response, 422, "validation_failed")["errors"]] == ["immutable", "immutable"]


async def test_unknown_methods_name_the_known_ones(gateway: Gateway) -> None:
    response = await gateway.client.put(f"{DATABASES}/orders", json={})
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "DELETE, GET, PATCH"


async def test_actions_that_the_state_forbids_are_409(gateway: Gateway) -> None:
    database = await gateway.create()
    action = f"{DATABASES}/orders/actions"
    problem(await gateway.client.post(f"{action}/restart"), 409, "invalid_state")
    problem(await gateway.client.post(f"{action}/switchover"), 409, "no_replica")
    await gateway.make_ready(database)
    problem(await gateway.client.post(f"{action}/restart", json={"now": True}), 422, "validation_failed")
    assert (await gateway.client.post(f"{action}/restart", json={})).status_code == 202


async def test_nothing_but_delete_is_taken_while_deleting(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.tell(seen(database, 1, "ready"))
    assert (await gateway.client.delete(f"{DATABASES}/orders")).status_code == 202
    problem(await gateway.client.patch(f"{DATABASES}/orders", json={"instances": 2}), 409, "database_deleting")
    problem(await gateway.client.post(f"{DATABASES}/orders/actions/hibernate"), 409, "database_deleting")
    problem(await gateway.client.post(DATABASES, json=GOOD), 409, "database_deleting")
    assert (await gateway.client.delete(f"{DATABASES}/orders")).status_code == 202


async def test_deletion_protection_is_on_where_the_plan_has_a_standby(gateway: Gateway) -> None:
    await gateway.create(plan="startup-2")
    problem(await gateway.client.delete(f"{DATABASES}/orders"), 409, "deletion_protected")
    off = await gateway.client.patch(f"{DATABASES}/orders", json={"deletion_protection": False})
    assert off.status_code == 200
    assert (await gateway.client.delete(f"{DATABASES}/orders")).status_code == 202


async def test_a_forged_cursor_is_refused(gateway: Gateway) -> None:
    for cursor in ("", "x", "AAAA", "A" * 38):
        response = await gateway.client.get(DATABASES, params={"cursor": cursor})
        assert problem(response, 422, "validation_failed")["errors"][0]["code"] == "invalid_cursor"
