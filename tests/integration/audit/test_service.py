"""The service as a process on real RabbitMQ and PostgreSQL."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.audit.ledger import Ledger, api_action, received, until
from tests.integration.audit.process import KEY, AuditProcess, audit_process, broker_publisher, environment

from postern_audit.domain.walk import Walk
from postern_common.contracts.cloudevent import encode
from postern_common.http import issue_service_token

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

EVENTS = "/internal/v1/projects/acme/events"


@pytest.fixture
def variables(schema_urls: dict[str, str], amqp_url: str, tmp_path: Path) -> dict[str, str]:
    """Settings of a service on fresh servers."""
    return environment(schema_urls["audit"], amqp_url, tmp_path)


async def holds(service: AuditProcess, count: int, project: str = "acme") -> list[dict[str, Any]]:
    """All events of the project once there are ``count``."""
    found: list[dict[str, Any]] = []

    async def enough() -> bool:
        found[:] = await service.all_events(project)
        return len(found) >= count

    await until(enough, seconds=20)
    return found


async def test_published_events_become_pages_with_sequences(variables: dict[str, str], amqp_url: str) -> None:
    events = [received() for _ in range(5)]
    async with audit_process(variables) as service, broker_publisher(amqp_url) as broker:
        await broker.publish(events)
        found = await holds(service, 5)
        assert [event["sequence"] for event in found] == ["1", "2", "3", "4", "5"]
        assert {event["id"] for event in found} == {str(event.id) for event in events}
        assert await service.events("nobody") == {"items": [], "next_cursor": "0"}
        assert (await service.get("/readyz")).json()["checks"]


@pytest.mark.parametrize("path", ["events", "events/stream", "audit"])
async def test_without_a_service_token_for_audit_nothing_is_shown(
    path: str, variables: dict[str, str], amqp_url: str
) -> None:
    foreign = issue_service_token(KEY, audience="provisioner", issuer="gateway")
    forged = issue_service_token("x" * 32, audience="audit", issuer="gateway")
    async with audit_process(variables) as service, httpx.AsyncClient(base_url=service.address) as client:
        for header in ({}, {"Authorization": f"Bearer {foreign}"}, {"Authorization": f"Bearer {forged}"}):
            answer = await client.get(f"/internal/v1/projects/acme/{path}", headers=header)
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == "unauthenticated"


async def test_pages_filter_reduce_and_refuse_what_makes_no_sense(variables: dict[str, str], amqp_url: str) -> None:
    wanted, action = received(), api_action()
    async with audit_process(variables) as service, broker_publisher(amqp_url) as broker:
        for event in (received(), wanted, action, received()):
            await broker.publish([event])
        await holds(service, 4)
        page = await service.events("acme", database=wanted.subject)
        assert [item["sequence"] for item in page["items"]] == ["2"]
        assert page["next_cursor"] == "4", "a filtered page goes on after all that was looked at"
        page = await service.events("acme", type=[action.type, wanted.type], limit=2)
        assert [item["sequence"] for item in page["items"]] == ["1", "2"]
        assert page["next_cursor"] == "2"
        page = await service.events("acme", type=action.type, reduced="true")
        (item,) = page["items"]
        assert item["data"] == {"resource": "projects/acme/databases/orders"}
        assert "ci" not in json.dumps(item)
        page = await service.events("acme", order="desc", limit=3)
        assert [item["sequence"] for item in page["items"]] == ["4", "3", "2"]
        page = await service.events("acme", order="desc", limit=3, after="2")
        assert page == {"items": page["items"], "next_cursor": None}
        assert (await service.events("acme", after="4"))["items"] == []
        for bad in (
            {"after": "x"},
            {"after": 5},
            {"limit": 0},
            {"limit": 201},
            {"order": "up"},
            {"type": "a\x00"},
            {"after": 2**63},
        ):
            answer = await service.get(EVENTS, **bad)
            assert answer.status_code == 422, bad
            assert answer.json()["errors"]


async def test_the_audit_view_shows_who_did_what(variables: dict[str, str], amqp_url: str) -> None:
    async with audit_process(variables) as service, broker_publisher(amqp_url) as broker:
        for outcome in ("accepted", "forbidden", "conflict"):
            await broker.publish([received()])
            await broker.publish([api_action(outcome=outcome)])
        await holds(service, 6)
        page = (await service.get("/internal/v1/projects/acme/audit", limit=2)).json()
        assert [item["sequence"] for item in page["items"]] == ["6", "4"]
        assert [item["outcome"] for item in page["items"]] == ["conflict", "forbidden"]
        assert page["items"][0]["actor"]["name"] == "ci"
        assert page["items"][0]["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
        assert page["next_cursor"] == "4"
        page = (await service.get("/internal/v1/projects/acme/audit", limit=2, cursor="4")).json()
        assert [item["outcome"] for item in page["items"]] == ["accepted"]
        assert page["next_cursor"] is None


async def test_poison_is_set_aside_with_its_reason_and_the_rest_flows(
    variables: dict[str, str], amqp_url: str, admin: AsyncEngine
) -> None:
    good = [received() for _ in range(3)]
    members = json.loads(encode(received()))
    bodies = [
        b"no json",
        json.dumps({**members, "subject": "a\x00b"}).encode(),
        json.dumps({**members, "projectid": None}).encode(),
        json.dumps({**members, "sourcesequence": 2**70, "sourceshard": 1}).encode(),
        json.dumps({**members, "data": {"generation": "x"}}).encode(),
        encode(received()).replace(b'"name":"orders"', b'"name":"or\xffders"'),
    ]
    async with audit_process(variables) as service, broker_publisher(amqp_url) as broker:
        await broker.publish(good[:1])
        for body in bodies:
            await broker.publish_body(body)
        await broker.publish(good[1:])
        found = await holds(service, 3)
        assert {event["id"] for event in found} == {str(event.id) for event in good}
        async with admin.connect() as connection:
            rows = await connection.execute(text("SELECT reason, detail FROM audit.dead_letters"))
            reasons = [row.reason for row in rows]
        assert len(reasons) >= 3, "those that tell the same id share a row"
        assert set(reasons) <= {"malformed", "incomplete_project", "schema_violation"}


@pytest.mark.parametrize("point", ["ledger_before_commit", "ledger_after_commit", "before_ack"])
async def test_a_writer_killed_in_the_middle_of_a_batch_leaves_no_gap_and_no_fork(
    point: str, variables: dict[str, str], amqp_url: str, engine: AsyncEngine
) -> None:
    events = [received() for _ in range(40)]
    async with broker_publisher(amqp_url) as broker:
        async with audit_process({**variables, "POSTERN_CRASHPOINT": point}) as service:
            await broker.publish(events)
            async with asyncio.timeout(20):
                assert await service.process.wait() == 137, "the crash point was reached"
        async with audit_process(variables) as service:
            found = await holds(service, 40)
    assert [event["sequence"] for event in found] == [str(n) for n in range(1, 41)]
    assert {event["id"] for event in found} == {str(event.id) for event in events}
    ledger = Ledger(engine)
    walk = Walk(())
    assert all(walk.feed(entry) is None for entry in await ledger.everything())
    assert walk.finish(await ledger.reader.head()) is None


async def test_only_one_of_two_services_writes_and_the_other_takes_over(
    variables: dict[str, str], amqp_url: str, tmp_path: Path
) -> None:
    async with audit_process(variables) as first, broker_publisher(amqp_url) as broker:
        await until(lambda: logged(first, "ledger_writer_elected"))
        async with audit_process({**variables, "POSTERN_STATE_DIRECTORY": str(tmp_path / "b")}) as second:
            await broker.publish([received() for _ in range(10)])
            await holds(second, 10)
            assert not await logged(second, "ledger_writer_elected")
            first.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(15):
                assert await first.process.wait() == 0
            await broker.publish([received() for _ in range(10)])
            found = await holds(second, 20)
            assert [event["sequence"] for event in found] == [str(n) for n in range(1, 21)]
            assert await logged(second, "ledger_writer_elected")


async def test_a_writer_that_slept_past_its_lease_is_fenced_and_steps_down(
    variables: dict[str, str], amqp_url: str, tmp_path: Path, engine: AsyncEngine
) -> None:
    async with audit_process(variables) as first, broker_publisher(amqp_url) as broker:
        await until(lambda: logged(first, "ledger_writer_elected"))
        await broker.publish([received() for _ in range(5)])
        await holds(first, 5)
        first.process.send_signal(signal.SIGSTOP)
        async with audit_process({**variables, "POSTERN_STATE_DIRECTORY": str(tmp_path / "b")}) as second:
            await until(lambda: logged(second, "ledger_writer_elected"), seconds=15)
            # the paused consumer still holds part of what is published now; it comes back when it steps down
            await broker.publish([received() for _ in range(20)])
            first.process.send_signal(signal.SIGCONT)
            found = await holds(second, 25)
            assert [event["sequence"] for event in found] == [str(n) for n in range(1, 26)]
            await until(lambda: logged(first, "ledger_writer_stepped_down"), seconds=15)
    walk = Walk(())
    assert all(walk.feed(entry) is None for entry in await Ledger(engine).everything())


async def logged(service: AuditProcess, event: str) -> bool:
    """Whether the service wrote this event to its log."""
    return any(record.get("event") == event for record in service.log)
