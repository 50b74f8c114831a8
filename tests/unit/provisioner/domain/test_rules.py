"""Images, quantities, switchovers, fences, drift and addresses: tables of cases."""

from typing import Any

import pytest
from tests.unit.provisioner.commands import CLUSTER, DATABASE_ID, NAMESPACE, target

from postern_common.errors import PermanentError, TransientError
from postern_provisioner.domain.addresses import AddressMode, Endpoint, Role, endpoint_of, service_name
from postern_provisioner.domain.drift import drifted_fields
from postern_provisioner.domain.fences import check_namespace, check_writable, generation_of
from postern_provisioner.domain.images import ImageChoice, image_major, parse_tags
from postern_provisioner.domain.quantities import parse_quantity, same_quantity
from postern_provisioner.domain.switchover import MoveTo, SwitchoverDone, plan_switchover


@pytest.mark.parametrize(
    ("image", "major"),
    [
        ("ghcr.io/cloudnative-pg/postgresql:17", 17),
        ("ghcr.io/cloudnative-pg/postgresql:17.5-standard-bookworm", 17),
        ("registry:5000/postgresql:16.9@sha256:abc", 16),
        ("registry:5000/postgresql", None),
        ("postgresql:latest", None),
    ],
)
def test_the_major_is_in_the_tag(image: str, major: int | None) -> None:
    assert image_major(image) == major


def test_an_image_in_use_wins_over_the_default_of_its_major() -> None:
    choice = ImageChoice("repo/postgresql", {17: "17.5"})

    assert choice.choose(17) == "repo/postgresql:17.5"
    assert choice.choose(16) == "repo/postgresql:16"
    assert choice.choose(17, None, "old/postgresql:17.2") == "old/postgresql:17.2"
    assert choice.choose(18, "old/postgresql:17.2") == "repo/postgresql:18"


def test_pinned_tags_are_checked_at_the_start() -> None:
    assert parse_tags("16=16.9-standard-bookworm, 17=17.5") == {16: "16.9-standard-bookworm", 17: "17.5"}
    assert parse_tags("") == {}
    for wrong in ("17", "17=16.1", "x=17", "17=latest"):
        with pytest.raises(ValueError, match="begins with the major"):
            parse_tags(wrong)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1Gi", 2**30), ("10G", 10**10), ("1.5Ti", 3 * 2**39), ("1024Mi", 2**30), ("42", 42), ("1k", 1000), ("500m", 0.5)],
)
def test_sizes_compare_in_bytes(text: str, size: int) -> None:
    assert parse_quantity(text) == size


@pytest.mark.parametrize("text", ["", "Gi", "10gb", "-1Gi", "1e3", "١Gi\n"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        parse_quantity(text)


def test_amounts_are_the_same_however_they_are_written() -> None:
    assert same_quantity("1000m", "1")
    assert same_quantity("1024Mi", "1Gi")
    assert not same_quantity("1G", "1Gi")
    assert not same_quantity("x", "x")


def status(current: str | None, wanted: str | None, *healthy: str) -> dict[str, Any]:
    return {"currentPrimary": current, "targetPrimary": wanted, "instancesStatus": {"healthy": list(healthy)}}


@pytest.mark.parametrize(
    ("given", "plan"),
    [
        (status("a-1", "a-1", "a-1", "a-2", "a-3"), MoveTo("a-2")),
        (status("a-1", "a-1", "a-3", "a-1"), MoveTo("a-3")),
        (status("a-2", "a-2", "a-1", "a-2"), SwitchoverDone()),
        (status("a-1", "a-2", "a-1", "a-2"), SwitchoverDone()),
    ],
)
def test_a_switchover_goes_to_a_healthy_replica_or_has_happened(given: dict[str, Any], plan: object) -> None:
    assert plan_switchover(given, expected_primary="a-1", age_seconds=0) == plan


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (status("a-1", "a-1", "a-1"), "instances_missing"),
        (status("a-1", "a-1"), "instances_missing"),
        (status("a-1", "pending", "a-2"), "failover"),
        ({}, "instances_missing"),
    ],
)
def test_a_switchover_waits_until_somebody_can_take_over(given: dict[str, Any], code: str) -> None:
    with pytest.raises(TransientError) as waiting:
        plan_switchover(given, expected_primary="a-1", age_seconds=0)
    assert waiting.value.code == code


