"""Create, update and patch as clients of the API see them."""

from typing import Any

import pytest

from postern_devcluster.apiserver.kinds import BY_NAME, CLUSTERS, LEASES, NAMESPACES, SECRETS, SERVICES, STORAGE_CLASSES
from postern_devcluster.apiserver.status import ApiError
from postern_devcluster.apiserver.writes import JSON, STRATEGIC, Target, WriteOptions

SPEC = {"instances": 2, "storage": {"size": "1Gi"}}


def test_a_new_object_has_identity_and_first_generation(cluster: Any) -> None:
    made = cluster.create(CLUSTERS, "orders", spec=SPEC)
    metadata = made["metadata"]
    assert metadata["uid"]
    assert metadata["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert metadata["generation"] == 1
    assert metadata["resourceVersion"] == str(cluster.store.version)


def test_a_new_object_cannot_bring_its_status(cluster: Any) -> None:
    assert "status" not in cluster.create(CLUSTERS, "orders", spec=SPEC, status={"phase": "x"})


def test_generation_counts_changes_of_the_spec_only(cluster: Any) -> None:
    cluster.create(CLUSTERS, "orders", spec=SPEC)
    labelled = cluster.merge(CLUSTERS, "orders", {"metadata": {"labels": {"a": "b"}}}).object
    reported = cluster.merge(CLUSTERS, "orders", {"status": {"phase": "x"}}, subresource="status").object
    scaled = cluster.merge(CLUSTERS, "orders", {"spec": {"instances": 3}}).object
    assert [each["metadata"]["generation"] for each in (labelled, reported, scaled)] == [1, 1, 2]


def test_status_is_written_only_through_its_subresource(cluster: Any) -> None:
    cluster.create(CLUSTERS, "orders", spec=SPEC)
    cluster.merge(CLUSTERS, "orders", {"status": {"phase": "ignored"}})
    assert "status" not in cluster.get(CLUSTERS, "orders")
    patch = {"status": {"phase": "x"}, "spec": {"instances": 9}, "metadata": {"annotations": {"a": "b"}}}
    cluster.merge(CLUSTERS, "orders", patch, subresource="status")
    left = cluster.get(CLUSTERS, "orders")
    assert left["status"] == {"phase": "x"}
    assert left["spec"]["instances"] == 2
    assert "annotations" not in left["metadata"]


def test_a_write_that_changes_nothing_keeps_the_version_and_makes_no_event(cluster: Any) -> None:
    made = cluster.create(CLUSTERS, "orders", spec=SPEC)
    before = cluster.store.version
    cluster.update(CLUSTERS, made)
    cluster.merge(CLUSTERS, "orders", {"spec": {"instances": 2}})
    assert cluster.store.version == before


def test_a_stale_version_is_a_conflict(cluster: Any) -> None:
    made = cluster.create(CLUSTERS, "orders", spec=SPEC)
    cluster.merge(CLUSTERS, "orders", {"metadata": {"labels": {"a": "b"}}})
    for write in (
        lambda: cluster.update(CLUSTERS, made),
        lambda: cluster.merge(CLUSTERS, "orders", {"metadata": {"resourceVersion": "1"}, "spec": {"instances": 3}}),
        lambda: cluster.apply(CLUSTERS, "orders", {"metadata": {"name": "orders", "resourceVersion": "1"}}),
    ):
        with pytest.raises(ApiError) as refused:
            write()
        assert (refused.value.code, refused.value.reason) == (409, "Conflict")
        assert "the object has been modified" in refused.value.message


def test_a_foreign_uid_is_a_conflict(cluster: Any) -> None:
    cluster.create(CLUSTERS, "orders", spec=SPEC)
    with pytest.raises(ApiError, match="UID in precondition: other"):
        cluster.merge(CLUSTERS, "orders", {"metadata": {"uid": "other"}})


def test_a_custom_object_is_not_replaced_without_its_version(cluster: Any) -> None:
    made = cluster.create(CLUSTERS, "orders", spec=SPEC)
    del made["metadata"]["resourceVersion"]
    with pytest.raises(ApiError) as refused:
        cluster.update(CLUSTERS, made)
    assert (refused.value.code, refused.value.details["causes"][0]["field"]) == (422, "metadata.resourceVersion")


def test_an_existing_name_is_refused(cluster: Any) -> None:
    cluster.create(SECRETS, "s")
    with pytest.raises(ApiError) as refused:
        cluster.create(SECRETS, "s")
    assert (refused.value.code, refused.value.reason) == (409, "AlreadyExists")
    assert refused.value.message == 'secrets "s" already exists'


def test_names_are_generated_from_a_prefix(cluster: Any) -> None:
    made = cluster.writer.create(Target(SECRETS, "acme"), {"metadata": {"generateName": "s-"}}, WriteOptions()).object
    assert made["metadata"]["name"].startswith("s-")
    assert len(made["metadata"]["name"]) == 7


def test_a_missing_namespace_is_not_found_and_one_that_goes_is_forbidden(cluster: Any) -> None:
    with pytest.raises(ApiError) as missing:
        cluster.create(SECRETS, "s", namespace="other")
    assert (missing.value.code, missing.value.message) == (404, 'namespaces "other" not found')
    cluster.delete(NAMESPACES, "acme")
    with pytest.raises(ApiError) as going:
        cluster.create(SECRETS, "s")
    assert (going.value.code, going.value.reason) == (403, "Forbidden")
    assert going.value.details["causes"][0]["reason"] == "NamespaceTerminating"


@pytest.mark.parametrize("name", ["Upper", "a_b", "-a", "a" * 254])
def test_bad_names_are_invalid(cluster: Any, name: str) -> None:
    with pytest.raises(ApiError) as refused:
        cluster.create(SECRETS, name)
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    assert refused.value.details["causes"][0]["field"] == "metadata.name"


def test_dry_run_answers_and_stores_nothing(cluster: Any) -> None:
    before = cluster.store.version
    target = Target(CLUSTERS, "acme")
    made = cluster.writer.create(target, {"metadata": {"name": "x"}, "spec": SPEC}, WriteOptions(dry_run=True))
    assert made.created
    assert cluster.get(CLUSTERS, "x") is None
    assert cluster.store.version == before


def test_unknown_fields_are_dropped_with_a_warning_or_refused_when_strict(cluster: Any) -> None:
    options = WriteOptions()
    body = {"metadata": {"name": "x"}, "spec": {**SPEC, "bogus": 1}}
    made = cluster.writer.create(Target(CLUSTERS, "acme"), body, options).object
    assert "bogus" not in made["spec"]
    assert options.warnings == ['unknown field "spec.bogus"']
    with pytest.raises(ApiError) as refused:
        cluster.merge(CLUSTERS, "x", {"spec": {"bogus": 1}}, field_validation="Strict")
    assert (refused.value.code, refused.value.message) == (400, 'strict decoding error: unknown field "spec.bogus"')


def test_a_wrong_type_names_its_field(cluster: Any) -> None:
    with pytest.raises(ApiError) as refused:
        cluster.create(CLUSTERS, "x", spec={**SPEC, "instances": "two"})
    assert (refused.value.code, refused.value.details["causes"][0]["field"]) == (422, "spec.instances")


def test_string_data_of_a_secret_becomes_data(cluster: Any) -> None:
    made = cluster.create(SECRETS, "s", stringData={"password": "x"})
    assert (made["data"], made["type"]) == ({"password": "eA=="}, "Opaque")
    assert "stringData" not in made


def test_a_service_gets_an_address_and_keeps_it(cluster: Any) -> None:
    made = cluster.create(SERVICES, "rw", spec={"ports": [{"port": 5432}]})
    address = made["spec"]["clusterIP"]
    assert address.startswith("10.96.")
    assert made["spec"]["ports"] == [{"protocol": "TCP", "targetPort": 5432, "port": 5432}]
    replaced = {"metadata": made["metadata"], "spec": {"ports": [{"port": 1}]}}
    assert cluster.update(SERVICES, replaced).object["spec"]["clusterIP"] == address
    assert cluster.create(SERVICES, "ro", spec={"ports": [{"port": 5432}]})["spec"]["clusterIP"] != address


def test_a_claim_grows_only_where_its_class_allows_it_and_never_shrinks(cluster: Any) -> None:
    claims = BY_NAME["persistentvolumeclaims"]
    cluster.create(STORAGE_CLASSES, "fixed", allowVolumeExpansion=False)
    cluster.create(STORAGE_CLASSES, "elastic", allowVolumeExpansion=True)
    for name in ("fixed", "elastic"):
        spec = {"storageClassName": name, "resources": {"requests": {"storage": "1Gi"}}}
        cluster.create(claims, name, spec=spec)
    grown = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    assert cluster.merge(claims, "elastic", grown).object["spec"]["resources"]["requests"] == {"storage": "2Gi"}
    with pytest.raises(ApiError) as refused:
        cluster.merge(claims, "fixed", grown)
    assert (refused.value.code, refused.value.reason) == (403, "Forbidden")
    with pytest.raises(ApiError) as shrunk:
        cluster.merge(claims, "elastic", {"spec": {"resources": {"requests": {"storage": "1Gi"}}}})
    assert shrunk.value.code == 422


def test_json_patch_and_strategic_merge_change_what_they_name(cluster: Any) -> None:
    cluster.create(SERVICES, "rw", spec={"ports": [{"port": 1, "name": "a"}]})
    target = Target(SERVICES, "acme", "rw")
    cluster.writer.patch(target, STRATEGIC, {"spec": {"ports": [{"port": 2, "name": "b"}]}}, WriteOptions())
    operations = [{"op": "replace", "path": "/spec/ports/0/name", "value": "c"}]
    left = cluster.writer.patch(target, JSON, operations, WriteOptions()).object
    assert [(port["port"], port["name"]) for port in left["spec"]["ports"]] == [(1, "c"), (2, "b")]


def test_custom_objects_take_no_strategic_merge(cluster: Any) -> None:
    cluster.create(CLUSTERS, "orders", spec=SPEC)
    with pytest.raises(ApiError) as refused:
        cluster.writer.patch(Target(CLUSTERS, "acme", "orders"), STRATEGIC, {}, WriteOptions())
    assert refused.value.code == 415


def test_a_lease_needs_its_version_to_be_replaced(cluster: Any) -> None:
    made = cluster.create(LEASES, "leader", spec={"holderIdentity": "a"})
    stale = {**made, "spec": {"holderIdentity": "b"}}
    cluster.update(LEASES, stale)
    with pytest.raises(ApiError, match="has been modified"):
        cluster.update(LEASES, stale)
