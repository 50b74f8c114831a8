"""What the operator's webhooks refuse and fill in."""

from typing import Any

import pytest

from postern_devcluster.apiserver.admission import default_cluster
from postern_devcluster.apiserver.kinds import CLUSTERS
from postern_devcluster.apiserver.status import ApiError

GOOD: dict[str, Any] = {"instances": 2, "storage": {"size": "1Gi"}}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"storage": {}}, "spec.storage.size"),
        ({"storage": None}, "spec.storage.size"),
        ({"storage": {"size": "much"}}, "spec.storage.size"),
        ({"imageName": "ghcr.io/cloudnative-pg/postgresql:latest"}, "spec.imageName"),
        ({"postgresql": {"parameters": {"archive_command": "true"}}}, "spec.postgresql.parameters.archive_command"),
        ({"postgresql": {"parameters": {"port": "1"}}}, "spec.postgresql.parameters.port"),
        (
            {"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}},
            "spec.resources.requests.memory",
        ),
    ],
)
def test_a_cluster_that_cannot_run_is_denied_by_the_webhook(cluster: Any, change: dict[str, Any], field: str) -> None:
    with pytest.raises(ApiError) as refused:
        cluster.create(CLUSTERS, "orders", spec={**GOOD, **change})
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    assert refused.value.message.startswith('admission webhook "vcluster.cnpg.io" denied the request: ')
    assert [cause["field"] for cause in refused.value.details["causes"]] == [field]


def test_no_instances_is_refused_by_the_schema(cluster: Any) -> None:
    with pytest.raises(ApiError) as refused:
        cluster.create(CLUSTERS, "orders", spec={**GOOD, "instances": 0})
    assert (refused.value.code, refused.value.details["causes"][0]["field"]) == (422, "spec.instances")
    assert "should be greater than or equal to 1" in refused.value.message


def test_names_have_at_most_fifty_characters(cluster: Any) -> None:
    assert cluster.create(CLUSTERS, "a" * 50, spec=GOOD)
    with pytest.raises(ApiError, match="at most 50 characters"):
        cluster.create(CLUSTERS, "a" * 51, spec=GOOD)


def test_storage_does_not_shrink_unless_validation_is_off(cluster: Any) -> None:
    cluster.create(CLUSTERS, "orders", spec={**GOOD, "storage": {"size": "2Gi"}})
    shrink = {"spec": {"storage": {"size": "1Gi"}}}
    with pytest.raises(ApiError, match="storage cannot shrink"):
        cluster.merge(CLUSTERS, "orders", shrink)
    disabled = {"metadata": {"annotations": {"cnpg.io/validation": "disabled"}}, **shrink}
    assert cluster.merge(CLUSTERS, "orders", disabled).object["spec"]["storage"]["size"] == "1Gi"


def test_the_operators_own_defaults_pass_its_own_check(cluster: Any) -> None:
    made = cluster.create(CLUSTERS, "orders", spec=GOOD)
    assert made["spec"]["postgresql"]["parameters"]["logging_collector"] == "on"
    assert cluster.merge(CLUSTERS, "orders", {"spec": {"instances": 3}}).object["spec"]["instances"] == 3


def test_filling_in_defaults_twice_changes_nothing() -> None:
    once = default_cluster({"spec": GOOD})
    assert default_cluster(once) == once
    assert once["spec"]["bootstrap"]["initdb"]["database"] == "app"
