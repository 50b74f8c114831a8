"""Kubernetes objects of Postern: read, apply, delete, find by label. What to do with them is decided in services."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

from postern_common.contracts.kubernetes import LABEL_DATABASE_ID, LABEL_INSTALLATION
from postern_common.kube.apply import delete_object, merge_patch, server_side_apply
from postern_common.kube.client import KubeApi, list_items
from postern_common.kube.errors import KindMissingError, NotFoundError
from postern_common.kube.paths import ACCESS_REVIEWS, STORAGE_CLASSES, Resource, group_path, manifest_path

PAGE = 200


class ObjectStore:
    """The objects of one installation."""

    def __init__(self, client: KubeApi, installation: str) -> None:
        self._client = client
        self._installation = installation

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """One object, None when it is not there."""
        try:
            found: dict[str, Any] = await self._client.request("GET", resource.object(name, namespace))
        except NotFoundError:
            return None
        return found

    async def apply(self, manifest: Mapping[str, Any], *, seen: Mapping[str, Any] | None) -> dict[str, Any]:
        """Apply a manifest over the object that was ``seen`` (None: none was). Raises ``ConflictError`` if it moved."""
        if seen is not None:
            version = seen["metadata"]["resourceVersion"]
            manifest = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}}
        return await server_side_apply(self._client, manifest)

    async def annotate(self, found: Mapping[str, Any], annotations: Mapping[str, str]) -> dict[str, Any]:
        """Write annotations only, over exactly the object that was found."""
        version = found["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version, "annotations": dict(annotations)}}
        return await merge_patch(self._client, manifest_path(found), patch)

    async def patch_status(self, found: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
        """Merge ``status`` into the object's status, over exactly the object that was found."""
        patch = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "status": dict(status)}
        return await merge_patch(self._client, f"{manifest_path(found)}/status", patch)

    async def delete(self, found: Mapping[str, Any]) -> bool:
        """Delete exactly the object that was found, at the version it was found at. False: it is gone."""
        metadata = found["metadata"]
        return await delete_object(
            self._client, manifest_path(found), uid=metadata["uid"], resource_version=metadata["resourceVersion"]
        )

    async def of_database(self, resource: Resource, namespace: str, database_id: UUID) -> list[dict[str, Any]]:
        """All objects of a kind that carry the database's label, whatever their names."""
        selector = f"{LABEL_INSTALLATION}={self._installation},{LABEL_DATABASE_ID}={database_id}"
        return [
            _with_kind(item, resource)
            async for item in list_items(self._client, resource.collection(namespace), label_selector=selector)
        ]

    async def pages(self, resource: Resource) -> AsyncIterator[list[dict[str, Any]]]:
        """All objects of a kind of this installation, in all namespaces, a page at a time."""
        page: list[dict[str, Any]] = []
        selector = f"{LABEL_INSTALLATION}={self._installation}"
        async for item in list_items(self._client, resource.collection(), label_selector=selector):
            page.append(_with_kind(item, resource))
            if len(page) >= PAGE:
                yield page
                page = []
        if page:
            yield page


class ClusterFacts:
    """What the Kubernetes cluster offers: kinds and storage classes."""

    def __init__(self, client: KubeApi) -> None:
        self._client = client

    async def serves(self, resource: Resource) -> bool:
        """Whether the kind is installed, by discovery."""
        try:
            found = await self._client.request("GET", group_path(resource.group, resource.version))
        except (KindMissingError, NotFoundError):
            return False
        return any(kind.get("name") == resource.plural for kind in found.get("resources") or ())

    async def storage_class(self, name: str | None) -> dict[str, Any] | None:
        """The storage class of that name, or the default one for None; None when there is no such class.

        Looking for the default needs the right to list classes; raises ``ForbiddenError`` without it.
        """
        if name is not None:
            try:
                found: dict[str, Any] = await self._client.request("GET", STORAGE_CLASSES.object(name))
            except NotFoundError:
                return None
            return found
        async for item in list_items(self._client, STORAGE_CLASSES.collection(), label_selector=""):
            annotations = item["metadata"].get("annotations") or {}
            if annotations.get("storageclass.kubernetes.io/is-default-class") == "true":
                return item
        return None

    async def may(self, verb: str, resource: Resource, *, subresource: str = "") -> bool:
        """Whether we have a right on all objects of a kind, by the API server's own review."""
        attributes = {"verb": verb, "group": resource.group, "resource": resource.plural}
        if subresource:
            attributes["subresource"] = subresource
        answer = await self._client.request(
            "POST",
            ACCESS_REVIEWS.collection(),
            body={
                "apiVersion": ACCESS_REVIEWS.api_version,
                "kind": ACCESS_REVIEWS.kind,
                "spec": {"resourceAttributes": attributes},
            },
        )
        return bool((answer.get("status") or {}).get("allowed"))


def _with_kind(item: dict[str, Any], resource: Resource) -> dict[str, Any]:
    """Items of a list come without their kind."""
    item.setdefault("apiVersion", resource.api_version)
    item.setdefault("kind", resource.kind)
    return item
