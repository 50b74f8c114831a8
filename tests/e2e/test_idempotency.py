"""Safe writes: one key, one effect; one name, one database; a reused key is refused."""

import asyncio
from collections import Counter

import pytest
from tests.e2e.api import Api
from tests.e2e.ledger import assert_ledger_is_whole, of_type

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


async def test_the_same_key_gives_the_same_answer_and_one_database(api: Api) -> None:
    headers = {"Idempotency-Key": "create-once"}
    body = {"name": "once", "plan": "dev-1"}
    first = await api.http.post(api.databases, json=body, headers=headers)
    second = await api.http.post(api.databases, json=body, headers=headers)
    assert first.status_code == second.status_code == 202
    assert first.json() == second.json()
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    await api.succeeded(first.json())
    events = await api.events()
    assert_ledger_is_whole(events)
    assert len(of_type(events, "command.database.apply", first.json()["id"])) == 1
    reused = await api.http.post(api.databases, json=body | {"name": "other"}, headers=headers)
    assert reused.status_code == 422
    assert reused.json()["code"] == "idempotency_key_reused"


async def test_of_100_concurrent_creates_of_one_name_one_is_accepted(api: Api) -> None:
    body = {"name": "popular", "plan": "dev-1"}
    answers = await asyncio.gather(*(api.http.post(api.databases, json=body, timeout=60) for _ in range(100)))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 409: 99}
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"database_exists"}
    listed = (await api.http.get(api.databases)).json()["items"]
    assert [database["name"] for database in listed] == ["popular"]
    await api.succeeded(next(a.json() for a in answers if a.status_code == 202))
