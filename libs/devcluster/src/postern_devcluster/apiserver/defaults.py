"""Defaults of kinds that follow from the object alone; those that look at other objects are in ``lifecycle``."""

import base64
from collections.abc import Callable

from postern_devcluster.apiserver.admission import default_cluster
from postern_devcluster.apiserver.kinds import CLUSTERS, SECRETS, Kind
from postern_devcluster.apiserver.status import Object

_Default = Callable[[Object, Object | None], Object]


def decoded(kind: Kind, body: Object) -> Object:
    """The object as its fields are stored and owned: write-only forms (``stringData``) are resolved."""
    return _secret(body, None) if kind is SECRETS and body.get("stringData") else body


def with_kind_defaults(kind: Kind, body: Object, before: Object | None) -> Object:
    """The object with the defaults of its kind; ``before`` is None at create. Doing it twice changes nothing."""
    default = _DEFAULTS.get(kind.resource)
    return default(body, before) if default is not None else body


def _namespace(body: Object, before: Object | None) -> Object:
    metadata = body["metadata"]
    labels = {**metadata.get("labels", {}), "kubernetes.io/metadata.name": metadata["name"]}
    body = {**body, "metadata": {**metadata, "labels": labels}}
    if before is not None:
        return {**body, "spec": before["spec"]}
    return {**body, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}


def _pod(body: Object, before: Object | None) -> Object:
    if before is not None:
        return body
    spec = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
        **body.get("spec", {}),
    }
    return {**body, "spec": spec, "status": {"phase": "Pending", "qosClass": "Burstable"}}


def _secret(body: Object, _before: Object | None) -> Object:
    plain = body.get("stringData") or {}
    rest = {name: value for name, value in body.items() if name != "stringData"}
    if plain:
        encoded = {name: base64.b64encode(text.encode()).decode() for name, text in plain.items()}
        rest["data"] = {**rest.get("data", {}), **encoded}
    rest.setdefault("type", "Opaque")
    return rest


def _network_policy(body: Object, _before: Object | None) -> Object:
    spec = dict(body.get("spec", {}))
    if "policyTypes" not in spec:
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    return {**body, "spec": spec}


def _cluster(body: Object, _before: Object | None) -> Object:
    return default_cluster(body)


_DEFAULTS: dict[str, _Default] = {
    "namespaces": _namespace,
    "pods": _pod,
    "secrets": _secret,
    "networkpolicies.networking.k8s.io": _network_policy,
    CLUSTERS.resource: _cluster,
}
