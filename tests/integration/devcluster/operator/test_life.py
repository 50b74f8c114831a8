"""Create, use, scale and delete: what CloudNativePG shows, with servers that answer."""

import ssl

import asyncpg
import pytest
from tests.integration.devcluster.operator.clusters import (
    HEALTHY,
    Workbench,
    alive,
    condition,
    eventually,
    newest_major,
)

from postern_common.kube.paths import PERSISTENT_VOLUME_CLAIMS, PODS, SECRETS, SERVICES

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

WAITING = "Waiting for the instances to become active"
CREATING = "Creating a new replica"


async def test_a_new_database_of_two_instances_shows_the_recorded_phases_and_answers_sql(bench: Workbench) -> None:
    parameters = {"max_connections": "42", "archive_timeout": "5min", "log_directory": "/controller/log"}
    database = await bench.create(instances=2, postgresql={"parameters": parameters})
    async with database.history() as history:
        status = await database.healthy(2)
    assert history.phases()[-5:] == ["Setting up primary", WAITING, CREATING, WAITING, HEALTHY]
    assert history.condition("Initialized")[-1] == "True:BootstrapCompleted"
    assert history.condition("Ready")[-2:] == ["False:ClusterIsNotReady", "True:ClusterIsReady"]
    assert condition(status, "ConsistentSystemID") == "True:Unique"
    assert condition(status, "ContinuousArchiving") == "True:ContinuousArchivingSuccess"
    assert (status["currentPrimary"], status["targetPrimary"], status["timelineID"]) == ("pg-1", "pg-1", 1)
    assert status["instancesStatus"] == {"healthy": ["pg-1", "pg-2"]}
    assert status["healthyPVC"] == ["pg-1", "pg-2"]
    assert (status["writeService"], status["readService"]) == ("pg-rw", "pg-r")
    assert set(status["certificates"]["expirations"]) == {"pg-ca", "pg-server", "pg-replication"}
    async with database.connection() as connection:
        assert await connection.fetchval("SHOW max_connections") == "42"
        assert (await connection.fetchval("SHOW server_version_num"))[:2] == str(newest_major())
        await connection.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
        assert not await connection.fetchval("SELECT pg_is_in_recovery()")
    async with database.connection("ro") as replica:
        assert await replica.fetchval("SELECT pg_is_in_recovery()")


async def test_pods_claims_and_secrets_look_like_cloudnativepgs(bench: Workbench) -> None:
    database = await bench.create(instances=1)
    await database.healthy(1)
    pods = await database.pods()
    assert set(pods) == {"pg-1"}, "the initdb pod goes when the cluster is healthy"
    pod = pods["pg-1"]
    assert pod["metadata"]["labels"]["cnpg.io/instanceRole"] == "primary"
    assert pod["metadata"]["ownerReferences"][0]["kind"] == "Cluster"
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["containerStatuses"][0]["ready"] is True
    log = await bench.client.read(f"{PODS.object('pg-1', bench.namespace)}/log")
    assert b"database system is ready to accept connections" in log
    claim = (await database.claims())["pg-1"]
    assert claim["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}
    secret = await database.secret("app")
    assert set(secret) == {
        "dbname", "fqdn-jdbc-uri", "fqdn-uri", "host", "jdbc-uri", "password", "pgpass", "port", "uri", "user",
        "username",
    }  # fmt: skip
    assert set(await database.secret("ca")) == {"ca.crt", "ca.key"}


async def test_a_client_can_verify_the_server_and_a_wrong_password_is_refused(bench: Workbench) -> None:
    database = await bench.create()
    await database.healthy()
    context = ssl.create_default_context(cadata=(await database.secret("ca"))["ca.crt"])
    async with database.connection(ssl=context) as connection:
        assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    with pytest.raises(asyncpg.InvalidPasswordError):
        async with database.connection(password="wrong"):
            pass


async def test_a_rotated_password_in_the_secret_becomes_the_roles_password(bench: Workbench) -> None:
    database = await bench.create()
    await database.healthy()
    change = {"stringData": {"password": "rotated-by-hand"}}
    path = SECRETS.object("pg-app", bench.namespace)
    await bench.client.request("PATCH", path, body=change, content_type="application/merge-patch+json")

    async def accepted() -> bool:
        try:
            async with database.connection(password="rotated-by-hand"):
                return True
        except asyncpg.InvalidPasswordError:
            return False

    await eventually(accepted)


async def test_allow_lists_in_pg_hba_hold(bench: Workbench) -> None:
    database = await bench.create(postgresql={"pg_hba": ["host all all all reject"]})
    await database.healthy()
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        async with database.connection():
            pass


async def test_scaling_adds_and_removes_instances_and_their_data(bench: Workbench) -> None:
    database = await bench.create(instances=1)
    await database.healthy(1)
    async with database.history() as history:
        await database.patch({"spec": {"instances": 3}})
        await database.healthy(3)
    assert history.phases() == [HEALTHY, CREATING, WAITING, CREATING, WAITING, HEALTHY]
    async with database.history() as history:
        await database.patch({"spec": {"instances": 2}})
        # As in the recordings the counts change first, for a moment under the old phase.
        await eventually(lambda: WAITING in history.phases())
        await database.healthy(2)
    assert history.phases() == [HEALTHY, WAITING, HEALTHY]
    assert set(await database.pods()) == {"pg-1", "pg-2"}
    assert set(await database.claims()) == {"pg-1", "pg-2"}
    async with database.connection() as connection:
        slots = await connection.fetch("SELECT slot_name FROM pg_replication_slots")
        assert [row["slot_name"] for row in slots] == ["_cnpg_pg_2"]


async def test_a_deleted_cluster_leaves_no_object_no_process_and_no_file(bench: Workbench) -> None:
    database = await bench.create(instances=2)
    status = await database.healthy(2)
    uid = (await database.read())["metadata"]["uid"]
    pids = [database.postmaster(name) for name in status["instanceNames"]]
    await database.delete()

    async def nothing_left() -> bool:
        for resource in (PODS, PERSISTENT_VOLUME_CLAIMS, SERVICES, SECRETS):
            if await bench.items(resource):
                return False
        return True

    await eventually(nothing_left)
    await eventually(lambda: not any(alive(pid) for pid in pids))
    data = bench.development.state_dir / "postgres/clusters" / uid
    await eventually(lambda: not data.exists())


async def test_a_cluster_deleted_while_it_is_made_leaves_nothing(bench: Workbench) -> None:
    database = await bench.create(instances=3)
    await database.until(lambda status: status.get("phase") == CREATING)
    uid = (await database.read())["metadata"]["uid"]
    await database.delete()
    data = bench.development.state_dir / "postgres/clusters" / uid

    async def nothing_left() -> bool:
        return not data.exists() and not await bench.items(PODS) and not await bench.items(PERSISTENT_VOLUME_CLAIMS)

    await eventually(nothing_left)
    again = await bench.create(instances=1)
    await again.healthy(1)
