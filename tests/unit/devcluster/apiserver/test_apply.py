"""Server-side apply: ownership, conflicts, removal, and the errors of a typed patch."""

from typing import Any

import pytest

from postern_devcluster.apiserver.apply.paths import compare, describe, field_set, from_fields_v1, to_fields_v1
from postern_devcluster.apiserver.kinds import BY_NAME, CLUSTERS, SERVICES
from postern_devcluster.apiserver.schemas import schema_of
from postern_devcluster.apiserver.status import ApiError

SPEC = {"instances": 2, "storage": {"size": "1Gi"}}


def managers(body: dict[str, Any]) -> list[tuple[str, str, str]]:
    entries = body["metadata"]["managedFields"]
    return [(entry["manager"], entry["operation"], entry.get("subresource", "")) for entry in entries]


def test_apply_creates_and_owns_exactly_what_it_said(cluster: Any) -> None:
    made = cluster.apply(CLUSTERS, "orders", {"spec": SPEC})
    assert made.created
    [entry] = made.object["metadata"]["managedFields"]
    assert entry["fieldsV1"] == {"f:spec": {"f:instances": {}, "f:storage": {"f:size": {}}}}
    assert made.object["spec"]["enablePDB"] is True  # a default, owned by nobody


def test_applying_the_same_again_changes_nothing(cluster: Any) -> None:
    first = cluster.apply(CLUSTERS, "orders", {"spec": SPEC}).object
    assert cluster.apply(CLUSTERS, "orders", {"spec": SPEC}).object == first


def test_another_manager_conflicts_unless_it_forces(cluster: Any) -> None:
    cluster.apply(CLUSTERS, "orders", {"spec": SPEC})
    with pytest.raises(ApiError) as refused:
        cluster.apply(CLUSTERS, "orders", {"spec": {"instances": 3}}, manager="b")
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    assert refused.value.details["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "a"', "field": ".spec.instances"}
    ]
    forced = cluster.apply(CLUSTERS, "orders", {"spec": {"instances": 3}}, manager="b", force=True).object
    owned = {entry["manager"]: entry["fieldsV1"] for entry in forced["metadata"]["managedFields"]}
    assert owned == {"a": {"f:spec": {"f:storage": {"f:size": {}}}}, "b": {"f:spec": {"f:instances": {}}}}


def test_the_same_value_is_shared_without_a_conflict(cluster: Any) -> None:
    cluster.apply(CLUSTERS, "orders", {"spec": SPEC})
    shared = cluster.apply(CLUSTERS, "orders", {"spec": {"instances": 2}}, manager="b").object
    assert [manager for manager, _, _ in managers(shared)] == ["a", "b"]


def test_a_field_no_longer_applied_goes_when_nobody_else_owns_it(cluster: Any) -> None:
    parameters = {"postgresql": {"parameters": {"work_mem": "8MB", "jit": "off"}}}
    cluster.apply(CLUSTERS, "orders", {"spec": {**SPEC, **parameters, "description": "x"}})
    cluster.apply(CLUSTERS, "orders", {"spec": {"postgresql": {"parameters": {"jit": "off"}}}}, manager="b")
    left = cluster.apply(CLUSTERS, "orders", {"spec": SPEC}).object["spec"]
    assert "description" not in left
    assert "work_mem" not in left["postgresql"]["parameters"]
    assert left["postgresql"]["parameters"]["jit"] == "off"


def test_an_annotation_no_longer_applied_goes_and_others_stay(cluster: Any) -> None:
    def wanted(*names: str) -> dict[str, Any]:
        return {"metadata": {"name": "orders", "annotations": dict.fromkeys(names, "1")}, "spec": SPEC}

    cluster.apply(CLUSTERS, "orders", wanted("mine", "kept"))
    cluster.merge(CLUSTERS, "orders", {"metadata": {"annotations": {"theirs": "1"}}})
    left = cluster.apply(CLUSTERS, "orders", wanted("kept")).object
    assert left["metadata"]["annotations"] == {"kept": "1", "theirs": "1"}


def test_a_plain_write_takes_over_the_fields_it_changes(cluster: Any) -> None:
    cluster.apply(CLUSTERS, "orders", {"spec": SPEC})
    cluster.merge(CLUSTERS, "orders", {"spec": {"instances": 3}}, manager="kubectl")
    with pytest.raises(ApiError) as refused:
        cluster.apply(CLUSTERS, "orders", {"spec": SPEC})
    assert '"kubectl" using postgresql.cnpg.io/v1 at ' in refused.value.message


def test_status_writes_are_owned_apart(cluster: Any) -> None:
    cluster.apply(CLUSTERS, "orders", {"spec": SPEC})
    left = cluster.merge(CLUSTERS, "orders", {"status": {"phase": "x"}}, subresource="status", manager="op").object
    assert managers(left) == [("a", "Apply", ""), ("op", "Update", "status")]
    again = cluster.apply(CLUSTERS, "orders", {"spec": {**SPEC, "instances": 1}}).object
    assert again["status"] == {"phase": "x"}


def test_items_of_keyed_lists_merge(cluster: Any) -> None:
    cluster.apply(SERVICES, "rw", {"spec": {"ports": [{"port": 1, "name": "a"}]}})
    both = cluster.apply(SERVICES, "rw", {"spec": {"ports": [{"port": 2, "name": "b"}]}}, manager="b").object
    assert [port["port"] for port in both["spec"]["ports"]] == [1, 2]
    one = cluster.apply(SERVICES, "rw", {"spec": {"ports": []}}, manager="a").object
    assert [port["port"] for port in one["spec"]["ports"]] == [2]


def test_an_undeclared_field_is_an_internal_error_without_reason(cluster: Any) -> None:
    with pytest.raises(ApiError) as refused:
        cluster.apply(CLUSTERS, "orders", {"spec": {**SPEC, "xyz": 1}})
    assert (refused.value.code, refused.value.reason) == (500, "")
    assert refused.value.message == (
        "failed to create typed patch object (acme/orders; postgresql.cnpg.io/v1, Kind=Cluster): "
        ".spec.xyz: field not declared in schema"
    )


def test_apply_needs_a_manager_and_no_managed_fields(cluster: Any) -> None:
    with pytest.raises(ApiError) as unnamed:
        cluster.apply(CLUSTERS, "orders", {"spec": SPEC}, manager="")
    assert unnamed.value.code == 422
    with pytest.raises(ApiError, match="managedFields must be nil"):
        cluster.apply(CLUSTERS, "orders", {"metadata": {"name": "orders", "managedFields": [{}]}, "spec": SPEC})


def test_field_sets_survive_their_json_form() -> None:
    pod = {"spec": {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}], "args": ["x"]}]}}
    paths = field_set(pod, schema_of(BY_NAME["pods"]))
    tree = to_fields_v1(paths)
    assert tree["f:spec"]["f:containers"]['k:{"name":"a"}']["f:env"]['k:{"name":"X"}']["f:value"] == {}
    assert from_fields_v1(tree) == paths


def test_paths_read_as_messages_show_them() -> None:
    schema = schema_of(BY_NAME["pods"])
    old = {"spec": {"containers": [{"name": "a", "image": "x"}]}}
    new = {"spec": {"containers": [{"name": "a", "image": "y"}]}}
    [path] = compare(old, new, schema).modified
    assert describe(path) == '.spec.containers[name="a"].image'
