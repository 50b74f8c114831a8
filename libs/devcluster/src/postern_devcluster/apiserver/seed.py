"""What is in a fresh cluster: namespaces, storage classes, one node, the CRDs of the operator's kinds."""

from datetime import UTC, datetime
from typing import Any

from postern_devcluster.apiserver.kinds import CNPG, CRDS, KINDS, NAMESPACES, NODES, STORAGE_CLASSES, Kind
from postern_devcluster.apiserver.objects import timestamp
from postern_devcluster.apiserver.store import ObjectStore
from postern_devcluster.apiserver.writes import ObjectWriter, Target, WriteOptions

NODE = "postern-devcluster"
_MANAGER = WriteOptions(manager="postern-devcluster")


def seed(store: ObjectStore, writer: ObjectWriter) -> None:
    """Create what is missing; what is there stays as it is."""
    for name in ("default", "kube-system", "cnpg-system"):
        _ensure(store, writer, NAMESPACES, name, {})
    for name, default, expandable in (("standard", "true", True), ("fixed", "false", False)):
        _ensure(
            store,
            writer,
            STORAGE_CLASSES,
            name,
            {
                "provisioner": "postern.dev/local-directory",
                "reclaimPolicy": "Delete",
                "volumeBindingMode": "Immediate",
                "allowVolumeExpansion": expandable,
            },
            annotations={"storageclass.kubernetes.io/is-default-class": default},
        )
    if _ensure(store, writer, NODES, NODE, {"spec": {}}, labels={"kubernetes.io/hostname": NODE}):
        now = timestamp(datetime.now(UTC))
        node = Target(NODES, name=NODE, subresource="status")
        stored = store.get(NODES, ("", NODE))
        if stored is not None:
            writer.update(node, {**stored.object, "status": _node_status(now)}, _MANAGER)
    for kind in KINDS:
        if kind.group == CNPG:
            _ensure(store, writer, CRDS, f"{kind.plural}.{kind.group}", {"spec": _crd_spec(kind)})
            _establish(store, writer, f"{kind.plural}.{kind.group}", kind)


def _ensure(
    store: ObjectStore, writer: ObjectWriter, kind: Kind, name: str, body: dict[str, Any], **metadata: Any
) -> bool:
    if store.get(kind, ("", name)) is not None:
        return False
    writer.create(Target(kind), {"metadata": {"name": name, **metadata}, **body}, _MANAGER)
    return True


def _node_status(now: str) -> dict[str, Any]:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "this machine",
        "lastTransitionTime": now,
        "lastHeartbeatTime": now,
    }
    resources = {"cpu": "8", "memory": "32Gi", "pods": "1000"}
    return {
        "conditions": [ready],
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": NODE}],
        "capacity": resources,
        "allocatable": resources,
        "nodeInfo": {
            "kubeletVersion": "v1.34.0+postern-devcluster",
            "osImage": "this machine",
            "operatingSystem": "linux",
            "architecture": "amd64",
            "containerRuntimeVersion": "processes://1",
        },
    }


def _names(kind: Kind) -> dict[str, Any]:
    return {"kind": kind.kind, "listKind": f"{kind.kind}List", "plural": kind.plural, "singular": kind.singular}


def _crd_spec(kind: Kind) -> dict[str, Any]:
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    if kind.status:
        version["subresources"] = {"status": {}}
    scope = "Namespaced" if kind.namespaced else "Cluster"
    return {"group": kind.group, "names": _names(kind), "scope": scope, "versions": [version]}


def _establish(store: ObjectStore, writer: ObjectWriter, name: str, kind: Kind) -> None:
    stored = store.get(CRDS, ("", name))
    if stored is None or stored.object.get("status"):
        return
    now = timestamp(datetime.now(UTC))
    conditions = [
        {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "lastTransitionTime": now},
        {"type": "Established", "status": "True", "reason": "InitialNamesAccepted", "lastTransitionTime": now},
    ]
    status = {"conditions": conditions, "acceptedNames": _names(kind), "storedVersions": [kind.version]}
    writer.update(Target(CRDS, name=name, subresource="status"), {**stored.object, "status": status}, _MANAGER)
