"""DELETE: preconditions, finalizers, grace, propagation. What follows from a deletion is the collector's work."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from postern_devcluster.apiserver.history import Stored
from postern_devcluster.apiserver.kinds import NAMESPACES, PODS, Kind
from postern_devcluster.apiserver.objects import is_deleting, shaped, timestamp
from postern_devcluster.apiserver.status import Object, bad_request, conflict, forbidden, not_found, success
from postern_devcluster.apiserver.store import ObjectStore
from postern_devcluster.apiserver.writes import Target

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_KEPT_NAMESPACES = ("default", "kube-system", "kube-public")


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """The options of a DELETE, from its body or query."""

    uid: str = ""
    resource_version: str = ""
    propagation: str = "Background"
    grace_seconds: int | None = None
    dry_run: bool = False


def parse_delete_options(body: Any, query: Any) -> DeleteOptions:
    """Options as clients send them. Raises 400 for a body that is something else."""
    if body is None:
        body = {}
    if not isinstance(body, dict) or body.get("kind", "DeleteOptions") != "DeleteOptions":
        raise bad_request("the body of a DELETE must be DeleteOptions")
    preconditions = body.get("preconditions") or {}
    policy = body.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
    if body.get("orphanDependents"):
        policy = "Orphan"
    if policy not in ("Background", "Foreground", "Orphan"):
        raise bad_request(f"invalid propagationPolicy: {policy!r}")
    grace = body.get("gracePeriodSeconds")
    if grace is None and query.get("gracePeriodSeconds", "").isdigit():
        grace = int(query["gracePeriodSeconds"])
    dry_run = body.get("dryRun") == ["All"] or query.get("dryRun") == "All"
    return DeleteOptions(
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        propagation=policy,
        grace_seconds=grace,
        dry_run=dry_run,
    )


class ObjectDeleter:
    """Deletes objects, or marks them where something holds them."""

    def __init__(self, store: ObjectStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def delete(self, target: Target, options: DeleteOptions) -> Object:
        """DELETE of one object; returns the body of the answer: the object, or a Status when it is gone."""
        kind = target.kind
        stored = self._store.get(kind, (target.namespace, target.name))
        if stored is None:
            raise not_found(kind, target.name)
        self._check_preconditions(target, stored, options)
        if kind is NAMESPACES:
            return self._delete_namespace(stored, options)
        return self._delete(kind, stored, options)

    def _delete(self, kind: Kind, stored: Stored, options: DeleteOptions) -> Object:
        body = stored.object
        metadata = dict(body["metadata"])
        finalizers = list(metadata.get("finalizers", []))
        extra = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(options.propagation)
        if extra is not None and extra not in finalizers and not is_deleting(body):
            finalizers.append(extra)
        grace = self._grace(kind, body, options)
        if not finalizers and grace == 0:
            if options.dry_run:
                return body if kind.returns_deleted else success(kind, metadata["name"], metadata["uid"])
            gone = self._store.remove(kind, shaped({**body, "metadata": metadata}, kind))
            return gone.object if kind.returns_deleted else success(kind, metadata["name"], metadata["uid"])
        if is_deleting(body) and metadata.get("deletionGracePeriodSeconds", 0) <= grace:
            return body
        metadata["finalizers"] = finalizers
        if not finalizers:
            del metadata["finalizers"]
        if not is_deleting(body) and "generation" in metadata:
            metadata["generation"] += 1
        metadata["deletionTimestamp"] = timestamp(self._clock() + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
        marked = shaped({**body, "metadata": metadata}, kind)
        return marked if options.dry_run else self._store.put(kind, marked).object

    def _delete_namespace(self, stored: Stored, options: DeleteOptions) -> Object:
        body = stored.object
        metadata = dict(body["metadata"])
        if metadata["name"] in _KEPT_NAMESPACES:
            raise forbidden(NAMESPACES, metadata["name"], "this namespace may not be deleted")
        if is_deleting(body):
            return body
        metadata["deletionTimestamp"] = timestamp(self._clock())
        marked = {**body, "metadata": metadata, "status": {**body.get("status", {}), "phase": "Terminating"}}
        marked = shaped(marked, NAMESPACES)
        return marked if options.dry_run else self._store.put(NAMESPACES, marked).object

    def _grace(self, kind: Kind, body: Object, options: DeleteOptions) -> int:
        """Seconds a pod gets to stop; 0 for everything else and for pods that run nowhere."""
        spec, status = body.get("spec", {}), body.get("status", {})
        if kind is not PODS or not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
            return 0
        if options.grace_seconds is not None:
            return max(0, options.grace_seconds)
        return int(spec.get("terminationGracePeriodSeconds", 30))

    @staticmethod
    def _check_preconditions(target: Target, stored: Stored, options: DeleteOptions) -> None:
        metadata = stored.object["metadata"]
        for what, wanted, found in (
            ("UID", options.uid, metadata["uid"]),
            ("ResourceVersion", options.resource_version, metadata["resourceVersion"]),
        ):
            if wanted and wanted != found:
                why = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
                raise conflict(target.kind, target.name, why)
