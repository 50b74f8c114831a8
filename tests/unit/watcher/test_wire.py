"""Kubernetes' JSON becomes facts, however sparse or odd it is."""

import json
from typing import Any

import pytest

from postern_watcher.domain.facts import ClusterFacts, PodFacts, VolumeFacts
from postern_watcher.storage.wire import decode_cluster, decode_pod, decode_volume, decode_warning

WHOLE = {
    "labels": {f"postern.dev/{name}": "x" for name in ("project", "project-id", "database", "database-id")},
    "annotations": {"cnpg.io/hibernation": "off", "postern.dev/generation": "1"},
}
"""What every Cluster of ours carries."""


def raw(**content: Any) -> bytes:
    return json.dumps(content).encode()


def cluster_of(**content: Any) -> ClusterFacts:
    meta = {"name": "orders-1a2b3c", "namespace": "postern-acme", "uid": "u", **content.pop("metadata", {})}
    return decode_cluster(raw(metadata=meta, **content))


def pod_of(metadata: dict[str, Any] | None = None, **content: Any) -> PodFacts:
    meta = {"name": "orders-1a2b3c-1", "namespace": "postern-acme", "labels": {"cnpg.io/cluster": "orders-1a2b3c"}}
    owned = decode_pod(raw(metadata={**meta, **(metadata or {})}, **content))
    assert (owned.namespace, owned.cluster) == ("postern-acme", "orders-1a2b3c")
    assert isinstance(owned.facts, PodFacts)
    return owned.facts


def test_a_cluster_that_was_just_created_has_no_status() -> None:
    facts = cluster_of(spec={"instances": 3})
    assert (facts.instances, facts.phase, facts.ready_instances, facts.hibernated) == (3, "", 0, None)


def test_null_members_are_absent_ones() -> None:
    facts = cluster_of(
        metadata={"labels": None, "annotations": None, "managedFields": None},
        spec={"storage": None, "resources": None},
        status={"instancesStatus": None, "conditions": None, "pgDataImageInfo": None},
    )
    assert (facts.generation, facts.storage, facts.healthy, facts.major) == (0, None, (), None)


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "9" * 40, "１"])
def test_a_generation_that_is_no_number_is_none(text: str) -> None:
    assert cluster_of(metadata={"annotations": {"postern.dev/generation": text}}).generation == 0


def test_quantities_may_be_numbers() -> None:
    facts = cluster_of(spec={"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "storage": {"size": 1073741824}})
    assert facts.resources == {"limits.cpu": "1", "limits.memory": "1Gi"}
    assert facts.storage == "1073741824"


def test_parameters_and_reloads_change_the_hidden_part_and_nothing_else_does() -> None:
    spec = {"postgresql": {"parameters": {"work_mem": "8MB"}}}
    plain = cluster_of(spec=spec)
    assert cluster_of(spec={**spec, "instances": 5}, status={"phase": "x"}).hidden == plain.hidden
    assert cluster_of(spec={"postgresql": {"parameters": {"work_mem": "9MB"}}}).hidden != plain.hidden
    reloaded = cluster_of(spec=spec, metadata={"annotations": {"cnpg.io/reloadedAt": "now"}})
    assert reloaded.hidden != plain.hidden
    assert reloaded.marks != plain.marks
    assert cluster_of(spec=spec, metadata={"labels": {"postern.dev/database": "orders"}}).marks != plain.marks


def test_the_editor_is_the_newest_writer_of_anything_but_the_status() -> None:
    fields = [
        {"manager": "postern-provisioner", "operation": "Apply", "time": "2026-11-20T12:00:00Z"},
        {"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-20T12:00:05Z"},
        {"manager": "operator", "operation": "Update", "time": "2026-11-20T12:00:09Z", "subresource": "status"},
    ]
    assert cluster_of(metadata={**WHOLE, "managedFields": fields}).editor == "kubectl-edit"
    assert cluster_of(metadata={**WHOLE, "managedFields": fields[:1]}).editor == "postern-provisioner"
    assert cluster_of(metadata=WHOLE).editor is None


@pytest.mark.parametrize(
    "missing", ["postern.dev/database-id", "postern.dev/project", "cnpg.io/hibernation", "postern.dev/generation"]
)
def test_what_we_always_write_was_not_taken_away_by_us(missing: str) -> None:
    fields = [{"manager": "postern-provisioner", "operation": "Apply", "time": "2026-11-20T12:00:00Z"}]
    less = {part: {key: text for key, text in held.items() if key != missing} for part, held in WHOLE.items()}
    assert cluster_of(metadata={**less, "managedFields": fields}).editor is None


def test_whether_the_generation_is_ours_is_told_by_the_managers() -> None:
    owned = {"f:metadata": {"f:annotations": {"f:postern.dev/generation": {}}}}
    ours = {"manager": "postern-provisioner", "operation": "Apply", "fieldsV1": owned}
    theirs = {"manager": "kubectl-annotate", "operation": "Update", "fieldsV1": owned}
    meta = {"annotations": {"postern.dev/generation": "99"}}
    plain = cluster_of(metadata=meta)
    assert plain.generation_is_ours is None
    assert cluster_of(metadata={**meta, "managedFields": [ours]}).generation_is_ours is True
    assert cluster_of(metadata={**meta, "managedFields": [theirs, ours]}).generation_is_ours is True
    forged = cluster_of(metadata={**meta, "managedFields": [{**ours, "fieldsV1": {}}, theirs]})
    assert forged.generation_is_ours is False
    assert forged.marks != plain.marks, "so that it is drift"
    assert cluster_of(metadata={}).generation_is_ours is False


def test_a_pod_says_what_it_is_and_how_it_is() -> None:
    labels = {"cnpg.io/cluster": "orders-1a2b3c", "cnpg.io/podRole": "instance"}
    facts = pod_of(
        metadata={"labels": labels, "annotations": {"kubectl.kubernetes.io/restartedAt": "t"}},
        spec={"containers": [{"name": "sidecar", "image": "s"}, {"name": "postgres", "image": "p"}]},
        status={"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    )
    assert facts.is_instance
    assert (facts.ready, facts.image, facts.restarted_at, facts.containers) == (True, "p", "t", ())


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"cnpg.io/cluster": "orders-1a2b3c", "cnpg.io/jobRole": "initdb"}},
        {"ownerReferences": [{"kind": "Job"}]},
        {"labels": {"cnpg.io/cluster": "orders-1a2b3c", "cnpg.io/podRole": "pooler"}},
    ],
    ids=["job by label", "job by owner", "pooler"],
)
def test_jobs_and_poolers_are_no_instances(metadata: dict[str, Any]) -> None:
    assert not pod_of(metadata=metadata).is_instance


