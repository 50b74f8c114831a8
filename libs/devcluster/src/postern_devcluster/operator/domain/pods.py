"""Pods and Jobs of a cluster, and what their statuses say, in a kubelet's words. Pure: spec in, object out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from postern_common.contracts.kubernetes import ANNOTATION_RESTARTED_AT
from postern_devcluster.operator.domain.manifests import LABEL_INSTANCE, LABEL_POD_ROLE, LABEL_ROLE, metadata
from postern_devcluster.operator.domain.spec import ClusterSpec

ANNOTATION_LOG_FILE = "postern.dev/dev-log-file"
"""PostgreSQL's log on this machine: what ``kubectl logs`` of the development cluster reads."""
CONTAINER = "postgres"


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container's state. ``reason`` is the kubelet's; ``exit_code`` only of a terminated one."""

    kind: str
    ready: bool = False
    reason: str | None = None
    message: str | None = None
    exit_code: int = 0
    restarts: int = 0
    last_reason: str | None = None


def build_pod(spec: ClusterSpec, name: str, *, role: str | None, log_file: str | None) -> dict[str, Any]:
    """Return the pod of an instance, with the Cluster's restart annotation as handled."""
    annotations = {"cnpg.io/nodeSerial": name.rsplit("-", 1)[1]}
    if spec.restarted_at is not None:
        annotations[ANNOTATION_RESTARTED_AT] = spec.restarted_at
    if log_file is not None:
        annotations[ANNOTATION_LOG_FILE] = log_file
    labels = {LABEL_INSTANCE: name, LABEL_POD_ROLE: "instance"}
    if role is not None:
        labels |= {LABEL_ROLE: role, "role": role}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(spec, name, labels=labels, annotations=annotations),
        "spec": _pod_spec(spec, name, CONTAINER, restart="Always"),
    }


def build_job(spec: ClusterSpec, instance: str, role: str) -> dict[str, Any]:
    """Return the Job that makes an instance's data: ``role`` is initdb or join."""
    name = f"{instance}-{role}"
    labels = {LABEL_INSTANCE: instance, "cnpg.io/jobRole": role}
    described = metadata(spec, name, labels=labels)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": described,
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 6,
            "template": {
                "metadata": {"labels": {**described["labels"], "job-name": name}},
                "spec": _pod_spec(spec, instance, role, restart="Never"),
            },
        },
    }


def build_job_pod(spec: ClusterSpec, instance: str, role: str, suffix: str) -> dict[str, Any]:
    """Return the pod of such a Job. It belongs to the Cluster: one collection removes it wherever its Job went."""
    job = f"{instance}-{role}"
    labels = {
        LABEL_INSTANCE: instance,
        "cnpg.io/jobRole": role,
        "job-name": job,
        "batch.kubernetes.io/job-name": job,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(spec, f"{job}-{suffix}", labels=labels),
        "spec": _pod_spec(spec, instance, role, restart="Never"),
    }


def _pod_spec(spec: ClusterSpec, instance: str, container: str, *, restart: str) -> dict[str, Any]:
    body: dict[str, Any] = {"name": container, "image": spec.image}
    if container == CONTAINER:
        body["ports"] = [{"name": "postgresql", "containerPort": 5432, "protocol": "TCP"}]
    if spec.resources:
        body["resources"] = {key: dict(value) for key, value in spec.resources.items() if isinstance(value, Mapping)}
    return {
        "hostname": instance,
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 0,
        "containers": [body],
        "volumes": [{"name": "pgdata", "persistentVolumeClaim": {"claimName": instance}}],
    }


def pod_image(pod: Mapping[str, Any]) -> str:
    """Return the image of a pod's only container."""
    return str(pod["spec"]["containers"][0].get("image", ""))


def same_resources(pod: Mapping[str, Any], spec: ClusterSpec) -> bool:
    """Whether a pod has the requests and limits that the Cluster asks for (defaulted requests count as asked)."""
    has = pod["spec"]["containers"][0].get("resources") or {}
    asked = spec.resources
    limits = {str(k): str(v) for k, v in (asked.get("limits") or {}).items()}
    requests = limits | {str(k): str(v) for k, v in (asked.get("requests") or {}).items()}
    has_limits = {str(k): str(v) for k, v in (has.get("limits") or {}).items()}
    has_requests = has_limits | {str(k): str(v) for k, v in (has.get("requests") or {}).items()}
    return has_limits == limits and has_requests == requests


def pod_needs(pod: Mapping[str, Any], spec: ClusterSpec) -> ClusterSpec:
    """Return the spec with the image and resources that a pod was made with: those decide whether it can run."""
    resources = pod["spec"]["containers"][0].get("resources") or {}
    return replace(spec, image=pod_image(pod), resources=resources)


def restart_count(pod: Mapping[str, Any]) -> int:
    """Return how often the container of a pod was restarted."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
    return int(statuses[0].get("restartCount", 0))


def scheduled_status(pod: Mapping[str, Any], state: ContainerState, *, address: str | None, now: str) -> dict[str, Any]:
    """Return the status of a pod that has a place to run."""
    phase = "Running" if state.kind == "running" or state.restarts else "Pending"
    if state.kind == "terminated" and pod["spec"].get("restartPolicy") == "Never":
        phase = "Succeeded" if state.exit_code == 0 else "Failed"
    ready_reason = None if state.ready else ("PodCompleted" if phase == "Succeeded" else "ContainersNotReady")
    conditions = [
        _condition("PodScheduled", None, now),
        _condition("Initialized", None, now),
        _condition("ContainersReady", ready_reason, now),
        _condition("Ready", ready_reason, now),
    ]
    status: dict[str, Any] = {
        "phase": phase,
        "conditions": _with_old_times(conditions, pod),
        "startTime": (pod.get("status") or {}).get("startTime", now),
        "containerStatuses": [_container_status(pod, state, now)],
        "qosClass": "Burstable",
    }
    if address is not None:
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
    return status


def unscheduled_status(message: str, now: str) -> dict[str, Any]:
    """Return the status of a pod that no node can take."""
    condition = _condition("PodScheduled", "Unschedulable", now) | {"message": message}
    return {"phase": "Pending", "conditions": [condition]}


def _container_status(pod: Mapping[str, Any], state: ContainerState, now: str) -> dict[str, Any]:
    container = pod["spec"]["containers"][0]
    detail: dict[str, Any] = {}
    if state.reason is not None:
        detail["reason"] = state.reason
    if state.message is not None:
        detail["message"] = state.message
    if state.kind == "running":
        detail = {"startedAt": now}
    elif state.kind == "terminated":
        detail |= {"exitCode": state.exit_code, "finishedAt": now, "startedAt": now}
    last = {}
    if state.last_reason is not None:
        last = {"terminated": {"reason": state.last_reason, "exitCode": 1, "finishedAt": now, "startedAt": now}}
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": state.ready,
        "started": state.kind == "running",
        "restartCount": state.restarts,
        "state": {state.kind: detail},
        "lastState": last,
    }


def _condition(kind: str, reason: str | None, now: str) -> dict[str, Any]:
    condition = {"type": kind, "status": "True" if reason is None else "False", "lastTransitionTime": now}
    return condition if reason is None else condition | {"reason": reason}


def _with_old_times(conditions: list[dict[str, Any]], pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    old = {each["type"]: each for each in (pod.get("status") or {}).get("conditions") or ()}
    for condition in conditions:
        before = old.get(condition["type"])
        if before is not None and before.get("status") == condition["status"]:
            condition["lastTransitionTime"] = before.get("lastTransitionTime", condition["lastTransitionTime"])
    return conditions
