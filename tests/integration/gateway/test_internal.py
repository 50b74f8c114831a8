"""Credentials, addresses, events and audit: what comes from the other services, and what happens when they are away."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
from tests.integration.gateway.conftest import CONNECTION, Gateway
from tests.integration.gateway.test_refusals import DATABASES, problem
from tests.support.polling import eventually

EVENTS = "/v1/projects/acme/events"


async def test_credentials_are_composed_audited_and_never_cached(gateway: Gateway) -> None:
    database = await gateway.create()
    response = await gateway.client.get(f"{DATABASES}/orders/credentials")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert "etag" not in response.headers
    body = response.json()
    assert body["uri"] == "postgresql://app:p%40ss%2Fword%3F@127.0.0.1:5432/app?sslmode=require"
    assert body["jdbc_uri"] == (
        "jdbc:postgresql://127.0.0.1:5432/app?user=app&password=p%40ss%2Fword%3F&sslmode=require"
    )
    action = (await gateway.actions())[-1]
    assert (action["outcome"], action["status"], action["method"]) == ("read", 200, "GET")
    assert (await gateway.outbox())[-1][1].subject == database["id"]
    for _, event in await gateway.outbox():
        assert body["password"] not in bytes(event.data).decode()
    token = gateway.internal.requests[-1].headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, "k" * 32, algorithms=["HS256"], audience="provisioner")
    assert claims["exp"] - claims["iat"] == 60


async def test_credentials_are_not_released_when_their_read_cannot_be_recorded(gateway: Gateway) -> None:
    from sqlalchemy import text  # noqa: PLC0415

    await gateway.create()
    async with gateway.engine.begin() as holder:
        await holder.execute(text("LOCK TABLE gateway.outbox IN EXCLUSIVE MODE"))
        response = await gateway.client.get(f"{DATABASES}/orders/credentials")
    problem(response, 503, "dependency_unavailable")
    assert "p@ss" not in response.text


async def test_connection_has_addresses_and_no_secret(gateway: Gateway) -> None:
    await gateway.create()
    response = await gateway.client.get(f"{DATABASES}/orders/connection")
    assert response.json() == CONNECTION
    assert await gateway.actions() == (await gateway.actions())[:1]


@pytest.mark.parametrize("what", ["connection", "credentials"])
@pytest.mark.parametrize(
    ("status", "document", "code"),
    [
        (404, {"code": "not_found"}, "not_provisioned_yet"),
        (503, {"code": "not_provisioned_yet"}, "not_provisioned_yet"),
        (503, {"code": "dependency_unavailable"}, "dependency_unavailable"),
        (500, "boom: SELECT secret FROM x at 10.0.0.3", "dependency_unavailable"),
        (401, {}, "dependency_unavailable"),
        (200, {"half": "an answer"}, "dependency_unavailable"),
        (200, "<html>", "dependency_unavailable"),
    ],
)
async def test_a_provisioner_in_trouble_is_503_with_a_time_to_come_back(
    gateway: Gateway, what: str, status: int, document: Any, code: str
) -> None:
    await gateway.create()
    gateway.internal.answer = lambda _: httpx.Response(
        status, content=document if isinstance(document, str) else json.dumps(document)
    )
    response = await gateway.client.get(f"{DATABASES}/orders/{what}")
    problem(response, 503, code)
    assert int(response.headers["retry-after"]) >= 1
    assert "SELECT" not in response.text
    assert [a["outcome"] for a in await gateway.actions()] == ["accepted"]


async def test_services_that_do_not_answer_are_503(gateway: Gateway) -> None:
    await gateway.create()

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    gateway.internal.answer = refuse
    for path in (f"{DATABASES}/orders/credentials", EVENTS, "/v1/projects/acme/audit"):
        problem(await gateway.client.get(path), 503, "dependency_unavailable")
    stream = await gateway.client.get(EVENTS, headers={"Accept": "text/event-stream"})
    problem(stream, 503, "dependency_unavailable")


async def test_events_are_asked_by_project_with_ids_for_names(gateway: Gateway) -> None:
    database = await gateway.create()
    page = {"items": [{"id": "x", "sequence": "8"}], "next_cursor": "8"}
    gateway.internal.answer = lambda _: httpx.Response(200, json=page)
    query = {"after": "7", "limit": 10, "type": ["a.b", "c.d"], "database": "orders"}
    response = await gateway.client.get(EVENTS, params=query)
    assert response.json() == page
    asked = gateway.internal.requests[-1].url
    assert asked.path == "/internal/v1/projects/acme/events"
    assert asked.params.get_list("type") == ["a.b", "c.d"]
    assert asked.params["database"] == database["id"]
    assert (asked.params["after"], asked.params["limit"], asked.params["reduced"]) == ("7", "10", "false")
    problem(await gateway.client.get(EVENTS, params={"database": "nobody"}), 404, "not_found")
    problem(await gateway.client.get(EVENTS, params={"after": "-1"}), 422, "validation_failed")


async def test_a_page_after_an_event_that_never_was_is_refused(gateway: Gateway) -> None:
    gateway.internal.answer = lambda _: httpx.Response(422, json={"code": "validation_failed"})
    refused = problem(await gateway.client.get(EVENTS, params={"after": "99"}), 422, "validation_failed")
    assert refused["errors"][0]["pointer"] == "after"


async def test_viewers_see_reduced_actions(gateway: Gateway) -> None:
    viewer = {"Authorization": f"Bearer {await gateway.key('viewer')}"}
    await gateway.client.get(EVENTS, headers=viewer)
    assert gateway.internal.requests[-1].url.params["reduced"] == "true"


async def test_a_stream_is_piped_from_now_or_from_where_the_client_was(gateway: Gateway) -> None:
    accept = {"Accept": "text/event-stream"}
    response = await gateway.client.get(EVENTS, headers=accept)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert response.content == b"id: 1\nevent: x\ndata: {}\n\n: ping\n\n"
    assert gateway.internal.requests[-1].url.params["after"] == "now"
    await gateway.client.get(EVENTS, headers=accept | {"Last-Event-ID": "41"}, params={"after": "3"})
    assert gateway.internal.requests[-1].url.params["after"] == "41"
    forged = await gateway.client.get(EVENTS, headers=accept | {"Last-Event-ID": "x' OR 1=1"})
    assert problem(forged, 422, "validation_failed")["errors"][0]["pointer"] == "Last-Event-ID"


class _Endless(httpx.AsyncByteStream):
    """A stream that says one line and then nothing."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b": hello\n\n"
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed.set()


