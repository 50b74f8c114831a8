"""Printer columns per kind: the operator's as their definitions say, built-in ones as the server prints them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from postern_devcluster.apiserver.kinds import Kind
from postern_devcluster.apiserver.status import Object


@dataclass(frozen=True, slots=True)
class Column:
    """One column; ``priority`` 1 shows with ``-o wide`` only."""

    name: str
    cell: Callable[[Object], Any]
    type: str = "string"
    priority: int = 0


def _path(path: str, missing: Any = None) -> Callable[[Object], Any]:
    names = path.split(".")

    def cell(body: Object) -> Any:
        value: Any = body
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return missing if value is None else value

    return cell


def age_of(text: str | None, now: datetime | None = None) -> str:
    """A time as kubectl shows ages: ``12s``, ``5m3s``, ``3h12m``, ``4d``."""
    if not text:
        return "<unknown>"
    seconds = max(0, int(((now or datetime.now(UTC)) - datetime.fromisoformat(text)).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"


def _age(body: Object) -> str:
    return age_of(body["metadata"].get("creationTimestamp"))


def _age_at(path: str) -> Callable[[Object], Any]:
    cell = _path(path)
    return lambda body: age_of(cell(body)) if cell(body) else None


_NAME = Column("Name", _path("metadata.name"))
_AGE = Column("Age", _age)


def _wide(name: str, cell: Callable[[Object], Any]) -> Column:
    return Column(name, cell, priority=1)


def _containers(body: Object) -> list[Object]:
    return list(body.get("spec", {}).get("containers", []))


def _pod_ready(body: Object) -> str:
    statuses = body.get("status", {}).get("containerStatuses", [])
    ready = sum(1 for each in statuses if each.get("ready"))
    return f"{ready}/{len(_containers(body))}"


def _pod_status(body: Object) -> str:
    status = body.get("status", {})
    shown = status.get("reason") or status.get("phase", "Unknown")
    for container in status.get("containerStatuses", []):
        state = container.get("state", {})
        waiting, terminated = state.get("waiting"), state.get("terminated")
        if waiting and waiting.get("reason"):
            shown = waiting["reason"]
        elif terminated:
            shown = terminated.get("reason") or f"ExitCode:{terminated.get('exitCode', 0)}"
    if "deletionTimestamp" in body["metadata"]:
        return "Terminating"
    return str(shown)


def _pod_restarts(body: Object) -> str:
    statuses = body.get("status", {}).get("containerStatuses", [])
    return str(sum(each.get("restartCount", 0) for each in statuses))


def _ports(body: Object) -> str:
    ports = body.get("spec", {}).get("ports", [])
    return ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


def _external(body: Object) -> str:
    ingress = body.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    listed = [each.get("ip") or each.get("hostname") for each in ingress]
    if listed:
        return ",".join(listed)
    return "<pending>" if body["spec"].get("type") == "LoadBalancer" else "<none>"


def _pairs(path: str) -> Callable[[Object], str]:
    cell = _path(path, {})
    return lambda body: ",".join(f"{name}={value}" for name, value in sorted(cell(body).items())) or "<none>"


def _access_modes(body: Object) -> str:
    modes = body.get("status", {}).get("accessModes", [])
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short.get(mode, mode) for mode in modes)


def _claim_status(body: Object) -> str:
    if "deletionTimestamp" in body["metadata"]:
        return "Terminating"
    return str(body.get("status", {}).get("phase", ""))


def _node_status(body: Object) -> str:
    for condition in body.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            return "Ready" if condition["status"] == "True" else "NotReady"
    return "Unknown"


def _event_object(body: Object) -> str:
    involved = body.get("involvedObject", {})
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _event_age(body: Object) -> str:
    last = body.get("lastTimestamp") or body.get("eventTime") or body["metadata"].get("creationTimestamp")
    return age_of(last)


def _default_class(body: Object) -> str:
    annotations = body["metadata"].get("annotations", {})
    mark = " (default)" if annotations.get("storageclass.kubernetes.io/is-default-class") == "true" else ""
    return f"{body['metadata']['name']}{mark}"


def _job_completions(body: Object) -> str:
    done = body.get("status", {}).get("succeeded", 0)
    return f"{done}/{body.get('spec', {}).get('completions', 1)}"


def _deployment_ready(body: Object) -> str:
    return f"{body.get('status', {}).get('readyReplicas', 0)}/{body.get('spec', {}).get('replicas', 1)}"


_CLUSTER_NAME = Column("Cluster", _path("spec.cluster.name"))
_ROLE_COLUMNS = (
    _NAME,
    _AGE,
    _CLUSTER_NAME,
    Column("PG Name", _path("spec.name")),
    Column("Applied", _path("status.applied"), "boolean"),
    Column("Message", _path("status.message")),
)

_COLUMNS: dict[str, tuple[Column, ...]] = {
    "clusters.postgresql.cnpg.io": (
        _NAME,
        _AGE,
        Column("Instances", _path("status.instances"), "integer"),
        Column("Ready", _path("status.readyInstances"), "integer"),
        Column("Status", _path("status.phase")),
        Column("Primary", _path("status.currentPrimary")),
    ),
    "poolers.postgresql.cnpg.io": (
        _NAME,
        _AGE,
        _CLUSTER_NAME,
        Column("Type", _path("spec.type")),
        Column("Phase", _path("status.phase")),
    ),
    "backups.postgresql.cnpg.io": (
        _NAME,
        _AGE,
        _CLUSTER_NAME,
        Column("Method", _path("spec.method")),
        Column("Phase", _path("status.phase")),
        Column("Error", _path("status.error")),
    ),
    "scheduledbackups.postgresql.cnpg.io": (
        _NAME,
        _AGE,
        _CLUSTER_NAME,
        Column("Last Backup", _age_at("status.lastScheduleTime")),
    ),
    "databases.postgresql.cnpg.io": _ROLE_COLUMNS,
    "databaseroles.postgresql.cnpg.io": _ROLE_COLUMNS,
    "pods": (
        _NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts),
        _AGE,
        _wide("IP", _path("status.podIP", "<none>")),
        _wide("Node", _path("spec.nodeName", "<none>")),
        _wide("Nominated Node", _path("status.nominatedNodeName", "<none>")),
        _wide("Readiness Gates", lambda _body: "<none>"),
    ),
    "persistentvolumeclaims": (
        _NAME,
        Column("Status", _claim_status),
        Column("Volume", _path("spec.volumeName", "")),
        Column("Capacity", _path("status.capacity.storage", "")),
        Column("Access Modes", _access_modes),
        Column("StorageClass", _path("spec.storageClassName", "")),
        _AGE,
        _wide("VolumeMode", _path("spec.volumeMode", "")),
    ),
    "secrets": (
        _NAME,
        Column("Type", _path("type", "")),
        Column("Data", lambda body: len(body.get("data") or {}), "integer"),
        _AGE,
    ),
    "configmaps": (_NAME, Column("Data", lambda body: len(body.get("data") or {}), "integer"), _AGE),
    "services": (
        _NAME,
        Column("Type", _path("spec.type", "")),
        Column("Cluster-IP", _path("spec.clusterIP", "<none>")),
        Column("External-IP", _external),
        Column("Port(s)", _ports),
        _AGE,
        _wide("Selector", _pairs("spec.selector")),
    ),
    "namespaces": (_NAME, Column("Status", _path("status.phase", "")), _AGE),
    "nodes": (
        _NAME,
        Column("Status", _node_status),
        Column("Roles", lambda _body: "<none>"),
        _AGE,
        Column("Version", _path("status.nodeInfo.kubeletVersion", "")),
    ),
    "events": (
        Column("Last Seen", _event_age),
        Column("Type", _path("type", "")),
        Column("Reason", _path("reason", "")),
        Column("Object", _event_object),
        _wide("Source", _path("source.component", "")),
        Column("Message", _path("message", "")),
        _wide("Count", _path("count", 1)),
        _wide("Name", _path("metadata.name")),
    ),
    "networkpolicies.networking.k8s.io": (
        _NAME,
        Column("Pod-Selector", _pairs("spec.podSelector.matchLabels")),
        _AGE,
    ),
    "leases.coordination.k8s.io": (_NAME, Column("Holder", _path("spec.holderIdentity", "")), _AGE),
    "storageclasses.storage.k8s.io": (
        Column("Name", _default_class),
        Column("Provisioner", _path("provisioner", "")),
        Column("ReclaimPolicy", _path("reclaimPolicy", "")),
        Column("VolumeBindingMode", _path("volumeBindingMode", "")),
        Column("AllowVolumeExpansion", _path("allowVolumeExpansion", missing=False), "boolean"),
        _AGE,
    ),
    "customresourcedefinitions.apiextensions.k8s.io": (
        _NAME,
        Column("Created At", _path("metadata.creationTimestamp")),
    ),
    "jobs.batch": (_NAME, Column("Completions", _job_completions), _AGE),
    "deployments.apps": (_NAME, Column("Ready", _deployment_ready), _AGE),
}


def columns_of(kind: Kind) -> tuple[Column, ...]:
    """The columns of a kind: name and age where nothing else is said."""
    return _COLUMNS.get(kind.resource, (_NAME, _AGE))