def test_a_switchover_is_given_up_at_its_deadline() -> None:
    with pytest.raises(PermanentError) as refused:
        plan_switchover(status("a-1", "a-1", "a-1"), expected_primary="a-1", age_seconds=601)
    assert refused.value.code == "deadline_exceeded"


def found(**changes: Any) -> dict[str, Any]:
    metadata = {
        "name": CLUSTER,
        "labels": {"postern.dev/database-id": str(DATABASE_ID), "postern.dev/installation": "me"},
        "annotations": {"postern.dev/generation": "3"},
    }
    return {"kind": "Cluster", "metadata": {**metadata, **changes}}


@pytest.mark.parametrize(
    ("live", "error", "code"),
    [
        (found(labels={}), PermanentError, "name_conflict"),
        (
            found(labels={"postern.dev/database-id": str(DATABASE_ID), "postern.dev/installation": "other"}),
            PermanentError,
            "name_conflict",
        ),
        (found(annotations={"postern.dev/generation": "4"}), PermanentError, "apply_conflict"),
        (found(deletionTimestamp="2026-01-01T00:00:00Z"), TransientError, "apply_conflict"),
    ],
)
def test_what_may_not_be_written_over(live: dict[str, Any], error: type[Exception], code: str) -> None:
    with pytest.raises(error) as refused:
        check_writable(live, target(generation=3), "me")
    assert getattr(refused.value, "code", None) == code


def owned_by(*managers: str) -> list[dict[str, Any]]:
    owned = {"f:metadata": {"f:annotations": {"f:postern.dev/generation": {}}}}
    return [{"manager": manager, "operation": "Update", "fieldsV1": owned} for manager in managers]


def test_a_newer_generation_that_somebody_else_wrote_is_an_edit_like_any_other() -> None:
    newer = {"postern.dev/generation": "99"}
    check_writable(found(annotations=newer, managedFields=owned_by("kubectl-annotate")), target(generation=3), "me")
    for ours in (owned_by("kubectl-annotate", "postern-provisioner"), owned_by("postern-provisioner"), []):
        with pytest.raises(PermanentError):
            check_writable(found(annotations=newer, managedFields=ours), target(generation=3), "me")


def test_what_may_be_written_over() -> None:
    check_writable(None, target(), "me")
    check_writable(found(), target(generation=3), "me")
    check_writable(found(annotations=None), target(generation=1), "me")


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"postern.dev/database-id": str(DATABASE_ID)},
        {"postern.dev/installation": "me"},
    ],
)
def test_an_object_of_ours_whose_labels_were_taken_away_is_still_ours(labels: dict[str, str]) -> None:
    ours = {"postern.dev/generation": "3", "postern.dev/operation-id": "one"}
    check_writable(found(labels=labels, annotations=ours), target(generation=3), "me")
    for foreign in ({"postern.dev/installation": "other"}, {"postern.dev/database-id": "other"}):
        with pytest.raises(PermanentError):
            check_writable(found(labels={**labels, **foreign}, annotations=ours), target(generation=3), "me")


@pytest.mark.parametrize("text", ["", "x", "-1", "³", "1.0"])
def test_a_generation_that_is_no_number_counts_as_none(text: str) -> None:
    assert generation_of(found(annotations={"postern.dev/generation": text})) == 0


def test_a_namespace_of_another_installation_is_left_alone() -> None:
    mine = {"metadata": {"name": NAMESPACE, "labels": {"postern.dev/installation": "me"}}}
    theirs = {"metadata": {"name": NAMESPACE, "labels": {"postern.dev/installation": "other"}}}
    prepared = {"metadata": {"name": NAMESPACE}}
    going = {"metadata": {"name": NAMESPACE}, "status": {"phase": "Terminating"}}
    for fine in (None, mine, prepared):
        check_namespace(fine, "me")
    with pytest.raises(PermanentError, match="name_conflict"):
        check_namespace(theirs, "me")
    with pytest.raises(TransientError, match="namespace_terminating"):
        check_namespace(going, "me")


