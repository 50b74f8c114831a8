"""Which path of the API an object lives at: pure, and the one table of the kinds that Postern reads or writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from postern_common.contracts.kubernetes import CNPG_GROUP, CNPG_VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind and where it is served. ``group`` is empty for core/v1."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``apiVersion`` as manifests spell it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, namespace: str | None = None) -> str:
        """Path of the collection; without ``namespace`` that of the whole cluster."""
        return collection_path(self.group, self.version, self.plural, namespace)

    def object(self, name: str, namespace: str | None = None, *, subresource: str | None = None) -> str:
        """Path of one object, or of its ``subresource``."""
        return object_path(self.group, self.version, self.plural, name, namespace, subresource=subresource)


NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICES = Resource("", "v1", "services", "Service")
PODS = Resource("", "v1", "pods", "Pod")
PERSISTENT_VOLUME_CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
EVENTS = Resource("", "v1", "events", "Event")
STORAGE_CLASSES = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
CLUSTERS = Resource(CNPG_GROUP, CNPG_VERSION, "clusters", "Cluster")
POOLERS = Resource(CNPG_GROUP, CNPG_VERSION, "poolers", "Pooler")
BACKUPS = Resource(CNPG_GROUP, CNPG_VERSION, "backups", "Backup")
SCHEDULED_BACKUPS = Resource(CNPG_GROUP, CNPG_VERSION, "scheduledbackups", "ScheduledBackup")
POD_MONITORS = Resource("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor")
ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)

_KNOWN = (
    NAMESPACES, SECRETS, SERVICES, PODS, PERSISTENT_VOLUME_CLAIMS, EVENTS, STORAGE_CLASSES, NETWORK_POLICIES, CLUSTERS,
    POOLERS, BACKUPS, SCHEDULED_BACKUPS, POD_MONITORS, ACCESS_REVIEWS,
)  # fmt: skip
BY_KIND: dict[tuple[str, str], Resource] = {(r.api_version, r.kind): r for r in _KNOWN}


def group_path(group: str, version: str) -> str:
    """Path under which a group's kinds are discovered: ``/api/v1`` or ``/apis/<group>/<version>``."""
    return f"/apis/{quote(group, safe='')}/{quote(version, safe='')}" if group else f"/api/{quote(version, safe='')}"


def collection_path(group: str, version: str, plural: str, namespace: str | None = None) -> str:
    """Path of a collection, in one namespace or (None) in the whole cluster. Segments are quoted."""
    root = group_path(group, version)
    if namespace is None:
        return f"{root}/{quote(plural, safe='')}"
    return f"{root}/namespaces/{quote(namespace, safe='')}/{quote(plural, safe='')}"


def object_path(
    group: str, version: str, plural: str, name: str, namespace: str | None = None, *, subresource: str | None = None
) -> str:
    """Path of one object. Names come from databases, so each segment is quoted: none can reach another path."""
    path = f"{collection_path(group, version, plural, namespace)}/{quote(name, safe='')}"
    return path if subresource is None else f"{path}/{quote(subresource, safe='')}"


def resource_of(manifest: Mapping[str, Any]) -> Resource:
    """The table's row for a manifest. Raises ``KeyError`` for a kind that Postern does not know."""
    return BY_KIND[manifest["apiVersion"], manifest["kind"]]


def manifest_path(manifest: Mapping[str, Any]) -> str:
    """Path of the object that a manifest describes."""
    metadata = manifest["metadata"]
    return resource_of(manifest).object(metadata["name"], metadata.get("namespace"))
