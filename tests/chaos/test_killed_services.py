"""``kill -9`` of any one of the four services in the middle of a create: the database becomes ready, and the ledger has
one entry per transition."""

import asyncio
import random

import pytest
from tests.e2e.api import Api
from tests.e2e.ledger import assert_ledger_is_whole, of_type, states
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]


@pytest.mark.parametrize("service", ["gateway", "provisioner", "watcher", "audit"])
@pytest.mark.parametrize("moment", [0.02, 0.5])
async def test_a_create_survives_the_loss_of_one_service(
    kill_stack: Stack, kill_api: Api, service: str, moment: float
) -> None:
    name = f"{service}-{int(moment * 1000)}-{random.randrange(16**4):04x}"
    created = await kill_api.create(name)
    await asyncio.sleep(moment)  # the moment of the fault is what the test varies, not a wait for a condition
    kill_stack.kill(service)
    await kill_stack.start()
    operation = await kill_api.succeeded(created)
    database = await kill_api.get(name)
    assert database["state"] == "ready"
    assert [phase["name"] for phase in operation["phases"]][-1] == "done"
    async with kill_api.sql(name) as sql:
        assert await sql.fetchval("SELECT 1") == 1
    async with asyncio.timeout(30):
        while True:
            events = await kill_api.events()
            if "ready" in states(events, created["id"]):
                break
            await asyncio.sleep(0.1)
    assert_ledger_is_whole(events)
    seen = states(events, created["id"])
    assert seen.count("ready") == 1, seen
    assert len(of_type(events, "database.applied", created["id"])) == 1
    assert len(of_type(events, "command.database.apply", created["id"])) == 1