@pytest.mark.parametrize(
    ("wanted", "live", "paths"),
    [
        ({"spec": {"a": 1}}, {"spec": {"a": 1, "b": 2}, "status": {}}, []),
        ({"spec": {"a": 1}}, {"spec": {"a": 2}}, ["spec.a"]),
        ({"spec": {"a": 1}}, {"spec": {}}, ["spec.a"]),
        ({"spec": {"a": {"b": 1}}}, {"spec": {"a": None}}, ["spec.a"]),
        ({"spec": {"l": [1, 2]}}, {"spec": {"l": [1, 2, 3]}}, ["spec.l"]),
        ({"spec": {"l": [{"x": 1}]}}, {"spec": {"l": [{"x": 1, "defaulted": True}]}}, []),
        ({"spec": {"l": [{"x": 1}]}}, {"spec": {"l": [{"x": 2}]}}, ["spec.l[0].x"]),
        ({"spec": {"empty": {}, "none": []}}, {"spec": {}}, []),
        ({"spec": {"off": False}}, {"spec": {}}, ["spec.off"]),
        ({"spec": {"resources": {"cpu": "1000m"}}}, {"spec": {"resources": {"cpu": "1"}}}, []),
        ({"spec": {"storage": {"size": "1Gi"}}}, {"spec": {"storage": {"size": "2Gi"}}}, ["spec.storage.size"]),
        ({"spec": {"zero": 0}}, {"spec": {}}, ["spec.zero"]),
    ],
)
def test_drift_is_what_we_set_and_find_otherwise(wanted: Any, live: Any, paths: list[str]) -> None:
    assert drifted_fields(wanted, live) == paths


def test_drift_is_told_up_to_a_limit() -> None:
    assert len(drifted_fields({str(n): n for n in range(1, 50)}, {}, limit=3)) == 3


def service(**parts: Any) -> dict[str, Any]:
    metadata = {"name": f"{CLUSTER}-rw", "namespace": NAMESPACE, "annotations": parts.pop("annotations", None)}
    return {"metadata": metadata, **parts}


@pytest.mark.parametrize(
    ("mode", "given", "endpoint"),
    [
        (AddressMode.SERVICE_DNS, service(), ("cluster", f"{CLUSTER}-rw.{NAMESPACE}.svc", 5432)),
        (AddressMode.CLUSTER_IP, service(spec={"clusterIP": "10.1.2.3"}), ("cluster", "10.1.2.3", 5432)),
        (AddressMode.CLUSTER_IP, service(spec={"clusterIP": "None"}), None),
        (AddressMode.CLUSTER_IP, service(), None),
        (
            AddressMode.LOAD_BALANCER,
            service(status={"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}),
            ("external", "203.0.113.7", 5432),
        ),
        (
            AddressMode.LOAD_BALANCER,
            service(status={"loadBalancer": {"ingress": [{"hostname": "lb.example.org"}]}}),
            ("external", "lb.example.org", 5432),
        ),
        (AddressMode.LOAD_BALANCER, service(status={"loadBalancer": {}}), None),
        (
            AddressMode.DEVELOPMENT,
            service(annotations={"postern.dev/dev-address": "127.4.5.6:5432"}),
            ("external", "127.4.5.6", 5432),
        ),
        (AddressMode.DEVELOPMENT, service(annotations={"postern.dev/dev-address": "nonsense"}), None),
        (AddressMode.DEVELOPMENT, service(), None),
    ],
)
def test_an_address_is_what_the_installation_hands_out(
    mode: AddressMode, given: dict[str, Any], endpoint: tuple[str, str, int] | None
) -> None:
    wanted = None if endpoint is None else Endpoint(Role.PRIMARY, *endpoint)
    assert endpoint_of(given, Role.PRIMARY, mode) == wanted


def test_services_are_the_operators_own_except_load_balancers() -> None:
    assert service_name("c", Role.REPLICAS, AddressMode.SERVICE_DNS) == "c-ro"
    assert service_name("c", Role.PRIMARY, AddressMode.LOAD_BALANCER) == "c-rw-lb"
