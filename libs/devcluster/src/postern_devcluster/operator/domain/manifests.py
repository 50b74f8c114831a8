"""Objects that stand beside an instance: services, secrets, disruption budgets, claims. Pure: spec in, object out.

Labels, names and keys are CloudNativePG's, from recordings; what nobody can read off this machine is left out.
"""

import base64
from collections.abc import Mapping
from typing import Any

from postern_common.contracts.kubernetes import ANNOTATION_DEV_ADDRESS, CNPG_API_VERSION, LABEL_CNPG_CLUSTER
from postern_devcluster.operator.domain.spec import ClusterSpec

LABEL_ROLE = "cnpg.io/instanceRole"
LABEL_INSTANCE = "cnpg.io/instanceName"
LABEL_POD_ROLE = "cnpg.io/podRole"
LABEL_USER_TYPE = "cnpg.io/userType"
ANNOTATION_CLAIM_STATUS = "cnpg.io/pvcStatus"
ANNOTATION_SERIAL = "cnpg.io/nodeSerial"
OPERATOR_VERSION = "1.30.0"
SERVICES: Mapping[str, Mapping[str, str]] = {
    "rw": {LABEL_ROLE: "primary"},
    "ro": {LABEL_ROLE: "replica"},
    "r": {LABEL_POD_ROLE: "instance"},
}


def owner_reference(spec: ClusterSpec) -> dict[str, Any]:
    """Return the reference that makes the garbage collector take an object away with its Cluster."""
    return {
        "apiVersion": CNPG_API_VERSION,
        "kind": "Cluster",
        "name": spec.name,
        "uid": spec.identity.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def metadata(spec: ClusterSpec, name: str, **more: Any) -> dict[str, Any]:
    """Return metadata of an object of the cluster; ``labels`` and ``annotations`` are added to the common ones."""
    labels = {
        "app.kubernetes.io/component": "database",
        "app.kubernetes.io/instance": spec.name,
        "app.kubernetes.io/managed-by": "cloudnative-pg",
        "app.kubernetes.io/name": "postgresql",
        "app.kubernetes.io/version": str(spec.major),
        LABEL_CNPG_CLUSTER: spec.name,
        **more.get("labels", {}),
    }
    annotations = {"cnpg.io/operatorVersion": OPERATOR_VERSION, **more.get("annotations", {})}
    return {
        "name": name,
        "namespace": spec.namespace,
        "labels": labels,
        "annotations": annotations,
        "ownerReferences": [owner_reference(spec)],
    }


def build_service(spec: ClusterSpec, kind: str, address: str) -> dict[str, Any]:
    """Return the Service ``<cluster>-<kind>``; its annotation says where it answers on this machine (semantics 38)."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(spec, f"{spec.name}-{kind}", annotations={ANNOTATION_DEV_ADDRESS: f"{address}:5432"}),
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": "postgres", "protocol": "TCP", "port": 5432, "targetPort": 5432}],
            "selector": {LABEL_CNPG_CLUSTER: spec.name, **SERVICES[kind]},
        },
    }


def build_secret(spec: ClusterSpec, name: str, kind: str, data: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """Return a Secret of the given type with text values."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(spec, name, **more),
        "type": kind,
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def secret_text(secret: Mapping[str, Any], key: str) -> str:
    """Return a value of a Secret as text; empty when it is not there."""
    return base64.b64decode((secret.get("data") or {}).get(key, "")).decode()


def app_credentials(spec: ClusterSpec, password: str) -> dict[str, str]:
    """Return the keys of ``<cluster>-app``, composed as CloudNativePG composes them."""
    host = f"{spec.name}-rw"
    fqdn = f"{host}.{spec.namespace}.svc.cluster.local"
    short = f"{host}.{spec.namespace}"
    user, database = spec.owner, spec.database
    return {
        "username": user,
        "user": user,
        "password": password,
        "dbname": database,
        "host": host,
        "port": "5432",
        "uri": f"postgresql://{user}:{password}@{short}:5432/{database}",
        "fqdn-uri": f"postgresql://{user}:{password}@{fqdn}:5432/{database}",
        "jdbc-uri": f"jdbc:postgresql://{short}:5432/{database}?password={password}&user={user}",
        "fqdn-jdbc-uri": f"jdbc:postgresql://{fqdn}:5432/{database}?password={password}&user={user}",
        "pgpass": f"{host}:5432:{database}:{user}:{password}\n",
    }


def build_budget(spec: ClusterSpec, name: str, role: str, minimum: int) -> dict[str, Any]:
    """Return a PodDisruptionBudget for the instances of one role."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(spec, name),
        "spec": {
            "minAvailable": minimum,
            "selector": {"matchLabels": {LABEL_CNPG_CLUSTER: spec.name, LABEL_ROLE: role}},
        },
    }


def budgets(spec: ClusterSpec) -> dict[str, dict[str, Any]]:
    """Return the budgets a cluster has: one for its primary, one for its replicas where it has at least two."""
    if not spec.budget:
        return {}
    wanted = {f"{spec.name}-primary": build_budget(spec, f"{spec.name}-primary", "primary", 1)}
    if spec.instances > 2:
        wanted[spec.name] = build_budget(spec, spec.name, "replica", spec.instances - 2)
    return wanted


def build_claim(spec: ClusterSpec, name: str, storage_class: str | None) -> dict[str, Any]:
    """Return the claim of an instance; it says ``initializing`` until its data are complete."""
    body: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": spec.storage_size}},
        "volumeMode": "Filesystem",
    }
    if storage_class is not None:
        body["storageClassName"] = storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(
            spec,
            name,
            labels={LABEL_INSTANCE: name, "cnpg.io/pvcRole": "PG_DATA"},
            annotations={ANNOTATION_CLAIM_STATUS: "initializing", ANNOTATION_SERIAL: name.rsplit("-", 1)[1]},
        ),
        "spec": body,
    }


def bound(claim: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status of a claim whose volume has the size it asks for."""
    request = claim["spec"]["resources"]["requests"]["storage"]
    return {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": request}}
