"""Bad input gets the right status, a problem document with a stable code and pointer, and leaves nothing behind.

403, 409 and 412 leave exactly their ``api.action`` in the ledger, the others nothing (semantics 33).
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.e2e.api import Api
from tests.e2e.ledger import assert_ledger_is_whole

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
ACTION = "dev.postern.api.action.v1"
GOOD: dict[str, Any] = {"name": "fresh", "plan": "dev-1"}


@dataclass(frozen=True)
class Refusal:
    """One bad request and what it must be answered with."""

    case: str
    status: int
    code: str
    method: str = "POST"
    path: str = ""
    json: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    pointer: str | None = None
    inner: str | None = None
    """Code within ``errors`` for a validation problem."""


MERGE = {"Content-Type": "application/merge-patch+json"}
JSON = {"Content-Type": "application/json"}
REFUSALS = [
    Refusal("unknown plan", 422, "validation_failed", json=GOOD | {"plan": "nope"}, pointer="/plan"),
    Refusal("bad name", 422, "validation_failed", json=GOOD | {"name": "Not_A_Name"}, pointer="/name"),
    Refusal("long name", 422, "validation_failed", json=GOOD | {"name": "a" * 41}, pointer="/name"),
    Refusal("unknown member", 422, "validation_failed", json=GOOD | {"generation": 7}, pointer="/generation"),
    Refusal("too many instances", 422, "validation_failed", json=GOOD | {"instances": 10}, pointer="/instances"),
    Refusal("unknown version", 422, "validation_failed", json=GOOD | {"version": 9}, pointer="/version"),
    Refusal(
        "unknown parameter", 422, "validation_failed", json=GOOD | {"parameters": {"no_such_param": "1"}},
        pointer="/parameters/no_such_param",
    ),
    Refusal(
        "fixed parameter", 422, "validation_failed", json=GOOD | {"parameters": {"listen_addresses": "*"}},
        pointer="/parameters/listen_addresses",
    ),
    Refusal("body is no object", 422, "validation_failed", json=["x"], pointer=""),
    Refusal("body is no JSON", 422, "validation_failed", content=b"{", headers=JSON, pointer=""),
    Refusal("NUL", 422, "validation_failed", json=GOOD | {"name": "a\x00b"}),
    Refusal(
        "wrong content type", 415, "unsupported_media_type", content=b"name: fresh",
        headers={"Content-Type": "text/yaml"},
    ),
    Refusal("oversized body", 413, "payload_too_large", content=b'{"name": "' + b"x" * 300_000 + b'"}', headers=JSON),
    Refusal("taken name", 409, "database_exists", json={"name": "taken", "plan": "dev-1"}),
    Refusal(
        "storage shrink", 422, "storage_shrink", method="PATCH", path="/taken", json={"storage": "1Gi"},
        headers=MERGE, pointer="/storage", inner="storage_shrink",
    ),
    Refusal("stale ETag", 412, "precondition_failed", method="PATCH", path="/taken", json={"labels": {"a": "b"}},
            headers=MERGE | {"If-Match": '"stale"'}),
    Refusal("unknown database", 404, "not_found", method="PATCH", path="/absent", json={"instances": 2}, headers=MERGE),
    Refusal("switchover of one instance", 409, "no_replica", path="/taken/actions/switchover"),
    Refusal("unknown action", 404, "not_found", path="/taken/actions/explode"),
]  # fmt: skip


async def entries(api: Api) -> list[dict[str, Any]]:
    found = await api.events()
    assert_ledger_is_whole(found)
    return found


async def quiet(api: Api, settled_after: str) -> list[dict[str, Any]]:
    """The ledger once an action recorded *after* the refusal has arrived: what came before it is complete then."""
    answer = await api.http.post(f"{api.databases}?dry_run=true", json={"name": settled_after, "plan": "dev-1"})
    assert answer.status_code == 200, answer.text
    for _ in range(200):
        found = await entries(api)
        if any(e["type"] == ACTION and e["data"]["request_id"] == answer.headers["x-request-id"] for e in found):
            return [e for e in found if e["data"].get("request_id") != answer.headers["x-request-id"]]
        await asyncio.sleep(0.05)
    raise AssertionError("the dry run never reached the ledger")


@pytest.fixture
async def taken(api: Api) -> Api:
    """A project with one database named ``taken``."""
    await api.ready("taken", storage="2Gi")
    return api


async def test_every_refusal_names_its_fault_and_leaves_nothing_behind(taken: Api) -> None:
    for number, refusal in enumerate(REFUSALS):
        before = await quiet(taken, f"fence-{number}-a")
        databases = (await taken.http.get(taken.databases)).json()["items"]
        operations = (await taken.http.get(f"/v1/projects/{taken.project}/operations")).json()["items"]
        answer = await taken.http.request(
            refusal.method,
            taken.databases + refusal.path,
            json=refusal.json,
            content=refusal.content,
            headers=refusal.headers,
        )
        assert answer.status_code == refusal.status, (refusal.case, answer.text)
        assert answer.headers["content-type"].startswith("application/problem+json"), refusal.case
        problem = answer.json()
        assert problem["code"] == refusal.code, (refusal.case, problem)
        assert problem["type"].endswith(refusal.code), refusal.case
        assert problem["status"] == refusal.status
        assert problem["request_id"] == answer.headers["x-request-id"]
        if refusal.status == 422:
            assert problem["errors"], refusal.case
        if refusal.pointer is not None:
            assert refusal.pointer in [error["pointer"] for error in problem["errors"]], (refusal.case, problem)
        if refusal.inner is not None:
            assert refusal.inner in [error["code"] for error in problem["errors"]], (refusal.case, problem)
        assert (await taken.http.get(taken.databases)).json()["items"] == databases, refusal.case
        assert (await taken.http.get(f"/v1/projects/{taken.project}/operations")).json()["items"] == operations
        added = (await quiet(taken, f"fence-{number}-b"))[len(before) + 1 :]
        expected = [ACTION] if refusal.status in (403, 409, 412) else []
        assert [e["type"] for e in added] == expected, (refusal.case, added)
        if expected:
            assert added[0]["data"]["status"] == refusal.status


async def test_without_a_credential_or_with_a_wrong_one_the_answer_is_401(api: Api) -> None:
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}):
        answer = await api.http.post(api.databases, json=GOOD, headers=headers)
        assert answer.status_code == 401, answer.text
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["code"] == "unauthenticated"


async def test_an_unknown_project_is_404_for_every_method(api: Api) -> None:
    for method, path in (("POST", "databases"), ("GET", "databases"), ("GET", "events"), ("GET", "audit")):
        answer = await api.http.request(
            method, f"/v1/projects/no-such-project/{path}", json=GOOD if method == "POST" else None
        )
        assert answer.status_code == 404, answer.text
        assert answer.json()["code"] == "not_found"


async def test_a_viewer_reads_but_may_neither_write_nor_read_credentials(taken: Api) -> None:
    answer = await taken.http.post(
        f"/v1/projects/{taken.project}/api-keys", json={"name": "eyes", "role": "viewer", "permissions": []}
    )
    assert answer.status_code == 201, answer.text
    viewer = {"Authorization": f"Bearer {answer.json()['key']}"}
    assert (await taken.http.get(taken.databases, headers=viewer)).status_code == 200
    for method, path in (
        ("POST", ""),
        ("DELETE", "/taken"),
        ("POST", "/taken/actions/restart"),
        ("GET", "/taken/credentials"),
    ):
        refused = await taken.http.request(
            method, taken.databases + path, json=GOOD if path == "" else None, headers=viewer
        )
        assert refused.status_code == 403, (method, path, refused.text)
        assert refused.json()["code"] == "forbidden"
    forbidden = [e for e in await quiet(taken, "fence") if e["type"] == ACTION and e["data"]["status"] == 403]
    assert len(forbidden) == 4, forbidden
