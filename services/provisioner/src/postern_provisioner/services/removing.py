"""Removing: every object of a database is found, told why, and deleted as it was found (semantics 15)."""

from typing import Any

from postern_common.contracts.events import ObjectReference
from postern_common.kube.errors import ConflictError, NotFoundError, RejectedError
from postern_common.kube.paths import CLUSTERS, NETWORK_POLICIES, POD_MONITORS, Resource
from postern_common.logging import get_logger
from postern_common.runtime import crashpoint
from postern_provisioner.domain.crashpoints import AFTER_DELETE_ANNOTATIONS
from postern_provisioner.domain.fences import check_generation, is_of_target
from postern_provisioner.domain.outcomes import Removed, StillThere
from postern_provisioner.domain.target import Target
from postern_provisioner.manifests.database import build_annotations
from postern_provisioner.services.capabilities import Capabilities
from postern_provisioner.services.concurrency import concurrently
from postern_provisioner.services.lease import Lease
from postern_provisioner.storage.claims import Claim, ClaimStore
from postern_provisioner.storage.objects import ObjectStore

PLANS = 5
"""The operator writes to a cluster until its end: a conflict is answered by finding again."""

log = get_logger(__name__)


class RemoveService:
    """Deletes one tombstoned target's objects. The namespace belongs to the project and stays."""

    def __init__(
        self, *, objects: ObjectStore, claims: ClaimStore, capabilities: Capabilities, installation: str
    ) -> None:
        self._objects = objects
        self._claims = claims
        self._capabilities = capabilities
        self._installation = installation

    async def remove(self, claim: Claim, lease: Lease) -> Removed | StillThere:
        """One attempt: delete what is found, then look again. Raises what Kubernetes says."""
        for _ in range(PLANS - 1):
            try:
                return await self._remove_once(claim, lease)
            except ConflictError:
                continue
        return await self._remove_once(claim, lease)

    async def _remove_once(self, claim: Claim, lease: Lease) -> Removed | StillThere:
        target = claim.target
        found = await self._find(target)
        if not found:
            return Removed((), existed=target.existed)
        for item in found:
            check_generation(item, target)
        if not target.existed:
            await self._claims.mark_existed(claim)
        await concurrently(*(self._delete(item, target, lease) for item in found))
        left = await self._find(target)
        references = tuple(_reference(item) for item in (left or found))
        return StillThere(references) if left else Removed(references, existed=True)

    async def _find(self, target: Target) -> list[dict[str, Any]]:
        kinds: list[Resource] = [CLUSTERS, NETWORK_POLICIES]
        if await self._capabilities.serves_pod_monitors():
            kinds.append(POD_MONITORS)
        lists = await concurrently(*(self._find_of_kind(kind, target) for kind in kinds))
        return [item for items in lists for item in items]

    async def _find_of_kind(self, kind: Resource, target: Target) -> list[dict[str, Any]]:
        """By label, and by name where the label was taken away: nothing of ours may be left behind."""
        identity = target.identity
        found = await self._objects.of_database(kind, identity.namespace, identity.database_id)
        if any(item["metadata"]["name"] == identity.cluster_name for item in found):
            return found
        named = await self._objects.get(kind, identity.cluster_name, identity.namespace)
        if named is not None and is_of_target(named, target, self._installation):
            found.append(named)
        return found

    async def _delete(self, item: dict[str, Any], target: Target, lease: Lease) -> None:
        if item["metadata"].get("deletionTimestamp"):
            return
        lease.require()
        if item["kind"] == CLUSTERS.kind:
            try:
                # The watcher reads them from the last state of the object: ``deleting`` carries this operation.
                item = await self._objects.annotate(item, build_annotations(target))
            except NotFoundError:
                return
            except RejectedError as error:
                # What refuses its metadata must not keep the object alive.
                log.warning("delete_annotations_refused", code=error.code)
            crashpoint(AFTER_DELETE_ANNOTATIONS)
            lease.require()
        await self._objects.delete(item)


def _reference(item: dict[str, Any]) -> ObjectReference:
    metadata = item["metadata"]
    return ObjectReference(
        api_version=item["apiVersion"], kind=item["kind"], name=metadata["name"], namespace=metadata.get("namespace")
    )
