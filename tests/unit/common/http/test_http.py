"""Problem documents, the request context and service tokens."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

from postern_common.errors import ClientError, DependencyDownError, PermanentError, Violation
from postern_common.http import (
    RequestContextMiddleware,
    bearer_token,
    install_problem_handlers,
    issue_service_token,
    register_problem,
    verify_service_token,
)

KEY = "k" * 32


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int


def _app() -> FastAPI:
    app = FastAPI()
    install_problem_handlers(app)
    app.add_middleware(RequestContextMiddleware)

    @app.post("/things/{name}")
    async def make(name: str, body: Body, limit: int = 1) -> dict[str, Any]:
        raises: dict[str, Exception] = {
            "client": ClientError(
                409, "conflict", "taken", errors=[Violation("/name", "taken", "taken")], headers={"X-Hint": "1"}
            ),
            "down": DependencyDownError("database_unavailable", "hidden detail", retry_after=2.0),
            "permanent": PermanentError("odd", "hidden detail"),
            "bug": ZeroDivisionError("hidden detail"),
        }
        if name in raises:
            raise raises[name]
        return {"name": name, "size": body.size, "limit": limit}

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("client", 409, "conflict"),
        ("down", 503, "dependency_unavailable"),
        ("permanent", 500, "internal_error"),
        ("bug", 500, "internal_error"),
    ],
)
async def test_every_error_is_a_problem_document(client: httpx.AsyncClient, name: str, status: int, code: str) -> None:
    answer = await client.post(f"/things/{name}", json={"size": 1})
    body = answer.json()
    assert answer.status_code == body["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["code"] == code
    assert body["type"].endswith(f"/{code}")
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "hidden" not in answer.text


async def test_a_client_error_brings_its_violations_and_headers(client: httpx.AsyncClient) -> None:
    answer = await client.post("/things/client", json={"size": 1})
    assert answer.json()["errors"] == [{"pointer": "/name", "code": "taken", "detail": "taken"}]
    assert answer.headers["x-hint"] == "1"
    assert (await client.post("/things/down", json={"size": 1})).headers["retry-after"] == "2"


async def test_invalid_members_are_pointed_at(client: httpx.AsyncClient) -> None:
    answer = await client.post("/things/a", params={"limit": "x"}, json={"size": "big", "a/b": 1})
    assert answer.status_code == 422
    assert {(error["pointer"], error["code"]) for error in answer.json()["errors"]} == {
        ("/size", "int_parsing"),
        ("/a~1b", "unknown_member"),
        ("limit", "int_parsing"),
    }
    missing = await client.post("/things/a", json={})
    assert [(error["pointer"], error["code"]) for error in missing.json()["errors"]] == [("/size", "required")]


@pytest.mark.parametrize("content", [b"", b"[]", b'"text"', b"null"])
async def test_a_body_that_is_no_object_has_errors_too(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/things/a", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_what_is_no_json_is_400(client: httpx.AsyncClient) -> None:
    answer = await client.post("/things/a", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


async def test_unknown_routes_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nothing")).json()["code"] == "not_found"
    refused = await client.get("/things/a")
    assert refused.json()["code"] == "method_not_allowed"
    assert refused.headers["allow"] == "POST"


async def test_a_valid_request_id_is_kept_and_another_is_replaced(client: httpx.AsyncClient) -> None:
    kept = await client.get("/nothing", headers={"X-Request-Id": "my-id.1"})
    assert kept.headers["x-request-id"] == "my-id.1"
    for bad in ("has space", "x" * 65, "{}", ""):
        replaced = await client.get("/nothing", headers={"X-Request-Id": bad})
        assert replaced.headers["x-request-id"] != bad
        assert len(replaced.headers["x-request-id"]) == 32


async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/things/bug", "/things/a", "/nothing"):
        headers = (await client.post(path, json={"size": 1})).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_a_code_has_one_title() -> None:
    register_problem("not_found", "There is no such resource")
    with pytest.raises(ValueError, match="not_found"):
        register_problem("not_found", "Something else")


def test_a_service_token_works_for_its_audience() -> None:
    assert verify_service_token(
        KEY, issue_service_token(KEY, audience="audit", issuer="gateway"), audience="audit"
    ) == ("gateway")


def _token(key: str = KEY, algorithm: str = "HS256", **changes: Any) -> str:
    names: dict[str, Any] = {"iss": "gateway", "sub": "gateway", "aud": "audit"}
    now = int(time.time())
    claims = names | {"iat": now, "exp": now + 60} | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm=algorithm)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "x" * 5000,
        _token(key="o" * 32),
        _token(aud="provisioner"),
        _token(exp=1),
        _token(exp=None),
        _token(sub=None),
        _token(exp=4_000_000_000),
        _token(key="", algorithm="none"),
    ],
    ids=["none", "garbage", "long", "key", "audience", "expired", "no-exp", "no-sub", "too-long-lived", "alg-none"],
)
def test_any_other_token_is_refused_alike(token: str) -> None:
    with pytest.raises(ClientError) as caught:
        verify_service_token(KEY, token, audience="audit")
    assert (caught.value.status, caught.value.code) == (401, "unauthenticated")
    assert caught.value.detail == "A valid service token is required."


def test_only_bearer_credentials_are_read() -> None:
    assert bearer_token("Bearer abc") == "abc"
    assert bearer_token("bearer  abc ") == "abc"
    assert bearer_token("Basic abc") == bearer_token(None) == ""
