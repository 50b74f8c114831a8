"""The /scale subresource: an ``autoscaling/v1`` Scale as another view of one number in a spec."""

from typing import Any

from postern_devcluster.apiserver.kinds import Kind
from postern_devcluster.apiserver.status import Object, bad_request


def to_scale(kind: Kind, body: Object) -> Object:
    """The Scale of an object."""
    metadata = body["metadata"]
    status: Object = {"replicas": body.get("status", {}).get(kind.scale, 0)}
    if selector := body.get("status", {}).get("selector"):
        status["selector"] = selector
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"replicas": body.get("spec", {}).get(kind.scale, 1)},
        "status": status,
    }


def change_of(kind: Kind, scale: Any) -> Object:
    """The merge-patch of the object that a written Scale means. Raises 400 for a body that is none."""
    replicas = scale.get("spec", {}).get("replicas") if isinstance(scale, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        raise bad_request("spec.replicas of a Scale must be a number of at least 0")
    change: Object = {"spec": {kind.scale: replicas}}
    if version := scale.get("metadata", {}).get("resourceVersion"):
        change["metadata"] = {"resourceVersion": version}
    return change
