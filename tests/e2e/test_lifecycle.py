"""Everything a user does to a database, through the public API, on real processes.

Each story ends in the right state with its operation succeeded, its events in the ledger once and in order, and
credentials that connect.
"""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from tests.e2e.api import Api, Json, connect
from tests.e2e.ledger import assert_ledger_is_whole, of_type, states

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


async def assert_settled(api: Api, name: str, operation: Json, *, state: str = "ready") -> Json:
    """What must hold after every story: state, phases, ledger, and a connection that works."""
    database = await api.get(name)
    assert database["state"] == state, database
    assert database["observed_generation"] == database["generation"] or operation["type"] == "create", database
    phases = [phase["name"] for phase in operation["phases"]]
    assert phases == ["accepted", "published", "received", "applied", "observed", "done"], phases
    times = [phase["at"] for phase in operation["phases"]]
    assert times == sorted(times), times
    events = await api.events()
    assert_ledger_is_whole(events)
    applied = [e for e in of_type(events, "database.applied", database["id"]) if e["operationid"] == operation["id"]]
    assert len(applied) == 1, applied
    if state == "ready":
        async with api.sql(name) as sql:
            assert await sql.fetchval("SELECT pg_is_in_recovery()") is False
    return database


async def test_a_created_database_becomes_ready_and_its_credentials_connect(api: Api) -> None:
    created = await api.create("orders", instances=2)
    assert created["state"] == "requested"
    assert created["generation"] == 1
    operation = await api.succeeded(created)
    database = await assert_settled(api, "orders", operation)
    assert database["observed"]["instances"] == 2
    assert database["observed"]["ready_instances"] == 2
    seen = states(await api.events(), database["id"])
    assert seen[0] == "provisioning"
    assert seen[-1] == "ready"
    assert seen.count("ready") == 1
    async with api.sql("orders") as primary:
        await primary.execute("CREATE TABLE t (n int)")
        await primary.execute("INSERT INTO t SELECT generate_series(1, 100)")
        assert await primary.fetchval("SELECT count(*) FROM pg_stat_replication") == 1
    replica = await connect_replica(api, "orders")
    try:
        await wait_for_rows(replica, 100)
        assert await replica.fetchval("SELECT pg_is_in_recovery()") is True
    finally:
        await replica.close(timeout=5)


async def connect_replica(api: Api, name: str):  # type: ignore[no-untyped-def]  # asyncpg has no useful stub here
    answer = await api.http.get(f"{api.databases}/{name}/connection")
    assert answer.status_code == 200, answer.text
    connection = answer.json()
    assert "PRIVATE KEY" not in answer.text
    assert connection["ca_certificate"].startswith("-----BEGIN CERTIFICATE-----")
    endpoint = next(e for e in connection["endpoints"] if e["role"] == "replicas")
    credentials = await api.credentials(name)
    uri = (
        f"postgresql://{credentials['username']}:{credentials['password']}@{endpoint['host']}:{endpoint['port']}"
        f"/{credentials['dbname']}?sslmode=require"
    )
    return await connect(uri)


async def wait_for_rows(sql, count: int) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(15):
        while True:
            there = await sql.fetchval("SELECT count(*) FROM information_schema.tables WHERE table_name = 't'")
            if there and await sql.fetchval("SELECT count(*) FROM t") == count:
                return
            await asyncio.sleep(0.05)


async def test_scaling_from_one_to_three_instances_and_back_is_observed_before_it_is_called_ready(api: Api) -> None:
    await api.ready("scale")
    operation = await api.succeeded(await api.patch("scale", instances=3))
    database = await assert_settled(api, "scale", operation)
    assert database["observed"]["ready_instances"] == 3
    async with api.sql("scale") as sql:
        assert await sql.fetchval("SELECT count(*) FROM pg_stat_replication") == 2
    operation = await api.succeeded(await api.patch("scale", instances=1))
    database = await assert_settled(api, "scale", operation)
    assert database["observed"]["instances"] == 1


async def test_changed_parameters_are_in_force_once_the_operation_succeeded(api: Api) -> None:
    await api.ready("params")
    operation = await api.succeeded(await api.patch("params", parameters={"work_mem": "7MB"}))
    await assert_settled(api, "params", operation)
    async with api.sql("params") as sql:
        assert await sql.fetchval("SHOW work_mem") == "7MB"
    operation = await api.succeeded(await api.patch("params", parameters={"max_connections": "77"}))
    await assert_settled(api, "params", operation)
    async with api.sql("params") as sql:
        assert await sql.fetchval("SHOW max_connections") == "77"
        assert await sql.fetchval("SHOW work_mem") == "7MB"


