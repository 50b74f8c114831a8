"""Hibernate, resume, restart, parameters, resources and volumes: the recorded phases, and what servers then say."""

import pytest
from tests.integration.devcluster.operator.clusters import (
    HEALTHY,
    Workbench,
    condition,
    container_states,
    eventually,
    is_healthy,
    newest_major,
)

from postern_common.kube.paths import PODS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

WAITING = "Waiting for the instances to become active"
UPGRADING = "Upgrading cluster"
PRIMARY_RESTART = "Primary instance is being restarted without a switchover"
IN_PLACE = "Primary instance is being restarted in-place"
HIBERNATION = "cnpg.io/hibernation"


async def test_hibernation_keeps_data_and_only_the_condition_tells(bench: Workbench) -> None:
    database = await bench.create(instances=2)
    await database.healthy(2)
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    async with database.history() as history:
        await database.annotate(hibernation="on")
        status = await database.until(lambda status: condition(status, HIBERNATION) == "True:Hibernated")
    assert history.phases() == [HEALTHY]
    assert history.condition("Ready") == ["True:ClusterIsReady"]
    assert history.values("readyInstances") == [2, 1, None]
    assert history.condition(HIBERNATION)[1] == "False:DeletingPods"
    assert status["danglingPVC"] == ["pg-1", "pg-2"]
    assert await bench.items(PODS) == {}
    with pytest.raises(OSError, match=r"."):
        async with database.connection():
            pass
    async with database.history() as history:
        await database.annotate(hibernation="off")
        await database.until(lambda status: condition(status, HIBERNATION) is None)
        await database.healthy(2)
    assert history.phases() == [HEALTHY, WAITING, HEALTHY]
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT n FROM t") == 7


async def test_a_restart_rolls_replicas_first_and_marks_every_pod(bench: Workbench) -> None:
    database = await bench.create(instances=2)
    await database.healthy(2)
    async with database.connection() as connection:
        started = await connection.fetchval("SELECT pg_postmaster_start_time()")
    async with database.history() as history:
        await database.annotate(restarted="2026-01-01T00:00:00Z")
        await database.until(lambda status: status.get("phase") != HEALTHY)
        await database.healthy(2)
    assert history.phases() == [HEALTHY, UPGRADING, WAITING, PRIMARY_RESTART, HEALTHY]
    pods = await database.pods()
    handled = {pod["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] for pod in pods.values()}
    assert handled == {"2026-01-01T00:00:00Z"}
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT pg_postmaster_start_time()") > started
    assert (await database.read())["status"]["currentPrimary"] == "pg-1"


async def test_a_parameter_that_needs_no_restart_changes_in_place(bench: Workbench) -> None:
    database = await bench.create()
    await database.healthy()
    async with database.history() as history:
        await database.patch({"spec": {"postgresql": {"parameters": {"work_mem": "9MB"}}}})
        async with database.connection() as connection:

            async def changed() -> bool:
                return bool(await connection.fetchval("SHOW work_mem") == "9MB")

            await eventually(changed)
    assert history.phases() == [HEALTHY]


async def test_a_parameter_that_needs_a_restart_restarts_the_primary_in_place(bench: Workbench) -> None:
    database = await bench.create(instances=2)
    await database.healthy(2)
    async with database.history() as history:
        await database.patch({"spec": {"postgresql": {"parameters": {"shared_buffers": "24MB"}}}})
        await database.until(lambda status: status.get("phase") != HEALTHY)
        await database.healthy(2)
    assert history.phases() == [HEALTHY, "Applying configuration", UPGRADING, WAITING, IN_PLACE, HEALTHY]
    assert history.values("phaseReason")[-2:] == ["Primary instance restarted in-place", None]
    for service in ("rw", "ro"):
        async with database.connection(service) as connection:
            assert await connection.fetchval("SHOW shared_buffers") == "24MB"


async def test_fewer_connections_than_the_standby_had_are_possible(bench: Workbench) -> None:
    database = await bench.create(instances=2)
    await database.healthy(2)
    await database.patch({"spec": {"postgresql": {"parameters": {"max_connections": "30"}}}})
    await database.until(lambda status: status.get("phase") != HEALTHY)
    await database.healthy(2)
    for service in ("rw", "ro"):
        async with database.connection(service) as connection:
            assert await connection.fetchval("SHOW max_connections") == "30"


async def test_an_unknown_parameter_crash_loops_and_its_removal_heals(bench: Workbench) -> None:
    database = await bench.create(instances=2)
    await database.healthy(2)
    await database.patch({"spec": {"postgresql": {"parameters": {"no_such_parameter": "1"}}}})

    async def crash_loops() -> bool:
        states = container_states(await database.pods())
        return any(state.get("waiting", {}).get("reason") == "CrashLoopBackOff" for state in states)

    await eventually(crash_loops)
    status = (await database.read())["status"]
    assert status["phase"] == WAITING
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await database.patch({"spec": {"postgresql": {"parameters": {"no_such_parameter": None}}}})
    await database.healthy(2)


async def test_other_resources_replace_every_pod(bench: Workbench) -> None:
    database = await bench.create(instances=2)
    await database.healthy(2)
    resources = {"requests": {"memory": "300Mi"}, "limits": {"memory": "300Mi"}}
    async with database.history() as history:
        await database.patch({"spec": {"resources": resources}})
        await database.until(lambda status: status.get("phase") != HEALTHY)
        await database.healthy(2)
    assert history.phases() == [HEALTHY, UPGRADING, WAITING, PRIMARY_RESTART, HEALTHY]
    assert "differs in resources" in history.values("phaseReason")[1]
    pods = await database.pods()
    assert all(pod["spec"]["containers"][0]["resources"] == resources for pod in pods.values())


async def test_a_volume_grows_on_a_class_that_can(bench: Workbench) -> None:
    database = await bench.create(instances=2)
    await database.healthy(2)
    async with database.history() as history:
        await database.patch({"spec": {"storage": {"size": "2Gi"}}})

        async def grown() -> bool:
            claims = await database.claims()
            return all(claim["status"]["capacity"]["storage"] == "2Gi" for claim in claims.values())

        await eventually(grown)
    assert history.phases() == [HEALTHY]


async def test_a_refused_resize_stops_everything_until_it_is_taken_back(bench: Workbench) -> None:
    fixed = {"size": "1Gi", "storageClass": "fixed"}
    database = await bench.create(instances=1, storage=fixed)
    await database.healthy(1)
    await database.patch({"spec": {"storage": {"size": "2Gi"}, "instances": 2}})
    await database.patch({"spec": {"postgresql": {"parameters": {"work_mem": "9MB"}}}})
    async with database.connection() as connection:
        assert await connection.fetchval("SHOW work_mem") == "4MB"
    status = (await database.read())["status"]
    assert is_healthy(status, 1)
    assert (await database.claims())["pg-1"]["spec"]["resources"]["requests"]["storage"] == "1Gi"
    await database.annotate(validation="disabled")
    await database.patch({"spec": {"storage": {"size": "1Gi"}}})
    await database.annotate(validation=None)
    await database.healthy(2)


async def test_an_image_that_cannot_be_pulled_keeps_the_running_database(bench: Workbench) -> None:
    """An image that cannot be run must not take down what runs."""
    database = await bench.create(instances=2)
    await database.healthy(2)
    await database.patch({"spec": {"imageName": f"ghcr.io/cloudnative-pg/postgresql:{newest_major()}.9-nope"}})

    async def pull_fails() -> bool:
        states = container_states(await database.pods())
        return any(state.get("waiting", {}).get("reason") == "ImagePullBackOff" for state in states)

    await eventually(pull_fails)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
