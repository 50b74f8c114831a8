"""What a pod finds around it: storage classes, memory, image catalogues and the versions that can run here."""

from fractions import Fraction
from typing import Any

from postern_common.kube.paths import STORAGE_CLASSES
from postern_devcluster.operator.domain.admission import Obstacle, find_obstacle
from postern_devcluster.operator.domain.images import default_image, major_of
from postern_devcluster.operator.domain.quantities import parse_quantity
from postern_devcluster.operator.domain.spec import ClusterSpec, read_spec
from postern_devcluster.operator.objects import CATALOGS, CLUSTER_CATALOGS, NODES, Object, ObjectStore

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


class Surroundings:
    """Reads the cluster-wide objects that decide whether a pod can run."""

    def __init__(self, store: ObjectStore, majors: tuple[int, ...]) -> None:
        self._store = store
        self.majors = majors

    async def ensure(self) -> None:
        """Make the two storage classes and the node of a development cluster where the API has none at all."""
        if not await self._store.list(STORAGE_CLASSES):
            for name, expandable in (("standard", True), ("fixed", False)):
                await self._store.ensure(STORAGE_CLASSES, _storage_class(name, expandable=expandable))
        if not await self._store.list(NODES):
            node = await self._store.ensure(
                NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "postern-dev"}}
            )
            capacity = {"cpu": "16", "memory": "64Gi", "pods": "1000"}
            ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
            status = {"capacity": capacity, "allocatable": capacity, "conditions": [ready]}
            await self._store.put_status(NODES, {**node, "status": status})

    async def storage_class(self, name: str | None) -> Object | None:
        """Return a storage class, or the default one when none is named; None when there is no such class."""
        if name is not None:
            return await self._store.get(STORAGE_CLASSES, name)
        classes = await self._store.list(STORAGE_CLASSES)
        marked = [c for c in classes if (c["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"]
        return next(iter(marked or classes), None)

    async def expandable(self, name: str | None) -> bool:
        """Whether volumes of a class can grow."""
        found = await self.storage_class(name)
        return bool(found is not None and found.get("allowVolumeExpansion"))

    async def obstacle(self, spec: ClusterSpec) -> Obstacle | None:
        """Return what would keep the cluster's pods from running."""
        nodes = await self._store.list(NODES)
        memory = [
            parse_quantity(node["status"]["allocatable"]["memory"])
            for node in nodes
            if "memory" in ((node.get("status") or {}).get("allocatable") or {})
        ]
        return find_obstacle(
            spec,
            majors=self.majors,
            class_exists=await self.storage_class(spec.storage_class) is not None,
            allocatable_memory=max(memory, default=Fraction(0)) if memory else None,
        )

    async def resolve(self, cluster: Object) -> ClusterSpec | None:
        """Return the desired state with its image; None when the image catalogue does not have the major version."""
        spec = cluster.get("spec") or {}
        reference = spec.get("imageCatalogRef")
        if reference is None:
            image = spec.get("imageName") or default_image(max(self.majors, default=0))
            return read_spec(cluster, image, major_of(image) or 0)
        major = int(reference.get("major") or 0)
        catalog = await self._catalog(reference, cluster["metadata"]["namespace"])
        images = ((catalog or {}).get("spec") or {}).get("images") or ()
        found = next((entry.get("image") for entry in images if entry.get("major") == major), None)
        return None if not found else read_spec(cluster, str(found), major)

    async def _catalog(self, reference: dict[str, Any], namespace: str) -> Object | None:
        name = str(reference.get("name") or "")
        if reference.get("kind") == CLUSTER_CATALOGS.kind:
            return await self._store.get(CLUSTER_CATALOGS, name)
        return await self._store.get(CATALOGS, name, namespace)


def _storage_class(name: str, *, expandable: bool) -> Object:
    annotations = {_DEFAULT_CLASS: "true"} if name == "standard" else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": "postern.dev/directory",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": expandable,
    }
