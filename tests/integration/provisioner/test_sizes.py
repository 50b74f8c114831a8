"""Sizes of volumes: what may grow grows, what may not is put back, and nothing ever shrinks."""

from typing import Any

import pytest
from tests.integration.provisioner.conftest import Provisioner, eventually
from tests.integration.provisioner.test_reconciling import applied_generation_is, cluster_of
from tests.unit.provisioner.commands import apply_command

from postern_common.contracts.identifiers import new_id
from postern_common.testing.kube import status_error

pytestmark = pytest.mark.integration


async def test_a_growth_that_the_storage_class_refuses_is_never_written(provisioner: Provisioner) -> None:
    provisioner.kube.seed(storage_class("standard", expandable=False))
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 1))
    await provisioner.wait_for_events("database.applied")
    await provisioner.handle(apply_command(database_id, 2, storage="20Gi"))
    (failed,) = await provisioner.wait_for_events("database.apply_failed")

    assert (failed.code, failed.retryable) == ("volume_expansion_refused", False)
    assert (await cluster_of(provisioner, database_id))["spec"]["storage"]["size"] == "10Gi"


async def test_a_growth_that_the_storage_class_allows_is_applied(provisioner: Provisioner) -> None:
    provisioner.kube.seed(storage_class("standard", expandable=True))
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 1))
    await provisioner.wait_for_events("database.applied")
    await provisioner.handle(apply_command(database_id, 2, storage="20Gi"))
    await provisioner.wait_for_events("database.applied", 2)

    assert (await cluster_of(provisioner, database_id))["spec"]["storage"]["size"] == "20Gi"


def storage_class(name: str, *, expandable: bool) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "example.org/disk",
        "allowVolumeExpansion": expandable,
    }


async def test_a_refused_resize_is_undone_past_the_webhook(provisioner: Provisioner) -> None:
    provisioner.kube.seed(storage_class("standard", expandable=True))
    webhook = NoShrink()
    provisioner.kube.validators["Cluster"] = webhook
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 1))
    await provisioner.handle(apply_command(database_id, 2, storage="20Gi"))
    await eventually(lambda: applied_generation_is(provisioner, database_id, 2))
    await provisioner.handle(apply_command(database_id, 3, undo_resize=True, storage="10Gi"))
    await eventually(lambda: applied_generation_is(provisioner, database_id, 3))

    cluster = await cluster_of(provisioner, database_id)
    assert cluster["spec"]["storage"]["size"] == "10Gi"
    assert "cnpg.io/validation" not in cluster["metadata"]["annotations"]
    assert webhook.refused == 0


@pytest.mark.parametrize("expandable", [False, True])
async def test_a_size_by_others_is_put_back_only_where_it_stops_the_operator(
    provisioner: Provisioner, *, expandable: bool
) -> None:
    provisioner.kube.seed(storage_class("standard", expandable=expandable))
    webhook = NoShrink()
    provisioner.kube.validators["Cluster"] = webhook
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 1))
    await eventually(lambda: applied_generation_is(provisioner, database_id, 1))
    cluster = await cluster_of(provisioner, database_id)
    cluster["spec"]["storage"]["size"] = "20Gi"
    provisioner.kube.seed(cluster)
    webhook(cluster)
    assert await provisioner.parts.resyncing.resync() == 1

    async def settled() -> bool:
        return (await provisioner.row(database_id)).next_attempt_at is None

    await eventually(settled)
    cluster = await cluster_of(provisioner, database_id)
    assert cluster["spec"]["storage"]["size"] == ("20Gi" if expandable else "10Gi")
    assert "cnpg.io/validation" not in cluster["metadata"]["annotations"]
    assert len(await provisioner.events("database.applied")) == 1


async def test_volumes_that_somebody_grew_stay_so_and_later_changes_are_applied(provisioner: Provisioner) -> None:
    provisioner.kube.seed(storage_class("standard", expandable=True))
    webhook = NoShrink()
    provisioner.kube.validators["Cluster"] = webhook
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 1))
    await eventually(lambda: applied_generation_is(provisioner, database_id, 1))
    grown = await cluster_of(provisioner, database_id)
    grown["spec"]["storage"]["size"] = "20Gi"
    provisioner.kube.seed(grown)
    webhook(grown)
    await provisioner.handle(apply_command(database_id, 2, instances=3))
    await eventually(lambda: applied_generation_is(provisioner, database_id, 2))
    await provisioner.handle(apply_command(database_id, 3, instances=3, storage="15Gi"))
    await eventually(lambda: applied_generation_is(provisioner, database_id, 3))

    spec = (await cluster_of(provisioner, database_id))["spec"]
    assert (spec["instances"], spec["storage"]["size"], webhook.refused) == (3, "20Gi", 0)


async def test_nothing_shrinks_without_an_undo(provisioner: Provisioner) -> None:
    webhook = NoShrink()
    provisioner.kube.validators["Cluster"] = webhook
    database_id = new_id()
    await provisioner.handle(apply_command(database_id, 1))
    await eventually(lambda: applied_generation_is(provisioner, database_id, 1))
    await provisioner.handle(apply_command(database_id, 2, storage="5Gi"))
    await eventually(lambda: applied_generation_is(provisioner, database_id, 2))

    assert (await cluster_of(provisioner, database_id))["spec"]["storage"]["size"] == "10Gi"
    assert webhook.refused == 0


class NoShrink:
    """The operator's webhook, as far as storage goes."""

    def __init__(self) -> None:
        self._gigabytes = 0
        self.refused = 0

    def __call__(self, body: Any) -> None:
        size = int(body["spec"]["storage"]["size"].removesuffix("Gi"))
        if size < self._gigabytes and body["metadata"]["annotations"].get("cnpg.io/validation") != "disabled":
            self.refused += 1
            raise status_error(422, "Invalid", "admission webhook denied the request: storage cannot shrink")
        self._gigabytes = size
