"""What kubectl prints."""

from datetime import UTC, datetime, timedelta

import pytest

from postern_devcluster.apiserver.columns import age_of, columns_of
from postern_devcluster.apiserver.kinds import BY_NAME, CLUSTERS, KINDS, PODS
from postern_devcluster.apiserver.rendering import Renderer
from postern_devcluster.apiserver.status import ApiError
from postern_devcluster.apiserver.tables import build_table

NOW = datetime(2026, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (5, "5s"),
        (119, "119s"),
        (125, "2m5s"),
        (600, "10m"),
        (4 * 3600 + 60, "4h1m"),
        (30 * 3600, "30h"),
        (3 * 86400, "3d"),
        (20 * 86400, "20d"),
    ],
)
def test_ages_are_shown_as_kubectl_shows_them(seconds: int, shown: str) -> None:
    assert age_of((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == shown


def test_a_cluster_shows_the_operators_columns() -> None:
    status = {"instances": 2, "readyInstances": 1, "phase": "Creating a new replica", "currentPrimary": "pg1-1"}
    body = {"metadata": {"name": "pg1"}, "status": status}
    table = build_table(CLUSTERS, [body], {"resourceVersion": "1"}, include="None")
    assert [column["name"] for column in table["columnDefinitions"]] == [
        "Name",
        "Age",
        "Instances",
        "Ready",
        "Status",
        "Primary",
    ]
    assert table["rows"][0]["cells"] == ["pg1", "<unknown>", 2, 1, "Creating a new replica", "pg1-1"]


def test_a_pod_shows_why_it_waits() -> None:
    waiting = {"ready": False, "restartCount": 3, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    pod = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c"}]},
        "status": {"phase": "Pending", "containerStatuses": [waiting]},
    }
    cells = build_table(PODS, [pod], {}, include="None")["rows"][0]["cells"]
    assert cells[:4] == ["p", "0/1", "ImagePullBackOff", "3"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_every_kind_prints_a_bare_object(kind: object) -> None:
    body = {"metadata": {"name": "x"}, "spec": {}}
    for column in columns_of(kind):  # type: ignore[arg-type]
        column.cell(body)


def test_the_form_follows_accept() -> None:
    table = "application/json;as=Table;v={};g=meta.k8s.io"
    kubectl = f"{table.format('v1')},{table.format('v1beta1')},application/json"
    assert Renderer.of(PODS, kubectl, {}).form == "table"
    assert Renderer.of(PODS, "application/json, */*", {}).form == "plain"
    assert Renderer.of(PODS, "application/vnd.kubernetes.protobuf, application/json", {}).form == "plain"
    metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    assert Renderer.of(BY_NAME["secrets"], metadata, {}).form == "metadata"
    with pytest.raises(ApiError) as refused:
        Renderer.of(PODS, "text/html", {})
    assert refused.value.code == 406
