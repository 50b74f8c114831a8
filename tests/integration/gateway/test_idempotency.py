"""Writes that are sent again: one effect, one answer (semantics 19)."""

import asyncio

import pytest
from sqlalchemy import text
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.test_refusals import DATABASES, GOOD, problem
from tests.support.polling import eventually

KEY = {"Idempotency-Key": "create-orders-1"}


async def test_the_same_request_gets_the_same_answer_and_makes_one_database(gateway: Gateway) -> None:
    first = await gateway.client.post(DATABASES, json=GOOD, headers=KEY)
    second = await gateway.client.post(DATABASES, json=GOOD, headers=KEY)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.content == second.content
    for name in ("location", "operation-location", "etag"):
        assert first.headers[name] == second.headers[name]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert await gateway.counts() == (1, 1, 1)
    assert len(await gateway.actions()) == 1


async def test_the_answer_is_kept_for_a_request_that_waited(gateway: Gateway) -> None:
    waiting = asyncio.gather(gateway.client.post(DATABASES, json=GOOD, headers=KEY | {"Prefer": "wait=5"}))

    async def is_there() -> bool:
        return bool(await gateway.scalar("SELECT count(*) FROM gateway.databases"))

    await eventually(is_there)
    await gateway.make_ready(await gateway.get())
    [first] = await waiting
    assert (first.status_code, first.json()["state"]) == (200, "ready")
    again = await gateway.client.post(DATABASES, json=GOOD, headers=KEY)
    assert (again.status_code, again.json()["state"]) == (202, "requested")


async def test_another_request_with_the_key_is_422_and_writes_nothing(gateway: Gateway) -> None:
    await gateway.client.post(DATABASES, json=GOOD, headers=KEY)
    count = len(await gateway.outbox())
    response = await gateway.client.post(DATABASES, json={**GOOD, "name": "other"}, headers=KEY)
    document = problem(response, 422, "idempotency_key_reused")
    assert document["errors"][0]["pointer"] == "Idempotency-Key"
    problem(
        await gateway.client.post(f"{DATABASES}/orders/actions/hibernate", headers=KEY), 422, "idempotency_key_reused"
    )
    assert len(await gateway.outbox()) == count
    assert await gateway.counts() == (1, 1, 1)


async def test_keys_belong_to_their_credential(gateway: Gateway) -> None:
    editor = {"Authorization": f"Bearer {await gateway.key('editor')}"}
    await gateway.client.post(DATABASES, json=GOOD, headers=KEY)
    other = await gateway.client.post(DATABASES, json={**GOOD, "name": "other"}, headers=KEY | editor)
    assert other.status_code == 202


async def test_refused_requests_are_not_kept(gateway: Gateway) -> None:
    await gateway.create()
    problem(await gateway.client.post(DATABASES, json=GOOD, headers=KEY), 409, "database_exists")
    assert await gateway.scalar("SELECT count(*) FROM gateway.idempotency_keys") == 0


async def test_a_request_in_flight_is_409(gateway: Gateway) -> None:
    results = await asyncio.gather(*(gateway.client.post(DATABASES, json=GOOD, headers=KEY) for _ in range(10)))
    accepted = [r for r in results if r.status_code == 202]
    assert accepted
    for refused in (r for r in results if r.status_code != 202):
        problem(refused, 409, "request_in_progress")
    assert len({r.content for r in accepted}) == 1
    assert await gateway.counts() == (1, 1, 1)


async def test_a_key_is_free_again_after_a_day_even_when_it_was_not_cleaned(gateway: Gateway) -> None:
    await gateway.client.post(DATABASES, json=GOOD, headers=KEY)
    async with gateway.engine.begin() as connection:
        await connection.execute(
            text("UPDATE gateway.idempotency_keys SET created_at = clock_timestamp() - interval '25 hours'")
        )
    response = await gateway.client.post(DATABASES, json={**GOOD, "name": "other"}, headers=KEY)
    assert response.status_code == 202
    assert "idempotency-replayed" not in response.headers
    assert await gateway.scalar("SELECT count(*) FROM gateway.idempotency_keys") == 1


async def test_old_keys_are_cleaned(gateway: Gateway) -> None:
    await gateway.client.post(DATABASES, json=GOOD, headers=KEY)
    await gateway.parts.sweeper.clean()
    assert await gateway.scalar("SELECT count(*) FROM gateway.idempotency_keys") == 1
    async with gateway.engine.begin() as connection:
        await connection.execute(
            text("UPDATE gateway.idempotency_keys SET created_at = clock_timestamp() - interval '25 hours'")
        )
    await gateway.parts.sweeper.clean()
    assert await gateway.scalar("SELECT count(*) FROM gateway.idempotency_keys") == 0


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_a_malformed_key_is_400(gateway: Gateway, key: str) -> None:
    problem(await gateway.client.post(DATABASES, json=GOOD, headers={"Idempotency-Key": key}), 400, "malformed_request")


async def test_of_a_hundred_creates_of_one_name_one_is_accepted(gateway: Gateway) -> None:
    results = await asyncio.gather(*(gateway.client.post(DATABASES, json=GOOD) for _ in range(100)))
    assert sorted(r.status_code for r in results) == [202] + [409] * 99
    assert {r.json()["code"] for r in results if r.status_code == 409} == {"database_exists"}
    assert await gateway.counts() == (1, 1, 1)
    assert sorted(a["outcome"] for a in await gateway.actions()) == ["accepted"] + ["conflict"] * 99


async def test_writes_at_the_same_time_each_get_a_generation_of_their_own(gateway: Gateway) -> None:
    await gateway.create()
    wishes = [{"parameters": {"work_mem": f"{size}MB"}} for size in range(5, 25)]
    results = await asyncio.gather(*(gateway.client.patch(f"{DATABASES}/orders", json=wish) for wish in wishes))
    assert {r.status_code for r in results} == {202}
    assert sorted(r.json()["generation"] for r in results) == list(range(2, 22))
    rows = await gateway.rows("SELECT status FROM gateway.operations ORDER BY generation")
    assert [row.status for row in rows] == ["superseded"] * 20 + ["pending"]
    assert (await gateway.get())["generation"] == 21
