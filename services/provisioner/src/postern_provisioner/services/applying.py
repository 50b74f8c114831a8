"""Applying: one attempt to make a database's objects the desired ones, by server-side apply behind fences."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from postern_common.contracts.events import ObjectReference
from postern_common.contracts.reasons import Reason
from postern_common.errors import PermanentError, TransientError
from postern_common.kube.errors import ConflictError, ForbiddenError, NotFoundError
from postern_common.kube.paths import CLUSTERS, NETWORK_POLICIES, POD_MONITORS, Resource
from postern_common.logging import get_logger
from postern_common.runtime import crashpoint
from postern_provisioner.domain.crashpoints import AFTER_APPLY
from postern_provisioner.domain.drift import drifted_fields
from postern_provisioner.domain.fences import check_writable
from postern_provisioner.domain.outcomes import Applied
from postern_provisioner.domain.quantities import parse_quantity
from postern_provisioner.domain.target import Target
from postern_provisioner.manifests.cluster import with_size, without_validation
from postern_provisioner.manifests.database import DatabaseManifests, ManifestOptions, build_database
from postern_provisioner.services.capabilities import Capabilities
from postern_provisioner.services.concurrency import concurrently
from postern_provisioner.services.lease import Lease
from postern_provisioner.services.projects import ProjectService
from postern_provisioner.services.switching import SwitchoverService
from postern_provisioner.storage.objects import ClusterFacts, ObjectStore

PLANS = 5
"""A conflict (the operator writes the status often) is answered by planning again, so often within one attempt."""

log = get_logger(__name__)

Live = Mapping[Resource, dict[str, Any] | None]


class ApplyService:
    """Applies one target's objects."""

    def __init__(
        self,
        *,
        objects: ObjectStore,
        facts: ClusterFacts,
        capabilities: Capabilities,
        projects: ProjectService,
        switchovers: SwitchoverService,
        options: ManifestOptions,
    ) -> None:
        self._objects = objects
        self._facts = facts
        self._capabilities = capabilities
        self._projects = projects
        self._switchovers = switchovers
        self._options = options

    async def apply(self, target: Target, lease: Lease) -> Applied:
        """One attempt. For a target that was applied before only what has drifted is written; a Cluster that vanished
        stays away (docs/adr/0017).
        """
        for _ in range(PLANS - 1):
            try:
                return await self._apply_once(target, lease)
            except ConflictError:
                continue
            except NotFoundError:
                self._projects.forget(target.identity.namespace)
        try:
            return await self._apply_once(target, lease)
        except NotFoundError as error:
            self._projects.forget(target.identity.namespace)
            raise TransientError(Reason.APPLY_CONFLICT, "the namespace vanished while we wrote to it") from error

    async def _apply_once(self, target: Target, lease: Lease) -> Applied:
        await self._projects.ensure(target, lease)
        with_pod_monitor = await self._capabilities.serves_pod_monitors()
        live = await self._read(target, with_pod_monitor)
        for found in live.values():
            check_writable(found, target, self._options.installation)
        cluster = live[CLUSTERS]
        manifests = build_database(
            target, self._options, running_image=_image(cluster), with_pod_monitor=with_pod_monitor
        )
        await self._check_growth(cluster, manifests.cluster)
        freed = await self._free(target, cluster, manifests.cluster, lease)
        if freed is not None:
            live = {**live, CLUSTERS: freed}
        elif cluster is not None and _size(manifests.cluster) < _size(cluster):
            # grown by somebody else: volumes never shrink, and the webhook would refuse every later change
            manifests = replace(manifests, cluster=with_size(manifests.cluster, cluster["spec"]["storage"]["size"]))
        if freed is None and target.is_applied:
            return await self._repair(manifests, live, lease)
        written = await concurrently(
            *(self._write(manifest, live.get(_resource(manifest)), lease) for manifest in manifests.all())
        )
        if target.pending_switchover is not None:
            await self._switchovers.switch(target, written[0], lease)
        repaired = ("Cluster: a size that its storage class refuses",) if target.is_applied else ()
        return Applied(tuple(_reference(m) for m in manifests.all()), manifests.image, repaired)

    async def _read(self, target: Target, with_pod_monitor: bool) -> Live:
        """What is there. At the very first attempt the Cluster alone tells whether anything can be."""
        identity = target.identity
        kinds = [CLUSTERS, NETWORK_POLICIES, *([POD_MONITORS] if with_pod_monitor else [])]
        if target.needs_no_lookup:
            first = await self._objects.get(CLUSTERS, identity.cluster_name, identity.namespace)
            if first is None:
                return dict.fromkeys(kinds)
        found = await concurrently(*(self._objects.get(k, identity.cluster_name, identity.namespace) for k in kinds))
        return dict(zip(kinds, found, strict=True))

    async def _write(self, manifest: dict[str, Any], seen: dict[str, Any] | None, lease: Lease) -> dict[str, Any]:
        lease.require()
        stored = await self._objects.apply(manifest, seen=seen)
        crashpoint(AFTER_APPLY[manifest["kind"]])
        return stored

    async def _repair(self, manifests: DatabaseManifests, live: Live, lease: Lease) -> Applied:
        repaired: list[str] = []
        for manifest in manifests.all():
            resource = _resource(manifest)
            seen = live.get(resource)
            if seen is None and resource is CLUSTERS:
                # an empty one in its place would be shown as ready (docs/adr/0017)
                log.warning("cluster_vanished", cluster=manifest["metadata"]["name"])
                continue
            fields = ["it was missing"] if seen is None else drifted_fields(manifest, seen)
            if fields:
                await self._write(manifest, seen, lease)
                repaired.append(f"{manifest['kind']} {manifest['metadata']['name']}: {', '.join(fields)}")
        return Applied(tuple(_reference(m) for m in manifests.all()), manifests.image, tuple(repaired))

    async def _free(
        self, target: Target, cluster: dict[str, Any] | None, manifest: Mapping[str, Any], lease: Lease
    ) -> dict[str, Any] | None:
        """Put a size back past the webhook, where it stopped the operator (semantics 18); None: no need.

        Asked for by the gateway, or because somebody else gave the Cluster a size that its class refuses. Volumes that
        could grow have grown: theirs is never put back.
        """
        if cluster is None or _size(manifest) >= _size(cluster):
            return None
        if not target.undo_resize:
            _, storage_class = await self._find_class(cluster, manifest)
            if storage_class is None or _can_grow(storage_class):
                return None
        lease.require()
        return await self._objects.apply(without_validation(manifest), seen=cluster)

    async def _check_growth(self, cluster: Mapping[str, Any] | None, manifest: Mapping[str, Any]) -> None:
        """The API accepts a growth that the storage class refuses; then the operator stops reconciling the cluster."""
        if cluster is None or _size(manifest) <= _size(cluster):
            return
        name, storage_class = await self._find_class(cluster, manifest)
        if storage_class is None and name is None:
            return  # which class the volumes have cannot be known here: the watcher sees a refusal (semantics 18)
        if storage_class is None or not _can_grow(storage_class):
            named = name if storage_class is None else storage_class["metadata"]["name"]
            raise PermanentError(
                Reason.VOLUME_EXPANSION_REFUSED, f"the storage class {named} does not allow volumes to grow"
            )

    async def _find_class(
        self, cluster: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> tuple[str | None, dict[str, Any] | None]:
        """Name of the storage class (None: the default one) and the class itself, where it is there and may be read."""
        name: str | None = manifest["spec"]["storage"].get("storageClass") or _storage_class(cluster)
        try:
            return name, await self._facts.storage_class(name)
        except ForbiddenError:
            if name is not None:
                raise
            return None, None


def _can_grow(storage_class: Mapping[str, Any]) -> bool:
    return storage_class.get("allowVolumeExpansion") is True


def _resource(manifest: Mapping[str, Any]) -> Resource:
    return next(r for r in (CLUSTERS, NETWORK_POLICIES, POD_MONITORS) if r.kind == manifest["kind"])


def _reference(manifest: Mapping[str, Any]) -> ObjectReference:
    metadata = manifest["metadata"]
    return ObjectReference(
        api_version=manifest["apiVersion"],
        kind=manifest["kind"],
        name=metadata["name"],
        namespace=metadata.get("namespace"),
    )


def _image(cluster: Mapping[str, Any] | None) -> str | None:
    return None if cluster is None else (cluster.get("spec") or {}).get("imageName")


def _size(cluster: Mapping[str, Any]) -> Decimal:
    """Bytes of storage; 0 for a Cluster whose size somebody took away."""
    size = ((cluster.get("spec") or {}).get("storage") or {}).get("size")
    return Decimal(0) if size is None else parse_quantity(str(size))


def _storage_class(cluster: Mapping[str, Any]) -> str | None:
    return ((cluster.get("spec") or {}).get("storage") or {}).get("storageClass")
