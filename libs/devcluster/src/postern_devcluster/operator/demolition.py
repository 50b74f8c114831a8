"""Takes a cluster away after its object is gone: processes, files, addresses, and every object that belonged to it."""

import asyncio

import structlog

from postern_common.contracts.kubernetes import LABEL_CNPG_CLUSTER
from postern_common.kube.errors import KubeError
from postern_common.kube.paths import PERSISTENT_VOLUME_CLAIMS, PODS, SECRETS, SERVICES, Resource
from postern_devcluster.operator.attendant import Attendant
from postern_devcluster.operator.objects import BUDGETS, JOBS, Object, ObjectStore
from postern_devcluster.operator.runtime import Host

_OWNED = (PODS, JOBS, PERSISTENT_VOLUME_CLAIMS, SERVICES, SECRETS, BUDGETS)

_logger = structlog.get_logger(__name__)


class Demolition:
    """Removes what deleted clusters leave. The API's garbage collector may do the same: both are safe together."""

    def __init__(self, store: ObjectStore, host: Host) -> None:
        self._store = store
        self._host = host

    async def demolish(self, attendant: Attendant) -> None:
        """Remove one cluster: first its processes, so that a pod never vanishes before its server."""
        identity = attendant.identity
        await attendant.destroy()
        self._host.release(identity)
        selector = f"{LABEL_CNPG_CLUSTER}={identity.name}"
        for resource in _OWNED:
            items = await self._store.list(resource, selector, identity.namespace)
            owned = [item for item in items if identity.uid in _owners(item)]
            await asyncio.gather(*(self._delete(resource, item) for item in owned))
        _logger.info("cluster_removed", namespace=identity.namespace, cluster=identity.name, uid=identity.uid)

    async def sweep(self, uids: set[str]) -> None:
        """Remove objects whose Cluster is not among these: it was deleted while no operator ran."""
        for resource in _OWNED:
            for item in await self._store.list(resource, LABEL_CNPG_CLUSTER):
                owners = _owners(item)
                if owners and not owners & uids:
                    await self._delete(resource, item)

    async def _delete(self, resource: Resource, item: Object) -> None:
        described = item["metadata"]
        try:
            await self._store.delete(resource, described["name"], described["namespace"], uid=described["uid"])
        except KubeError as error:
            _logger.warning("leftover_not_deleted", kind=resource.kind, name=described["name"], code=error.code)


def _owners(item: Object) -> set[str]:
    references = item["metadata"].get("ownerReferences") or ()
    return {str(each["uid"]) for each in references if each.get("kind") == "Cluster"}
