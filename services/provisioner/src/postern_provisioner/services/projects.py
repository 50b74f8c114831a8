"""Projects in Kubernetes: namespace and default-deny policy, made before the first database, kept after the last."""

import asyncio

from postern_common.kube.errors import NotFoundError
from postern_common.kube.paths import NAMESPACES
from postern_common.runtime import crashpoint
from postern_provisioner.domain.crashpoints import AFTER_NAMESPACE
from postern_provisioner.domain.fences import check_namespace
from postern_provisioner.domain.target import Target
from postern_provisioner.manifests.database import ManifestOptions, build_project
from postern_provisioner.services.lease import Lease
from postern_provisioner.storage.objects import ObjectStore


class ProjectService:
    """Makes sure that a target's namespace is there; remembers those it made, until told that one vanished."""

    def __init__(self, objects: ObjectStore, options: ManifestOptions) -> None:
        self._objects = objects
        self._options = options
        self._known: set[str] = set()
        self._lock = asyncio.Lock()

    async def ensure(self, target: Target, lease: Lease) -> None:
        """Apply namespace and policy unless this process did so already. Raises what the fences or Kubernetes say."""
        if target.identity.namespace in self._known:
            return
        async with self._lock:
            if target.identity.namespace in self._known:
                return
            await self._apply(target, lease)
            self._known.add(target.identity.namespace)

    def forget(self, namespace: str) -> None:
        """The namespace or its policy is not what it was: apply it again at the next use."""
        self._known.discard(namespace)

    async def _apply(self, target: Target, lease: Lease) -> None:
        namespace, default_deny = build_project(target, self._options)
        check_namespace(await self._objects.get(NAMESPACES, target.identity.namespace), self._options.installation)
        lease.require()
        await self._objects.apply(namespace, seen=None)
        crashpoint(AFTER_NAMESPACE)
        lease.require()
        try:
            await self._objects.apply(default_deny, seen=None)
        except NotFoundError:
            # Deleted between the two: the next attempt makes it again.
            self.forget(target.identity.namespace)
            raise
