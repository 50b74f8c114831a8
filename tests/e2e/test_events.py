"""The stream: live, resumable, the same as the pages."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from tests.e2e.api import Api

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


async def read_stream(
    api: Api, headers: dict[str, str], params: dict[str, str], *, until_ready: bool = True, at_most: int = 10_000
) -> list[dict[str, Any]]:
    """Events of an SSE connection until a database is ready, or ``at_most``."""
    found: list[dict[str, Any]] = []
    fields: dict[str, str] = {}
    async with (
        asyncio.timeout(60),
        api.http.stream(
            "GET",
            f"/v1/projects/{api.project}/events",
            params=params,
            headers={"Accept": "text/event-stream", **headers},
            timeout=httpx.Timeout(10, read=30),
        ) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
                continue
            if "data" in fields:
                event = json.loads(fields["data"])
                assert fields["id"] == event["sequence"]
                assert fields["event"] == event["type"]
                found.append(event)
                if len(found) >= at_most or (until_ready and event["data"].get("to") == "ready"):
                    return found
            fields = {}
    return found


async def test_the_stream_shows_every_event_of_a_create_as_the_pages_do(api: Api) -> None:
    stream = asyncio.ensure_future(read_stream(api, {}, {"after": "0"}))  # noqa: TID251 -- a test owns its task
    created = await api.create("streamed")
    live = await stream
    await api.succeeded(created)
    pages = await api.events()
    assert pages[: len(live)] == live


async def test_a_reader_that_lost_its_connection_resumes_without_gap_or_duplicate(api: Api) -> None:
    await api.ready("resumed")
    everything = await api.events()
    first = await read_stream(api, {}, {"after": "0"}, at_most=3, until_ready=False)
    rest = await read_stream(
        api, {"Last-Event-ID": first[-1]["sequence"]}, {}, at_most=len(everything) - 3, until_ready=False
    )
    assert first + rest == everything


async def test_the_audit_shows_who_did_what_with_which_outcome(api: Api) -> None:
    created = await api.create("audited")
    await api.succeeded(created)
    await api.credentials("audited")
    async with asyncio.timeout(10):
        while True:
            items = (await api.http.get(f"/v1/projects/{api.project}/audit")).json()["items"]
            if any(item["route"].endswith("/credentials") for item in items):
                break
            await asyncio.sleep(0.05)
    (create,) = [item for item in items if item["operation_id"] == created["operation"]["id"]]
    assert (create["method"], create["status"], create["outcome"]) == ("POST", 202, "accepted")
    assert create["resource"] == f"{api.databases}/audited"
    assert create["trace_id"] == created["operation"]["trace_id"]
    assert create["actor"]["name"]