async def test_an_open_stream_ends_when_the_process_stops(gateway: Gateway) -> None:
    upstream = _Endless()
    gateway.internal.answer = lambda _: httpx.Response(200, stream=upstream)
    asking = asyncio.gather(gateway.client.get(EVENTS, headers={"Accept": "text/event-stream"}))
    await eventually(lambda: bool(gateway.internal.requests))
    await gateway.parts.services.events.close_streams()
    [response] = await asking
    assert response.content in (b": hello\n\n", b"")
    assert upstream.closed.is_set()


async def test_the_audit_log_is_read_by_editors(gateway: Gateway) -> None:
    gateway.internal.answer = lambda _: httpx.Response(200, json={"items": [], "next_cursor": None})
    await gateway.client.get("/v1/projects/acme/audit", params={"cursor": "9", "limit": 5, "order": "asc"})
    asked = gateway.internal.requests[-1].url
    assert (asked.path, asked.params["cursor"], asked.params["order"]) == (
        "/internal/v1/projects/acme/audit",
        "9",
        "asc",
    )


async def test_health_documents_and_headers_need_no_credential(gateway: Gateway) -> None:
    nobody = {"Authorization": ""}
    for path in ("/livez", "/readyz", "/healthz", "/version", "/openapi.json", "/docs"):
        response = await gateway.client.get(path, headers=nobody)
        assert response.status_code == 200, path
        assert response.headers["x-content-type-options"] == "nosniff"
    page = (await gateway.client.get("/docs", headers=nobody)).text
    assert "<script" not in page
    assert "http" not in page.replace("https://postern.dev", "").partition("<body>")[0]
    given = await gateway.client.get("/v1/me", headers={"X-Request-Id": "my-id-1"})
    assert given.headers["x-request-id"] == "my-id-1"
    problem(await gateway.client.get("/v1/nothing"), 404, "not_found")


async def test_the_trace_of_the_client_runs_through_operation_and_messages(gateway: Gateway) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    response = await gateway.client.post(
        DATABASES,
        json={"name": "orders", "plan": "dev-1"},
        headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"},
    )
    assert response.json()["operation"]["trace_id"] == trace
    for _, event in await gateway.outbox():
        assert (event.traceparent or "").split("-")[1] == trace
    assert (await gateway.actions())[-1]["trace_id"] == trace