def test_only_containers_with_something_to_tell_are_kept() -> None:
    states = [
        {"name": "fresh", "state": {"waiting": {"reason": "PodInitializing"}}},
        {"name": "done", "state": {"terminated": {"reason": "Completed", "exitCode": 0}}},
        {"name": "runs", "state": {"running": {}}},
        {"name": "bad", "state": {"waiting": {"reason": "ErrImagePull", "message": "m" * 1000}}},
        {"name": "again", "restartCount": 2, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}},
    ]
    facts = pod_of(status={"containerStatuses": states[1:], "initContainerStatuses": states[:1]})
    assert [container.name for container in facts.containers] == ["bad", "again"]
    assert facts.containers[0].waiting == "ErrImagePull"
    assert len(facts.containers[0].message) == 300
    assert facts.containers[1].last_terminated == "OOMKilled"


def test_a_pod_without_a_node_tells_why_and_since_when() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "Insufficient memory",
        "lastTransitionTime": "2026-11-20T12:00:00Z",
    }
    facts = pod_of(status={"phase": "Pending", "conditions": [condition]})
    assert (facts.unschedulable, facts.unschedulable_since) == ("Insufficient memory", 1795176000.0)
    odd = pod_of(status={"conditions": [{**condition, "lastTransitionTime": "yesterday"}]})
    assert odd.unschedulable_since == 0.0


def test_a_volume_tells_what_was_asked_and_what_is() -> None:
    owned = decode_volume(
        raw(
            metadata={"name": "orders-1a2b3c-1", "namespace": "n", "labels": {"cnpg.io/cluster": "orders-1a2b3c"}},
            spec={"resources": {"requests": {"storage": "2Gi"}}, "storageClassName": "standard"},
            status={"phase": "Bound", "capacity": {"storage": "1Gi"}},
        )
    )
    assert owned.facts == VolumeFacts(
        name="orders-1a2b3c-1", bound=True, storage_class="standard", requested="2Gi", capacity="1Gi"
    )
    wal = decode_volume(raw(metadata={"labels": {"cnpg.io/pvcRole": "PG_WAL"}}))
    assert isinstance(wal.facts, VolumeFacts)
    assert not wal.facts.data


def test_a_warning_knows_its_object_and_the_newest_time() -> None:
    involved = {"kind": "Pod", "name": "orders-1a2b3c-1", "namespace": "postern-acme"}
    warned = decode_warning(
        raw(
            metadata={"name": "e", "namespace": "default"},
            involvedObject=involved,
            reason="FailedScheduling",
            message="no",
            eventTime="2026-11-20T11:00:00.000000Z",
            series={"lastObservedTime": "2026-11-20T12:00:00.000000Z"},
        )
    )
    assert warned.namespace == "postern-acme"
    assert (warned.facts.name, warned.facts.seen_at) == ("orders-1a2b3c-1", 1795176000.0)