async def test_a_changed_plan_keeps_the_rows(api: Api) -> None:
    await api.ready("plans", plan="startup-1")
    async with api.sql("plans") as sql:
        await sql.execute("CREATE TABLE t AS SELECT 42 AS n")
    operation = await api.succeeded(await api.patch("plans", plan="startup-2"))
    database = await assert_settled(api, "plans", operation)
    assert database["plan"] == "startup-2"
    async with api.sql("plans") as sql:
        assert await sql.fetchval("SELECT n FROM t") == 42


async def test_a_restart_restarts_every_instance_and_is_called_restarting(api: Api) -> None:
    database = await api.ready("restart", instances=2)
    async with api.sql("restart") as sql:
        before = await sql.fetchval("SELECT pg_postmaster_start_time()")
    operation = await api.succeeded(await api.action("restart", "restart"))
    await assert_settled(api, "restart", operation)
    async with api.sql("restart") as sql:
        assert await sql.fetchval("SELECT pg_postmaster_start_time()") > before
    seen = states(await api.events(), database["id"])
    after_ready = seen[seen.index("ready") + 1 :]
    assert "restarting" in after_ready
    assert "updating" not in after_ready, after_ready


async def test_a_switchover_moves_the_primary(api: Api) -> None:
    before = (await api.ready("switch", instances=2))["observed"]["primary"]
    operation = await api.succeeded(await api.action("switch", "switchover"))
    database = await assert_settled(api, "switch", operation)
    assert database["observed"]["primary"] != before
    assert database["observed"]["ready_instances"] == 2


async def test_a_hibernated_database_keeps_its_rows_until_it_is_resumed(api: Api) -> None:
    await api.ready("sleep", instances=2)
    async with api.sql("sleep") as sql:
        await sql.execute("CREATE TABLE t AS SELECT 'kept' AS word")
    operation = await api.succeeded(await api.action("sleep", "hibernate"))
    await assert_settled(api, "sleep", operation, state="hibernated")
    operation = await api.succeeded(await api.action("sleep", "resume"))
    database = await assert_settled(api, "sleep", operation)
    async with api.sql("sleep") as sql:
        assert await sql.fetchval("SELECT word FROM t") == "kept"
    seen = states(await api.events(), database["id"])
    assert seen[seen.index("hibernated") :] == ["hibernated", "resuming", "ready"], seen


def postmaster_of(backend: int) -> int:
    """The process that started ``backend`` (field 4 of /proc/<pid>/stat, behind the command in parentheses)."""
    parent = int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])
    assert b"postgres" in Path(f"/proc/{parent}/cmdline").read_bytes()
    return parent


async def test_a_killed_primary_fails_over_and_comes_back(api: Api) -> None:
    database = await api.ready("failover", instances=2)
    primary = database["observed"]["primary"]
    replica = await connect_replica(api, "failover")
    async with api.sql("failover") as sql:
        await sql.execute("CREATE TABLE t AS SELECT 1 AS n")
        await wait_for_rows(replica, 1)  # replication is asynchronous: an unreplicated row may be lost with its primary
        await replica.close(timeout=5)
        backend = await sql.fetchval("SELECT pg_backend_pid()")
        postmaster = postmaster_of(backend)
        os.kill(postmaster, signal.SIGKILL)
    async with asyncio.timeout(90):
        while True:
            database = await api.get("failover")
            if database["state"] == "ready" and database["observed"]["primary"] not in (None, primary):
                break
            await asyncio.sleep(0.1)
    assert database["observed"]["ready_instances"] == 2
    async with api.sql("failover") as sql:
        assert await sql.fetchval("SELECT n FROM t") == 1
        await sql.execute("INSERT INTO t VALUES (2)")
    events = await api.events()
    assert_ledger_is_whole(events)
    seen = states(events, database["id"])
    after = seen[seen.index("ready") + 1 :]
    assert "failing_over" in after, after
    assert after[-1] == "ready"


async def test_a_deleted_database_is_gone_and_its_name_is_free(api: Api) -> None:
    database = await api.ready("gone")
    uri = (await api.credentials("gone"))["uri"]
    operation = await api.succeeded(await api.delete("gone"))
    assert operation["type"] == "delete"
    assert (await api.http.get(f"{api.databases}/gone")).status_code == 404
    with pytest.raises((OSError, asyncio.TimeoutError)):
        await connect(uri, within=0)
    events = await api.events()
    assert_ledger_is_whole(events)
    assert states(events, database["id"])[-2:] == ["deleting", "deleted"]
    assert len(of_type(events, "database.removed", database["id"])) == 1
    again = await api.ready("gone")
    assert again["id"] != database["id"]
