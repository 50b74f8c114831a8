"""What clients find out about the server."""

from typing import Any

import msgspec
import pytest

from postern_devcluster.apiserver.discovery import _document, serves
from postern_devcluster.apiserver.kinds import KINDS, Kind
from postern_devcluster.main import parse_arguments


def document(path: str) -> Any:
    raw = _document(path)
    return None if raw is None else msgspec.json.decode(raw)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_every_kind_is_discoverable(kind: Kind) -> None:
    path = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    names = {entry["name"]: entry for entry in document(path)["resources"]}
    assert names[kind.plural]["kind"] == kind.kind
    assert (f"{kind.plural}/status" in names) is kind.status


def test_groups_that_are_not_there_are_not_found() -> None:
    assert document("/apis/monitoring.coreos.com/v1") is None
    assert document("/apis/monitoring.coreos.com") is None
    assert "monitoring.coreos.com" not in {group["name"] for group in document("/apis")["groups"]}


def test_openapi_says_that_the_server_validates_fields() -> None:
    paths = document("/openapi/v3/apis/postgresql.cnpg.io/v1")["paths"]
    patch = paths["/apis/postgresql.cnpg.io/v1/namespaces/{namespace}/clusters/{name}"]["patch"]
    assert "fieldValidation" in {parameter["name"] for parameter in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"]["kind"] == "Cluster"


def test_resources_are_not_discovery() -> None:
    assert serves("/apis/apps/v1")
    assert not serves("/apis/apps/v1/deployments")
    assert not serves("/api/v1/pods")


def test_the_command_line_has_the_documented_switches() -> None:
    options = parse_arguments(["serve", "--state-dir", "x", "--no-operator", "--no-postgres", "--port", "7"])
    assert (options.operator, options.run_postgres, options.api.port, options.api.rights) == (False, False, 7, True)
    assert options.api.state_dir.is_absolute()
