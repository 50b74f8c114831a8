"""Small rules of the operator: quantities, images, obstacles, conditions, counts, objects."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from tests.unit.devcluster.operator.test_plan import SPEC

from postern_devcluster.operator.domain import phases
from postern_devcluster.operator.domain.admission import find_obstacle
from postern_devcluster.operator.domain.counts import grows, set_counts
from postern_devcluster.operator.domain.images import major_of, pullable
from postern_devcluster.operator.domain.manifests import (
    app_credentials,
    bound,
    budgets,
    build_claim,
    build_secret,
    build_service,
    secret_text,
)
from postern_devcluster.operator.domain.pods import ContainerState, build_pod, same_resources, scheduled_status
from postern_devcluster.operator.domain.quantities import parse_quantity
from postern_devcluster.operator.domain.spec import read_spec
from postern_devcluster.operator.runtime import Instance

NOW = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1Gi", 2**30), ("1024Mi", 2**30), ("2", 2), ("500m", Fraction(1, 2)), ("1.5Gi", 3 * 2**29), ("10M", 10**7)],
)
def test_quantities_compare_by_value(text: str, value: Fraction) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize("text", ["", "Gi", "one", "1Zi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("image", "runs"),
    [
        ("ghcr.io/cloudnative-pg/postgresql:17.11-system-trixie", True),
        ("ghcr.io/cloudnative-pg/postgresql:17", True),
        ("localhost:5000/postgresql:17.2-minimal-bookworm", True),
        ("ghcr.io/cloudnative-pg/postgresql:17.9-nope", False),
        ("ghcr.io/cloudnative-pg/postgresql:18.0", False),
        ("ghcr.io/cloudnative-pg/postgresql", False),
        ("ghcr.io/cloudnative-pg/postgresql:latest", False),
    ],
)
def test_an_image_can_be_pulled_when_its_version_is_installed(image: str, runs: bool) -> None:
    assert pullable(image, [15, 17]) is runs


def test_the_tag_names_the_major_version_even_of_a_missing_image() -> None:
    assert major_of("ghcr.io/cloudnative-pg/postgresql:16.9-nope") == 16


def obstacle(**changes: Any) -> str | None:
    given = {"majors": [17], "class_exists": True, "allocatable_memory": Fraction(2**33)}
    spec = replace(SPEC, **changes.pop("spec", {}))
    found = find_obstacle(spec, **{**given, **changes})
    return None if found is None else found.kind


def test_obstacles_are_met_in_the_order_of_kubernetes() -> None:
    memory = {"resources": {"requests": {"memory": "9Gi"}}}
    assert obstacle() is None
    assert obstacle(class_exists=False, spec=memory) == "storage"
    assert obstacle(spec=memory, majors=[]) == "memory"
    assert obstacle(majors=[15]) == "image"
    assert obstacle(spec={"resources": {"limits": {"memory": "20Mi"}}}) == "killed"
    assert obstacle(spec={"resources": {"limits": {"memory": "128Mi"}}}) is None


def test_ready_never_says_more_than_that_the_phase_is_healthy() -> None:
    status: dict[str, Any] = {}
    phases.set_phase(status, phases.WAITING, phases.WAITING_REASON, now=NOW)
    assert phases.condition_of(status, "Ready") == {
        "type": "Ready",
        "status": "False",
        "reason": "ClusterIsNotReady",
        "message": "Cluster Is Not Ready",
        "lastTransitionTime": NOW,
    }
    phases.set_phase(status, phases.HEALTHY, None, now="later")
    ready = phases.condition_of(status, "Ready")
    assert ready is not None
    assert (ready["status"], ready["lastTransitionTime"]) == ("True", "later")
    assert "phaseReason" not in status


def test_a_conditions_time_moves_only_with_its_status() -> None:
    status: dict[str, Any] = {}
    phases.set_condition(status, "Ready", "ClusterIsReady", holds=True, now=NOW)
    before = dict(status["conditions"][0])
    phases.set_condition(status, "Ready", "ClusterIsReady", holds=True, now="later")
    assert status["conditions"] == [before]


def test_counts_are_those_of_a_cluster_in_the_middle_of_a_failover() -> None:
    claims = {name: claim(name) for name in ("pg-1", "pg-2", "pg-3")}
    servers = {
        "pg-1": Instance("pg-1", "127.64.0.1", has_data=True),
        "pg-2": Instance("pg-2", "127.64.0.2", has_data=True, running=True, ready=True, standby=True, system_id="7"),
        "pg-3": Instance("pg-3", "127.64.0.3", has_data=True, running=True, standby=True),
    }
    status: dict[str, Any] = {"currentPrimary": "pg-1", "timelineID": 1, "conditions": []}
    pods: dict[str, Any] = {"pg-2": {}, "pg-3": {}}
    set_counts(status, claims=claims, pods=pods, servers=servers, now=NOW)
    assert status["instances"] == 3
    assert status["readyInstances"] == 1
    assert status["instancesStatus"] == {"healthy": ["pg-2"], "replicating": ["pg-3"]}
    assert status["healthyPVC"] == ["pg-2", "pg-3"]
    assert status["danglingPVC"] == ["pg-1"]
    assert status["timelineID"] == 1
    assert "resizingPVC" not in status


def test_what_would_be_empty_is_absent() -> None:
    status: dict[str, Any] = {"readyInstances": 2, "instancesStatus": {"healthy": ["pg-1"]}, "healthyPVC": ["pg-1"]}
    set_counts(status, claims={"pg-1": claim("pg-1")}, pods={}, servers={}, now=NOW)
    assert not {"readyInstances", "instancesStatus", "healthyPVC"} & set(status)


def test_a_claim_is_resizing_until_its_capacity_follows() -> None:
    item = claim("pg-1")
    assert not grows(item)
    item["spec"]["resources"]["requests"]["storage"] = "2Gi"
    assert grows(item)
    assert not grows({**item, "status": bound(item)})


def test_a_service_says_where_it_answers_on_this_machine() -> None:
    service = build_service(SPEC, "ro", "127.64.0.9")
    assert service["metadata"]["name"] == "pg-ro"
    assert service["metadata"]["annotations"]["postern.dev/dev-address"] == "127.64.0.9:5432"
    assert service["spec"]["selector"] == {"cnpg.io/cluster": "pg", "cnpg.io/instanceRole": "replica"}


def test_the_application_secret_holds_composed_addresses() -> None:
    secret = build_secret(SPEC, "pg-app", "kubernetes.io/basic-auth", app_credentials(SPEC, "s3cret"))
    assert secret_text(secret, "uri") == "postgresql://app:s3cret@pg-rw.team:5432/app"
    assert secret_text(secret, "missing") == ""


def test_replicas_have_a_disruption_budget_from_three_instances_on() -> None:
    assert set(budgets(SPEC)) == {"pg-primary"}
    assert budgets(replace(SPEC, instances=3))["pg"]["spec"]["minAvailable"] == 1
    assert budgets(replace(SPEC, budget=False)) == {}


def test_a_pod_carries_the_handled_restart_and_its_log() -> None:
    pod = build_pod(replace(SPEC, restarted_at="now"), "pg-1", role="primary", log_file="/state/logs/pg-1.log")
    annotations = pod["metadata"]["annotations"]
    assert annotations["kubectl.kubernetes.io/restartedAt"] == "now"
    assert annotations["postern.dev/dev-log-file"] == "/state/logs/pg-1.log"


def test_requests_that_were_defaulted_from_limits_are_no_difference() -> None:
    spec = replace(SPEC, resources={"limits": {"memory": "1Gi"}})
    pod = build_pod(spec, "pg-1", role=None, log_file=None)
    pod["spec"]["containers"][0]["resources"]["requests"] = {"memory": "1Gi"}
    assert same_resources(pod, spec)
    assert not same_resources(pod, replace(SPEC, resources={"limits": {"memory": "2Gi"}}))


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        (ContainerState("waiting", reason="PodInitializing"), "Pending"),
        (ContainerState("running", ready=True), "Running"),
        (ContainerState("waiting", reason="CrashLoopBackOff", restarts=2), "Running"),
    ],
)
def test_a_pods_phase_follows_its_container(state: ContainerState, phase: str) -> None:
    pod = build_pod(SPEC, "pg-1", role=None, log_file=None)
    assert scheduled_status(pod, state, address="127.64.0.1", now=NOW)["phase"] == phase


def test_the_data_keep_their_major_version_when_the_image_moves_on() -> None:
    cluster = {
        "metadata": {"namespace": "team", "name": "pg", "uid": "u"},
        "spec": {"instances": 3},
        "status": {"pgDataImageInfo": {"majorVersion": 16}},
    }
    spec = read_spec(cluster, "image:17", 17)
    assert (spec.major, spec.settings.major, spec.instances, spec.database) == (17, 16, 3, "app")


def claim(name: str) -> dict[str, Any]:
    item = build_claim(SPEC, name, "standard")
    item["metadata"]["annotations"]["cnpg.io/pvcStatus"] = "ready"
    return {**item, "status": bound(item)}
