"""The operator's few verbs on Kubernetes objects, each safe to repeat: what is there or gone already is no error."""

import secrets
from collections.abc import Mapping
from typing import Any

import structlog

from postern_common.kube.client import KubeApi, list_items
from postern_common.kube.errors import ConflictError, KubeError, NotFoundError
from postern_common.kube.paths import Resource
from postern_devcluster.operator.clock import now_seconds

JOBS = Resource("batch", "v1", "jobs", "Job")
BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
CLUSTER_CATALOGS = Resource("postgresql.cnpg.io", "v1", "clusterimagecatalogs", "ClusterImageCatalog", namespaced=False)
CATALOGS = Resource("postgresql.cnpg.io", "v1", "imagecatalogs", "ImageCatalog")

Object = dict[str, Any]
_logger = structlog.get_logger(__name__)


class ObjectStore:
    """Reads and writes objects of the API server."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """Return an object, or None when it does not exist."""
        try:
            found: Object = await self._api.request("GET", resource.object(name, namespace))
        except NotFoundError:
            return None
        return found

    async def list(self, resource: Resource, selector: str = "", namespace: str | None = None) -> list[Object]:
        """Return every object that a label selector matches."""
        path = resource.collection(namespace)
        return [item async for item in list_items(self._api, path, label_selector=selector)]

    async def ensure(self, resource: Resource, manifest: Object) -> Object:
        """Create an object, or return the one that is there."""
        described = manifest["metadata"]
        namespace = described.get("namespace")
        try:
            created: Object = await self._api.request("POST", resource.collection(namespace), body=manifest)
        except ConflictError:
            found = await self.get(resource, described["name"], namespace)
            if found is None:
                raise
            return found
        return created

    async def put_status(self, resource: Resource, item: Object) -> Object:
        """Replace an object's status under its resourceVersion. Raises ConflictError when another wrote it since."""
        described = item["metadata"]
        path = resource.object(described["name"], described.get("namespace"), subresource="status")
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **item}
        written: Object = await self._api.request("PUT", path, body=body)
        return written

    async def patch(
        self, resource: Resource, name: str, namespace: str | None, change: Object, *, subresource: str | None = None
    ) -> Object | None:
        """Merge-patch an object; None when it is gone."""
        path = resource.object(name, namespace, subresource=subresource)
        try:
            patched: Object = await self._api.request(
                "PATCH", path, body=change, content_type="application/merge-patch+json"
            )
        except NotFoundError:
            return None
        return patched

    async def delete(self, resource: Resource, name: str, namespace: str | None, *, uid: str | None = None) -> None:
        """Delete an object without a grace period; with ``uid`` only that incarnation of it."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._api.request("DELETE", resource.object(name, namespace), body=options)
        except NotFoundError:
            return
        except ConflictError:
            if uid is None:
                raise

    async def record_event(self, regarding: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        """Write an Event about an object; one that cannot be written is only logged: events are hints."""
        described = regarding["metadata"]
        now = now_seconds()
        involved = {
            "apiVersion": regarding.get("apiVersion", "v1"),
            "kind": regarding["kind"],
            "name": described["name"],
            "namespace": described["namespace"],
            "uid": described.get("uid", ""),
        }
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{described['name']}.{secrets.token_hex(8)}",
                "namespace": described["namespace"],
            },
            "involvedObject": involved,
            "type": kind,
            "reason": reason,
            "message": message[:1000],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": "cloudnative-pg"},
            "reportingComponent": "cloudnative-pg",
            "reportingInstance": "postern-devcluster",
        }
        try:
            path = f"/api/v1/namespaces/{described['namespace']}/events"
            await self._api.request("POST", path, body=event)
        except KubeError as error:
            _logger.info("event_not_recorded", about=described["name"], reason=reason, code=error.code)
