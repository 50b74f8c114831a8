"""The periodic comparison: what differs from what was written is found, and nothing else is touched."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.integration.provisioner.conftest import Provisioner, eventually
from tests.unit.provisioner.commands import apply_command, delete_command

from postern_common.contracts.identifiers import cluster_name, new_id
from postern_common.kube.apply import delete_object
from postern_common.kube.errors import NotFoundError
from postern_common.kube.paths import CLUSTERS, NAMESPACES, NETWORK_POLICIES

pytestmark = pytest.mark.integration

NAMESPACE = "postern-acme"


async def created(provisioner: Provisioner) -> UUID:
    database_id = new_id()
    before = len(await provisioner.events("database.applied"))
    await provisioner.handle(apply_command(database_id))
    await provisioner.wait_for_events("database.applied", before + 1)
    return database_id


def path(database_id: UUID, resource: Any = CLUSTERS) -> str:
    return str(resource.object(cluster_name("orders", database_id), NAMESPACE))


async def remove(provisioner: Provisioner, where: str) -> None:
    found = await provisioner.kube.request("GET", where)
    await delete_object(provisioner.kube, where, uid=found["metadata"]["uid"])


async def exists(provisioner: Provisioner, where: str) -> bool:
    try:
        await provisioner.kube.request("GET", where)
    except NotFoundError:
        return False
    return True


async def test_nothing_is_written_when_nothing_differs(provisioner: Provisioner) -> None:
    for _ in range(3):
        await created(provisioner)
    writes = len([r for r in provisioner.kube.requests if r.method != "GET"])

    assert await provisioner.parts.resyncing.resync() == 0
    assert len([r for r in provisioner.kube.requests if r.method != "GET"]) == writes


async def test_an_edited_object_gets_its_fields_back_and_keeps_those_of_others(provisioner: Provisioner) -> None:
    database_id = await created(provisioner)
    cluster = await provisioner.kube.request("GET", path(database_id))
    cluster["spec"]["instances"] = 9
    cluster["spec"]["logLevel"] = "debug"
    provisioner.kube.seed(cluster)

    assert await provisioner.parts.resyncing.resync() == 1

    async def repaired() -> bool:
        return bool((await provisioner.kube.request("GET", path(database_id)))["spec"]["instances"] == 2)

    await eventually(repaired)
    assert (await provisioner.kube.request("GET", path(database_id)))["spec"]["logLevel"] == "debug"
    assert len(await provisioner.events("database.applied")) == 1


async def unlabelled(provisioner: Provisioner) -> UUID:
    database_id = await created(provisioner)
    cluster = await provisioner.kube.request("GET", path(database_id))
    cluster["metadata"]["labels"] = {}
    provisioner.kube.seed(cluster)
    return database_id


async def test_labels_that_somebody_took_away_come_back(provisioner: Provisioner) -> None:
    database_id = await unlabelled(provisioner)

    assert await provisioner.parts.resyncing.resync() == 1

    async def labelled() -> bool:
        labels = (await provisioner.kube.request("GET", path(database_id)))["metadata"].get("labels", {})
        return bool(labels.get("postern.dev/database-id") == str(database_id))

    await eventually(labelled)


async def test_a_delete_finds_a_cluster_whose_labels_were_taken_away(provisioner: Provisioner) -> None:
    database_id = await unlabelled(provisioner)
    await provisioner.handle(delete_command(database_id, 2))
    await provisioner.wait_for_events("database.removed")

    assert not await exists(provisioner, path(database_id))


async def test_a_deleted_policy_is_made_again(provisioner: Provisioner) -> None:
    database_id = await created(provisioner)
    await remove(provisioner, path(database_id, NETWORK_POLICIES))

    assert await provisioner.parts.resyncing.resync() == 1
    await eventually(lambda: exists(provisioner, path(database_id, NETWORK_POLICIES)))


async def test_a_cluster_that_vanished_is_not_made_again_empty(provisioner: Provisioner) -> None:
    database_id = await created(provisioner)
    await remove(provisioner, path(database_id))
    await remove(provisioner, path(database_id, NETWORK_POLICIES))

    async def settled() -> bool:
        return (await provisioner.row(database_id)).next_attempt_at is None

    assert await provisioner.parts.resyncing.resync() == 1
    await eventually(settled)
    assert await exists(provisioner, path(database_id, NETWORK_POLICIES))
    assert not await exists(provisioner, path(database_id))

    await provisioner.handle(apply_command(database_id, 2))
    await provisioner.wait_for_events("database.applied", 2)
    assert await exists(provisioner, path(database_id))


async def forged(provisioner: Provisioner) -> UUID:
    """A database on whose Cluster somebody has written a generation that was never asked for."""
    database_id = await created(provisioner)
    cluster = await provisioner.kube.request("GET", path(database_id))
    cluster["metadata"]["annotations"]["postern.dev/generation"] = "99"
    owned = {"f:metadata": {"f:annotations": {"f:postern.dev/generation": {}}}}
    cluster["metadata"]["managedFields"] = [{"manager": "kubectl-annotate", "operation": "Update", "fieldsV1": owned}]
    provisioner.kube.seed(cluster)
    return database_id


async def test_a_generation_that_somebody_wrote_is_put_right(provisioner: Provisioner) -> None:
    database_id = await forged(provisioner)
    assert await provisioner.parts.resyncing.resync() == 1

    async def repaired() -> bool:
        cluster = await provisioner.kube.request("GET", path(database_id))
        return bool(cluster["metadata"]["annotations"]["postern.dev/generation"] == "1")

    await eventually(repaired)


async def test_a_generation_that_somebody_wrote_stops_neither_change_nor_delete(provisioner: Provisioner) -> None:
    changed, gone = await forged(provisioner), await forged(provisioner)
    await provisioner.handle(apply_command(changed, 2, instances=3))
    await provisioner.handle(delete_command(gone, 2))
    await provisioner.wait_for_events("database.applied", 3)
    await provisioner.wait_for_events("database.removed")

    assert (await provisioner.kube.request("GET", path(changed)))["spec"]["instances"] == 3
    assert not await exists(provisioner, path(gone))


async def test_a_projects_policy_is_put_back(provisioner: Provisioner) -> None:
    await created(provisioner)
    where = NETWORK_POLICIES.object("postern-default-deny", NAMESPACE)
    await remove(provisioner, where)
    await provisioner.parts.resyncing.resync()

    assert await exists(provisioner, where)


async def test_a_projects_namespace_keeps_its_pod_security(provisioner: Provisioner) -> None:
    await created(provisioner)
    namespace = await provisioner.kube.request("GET", NAMESPACES.object(NAMESPACE))
    namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "privileged"
    provisioner.kube.seed(namespace)
    await provisioner.parts.resyncing.resync()

    after = await provisioner.kube.request("GET", NAMESPACES.object(NAMESPACE))
    assert after["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


async def test_an_object_that_came_back_after_the_delete_goes_away_again(provisioner: Provisioner) -> None:
    database_id = await created(provisioner)
    zombie = await provisioner.kube.request("GET", path(database_id))
    await provisioner.handle(delete_command(database_id, 2))
    await provisioner.wait_for_events("database.removed")
    zombie["metadata"].pop("resourceVersion")
    provisioner.kube.seed(zombie)

    assert await provisioner.parts.resyncing.resync() == 1

    async def gone() -> bool:
        return not await exists(provisioner, path(database_id))

    await eventually(gone)
    assert len(await provisioner.events("database.removed")) == 1


async def test_an_object_nobody_knows_is_left_alone(provisioner: Provisioner) -> None:
    database_id = await created(provisioner)
    async with provisioner.engine.begin() as connection:
        await connection.execute(
            text("UPDATE provisioner.targets SET database_id = :new WHERE database_id = :old"),
            {"old": database_id, "new": new_id()},
        )
    await provisioner.parts.resyncing.resync()

    assert await exists(provisioner, path(database_id))


async def test_what_should_be_due_and_is_not_is_found_by_the_sweep(idle: Provisioner) -> None:
    database_id = new_id()
    await idle.handle(apply_command(database_id))
    async with idle.engine.begin() as connection:
        await connection.execute(text("UPDATE provisioner.targets SET next_attempt_at = NULL"))

    assert await idle.parts.sweeping._targets.sweep() == 1
    assert await idle.parts.sweeping._targets.sweep() == 0
    assert (await idle.row(database_id)).next_attempt_at is not None
