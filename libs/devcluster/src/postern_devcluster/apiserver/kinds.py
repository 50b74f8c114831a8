"""The kinds that the development cluster serves, as one declarative table.

Separate because everything else (routes, storage, discovery, tables, rights) is generic over it: a further kind
is a line here.
"""

from dataclasses import dataclass

CNPG = "postgresql.cnpg.io"


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource: how it is addressed and which of Kubernetes' behaviours it has."""

    group: str
    version: str
    plural: str
    kind: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False
    """Has a /status subresource: spec and status are written by different requests."""
    generation: bool = False
    """metadata.generation counts changes outside metadata and status."""
    custom: bool = False
    """Defined by a CRD: list items carry their kind, an update must carry its resourceVersion."""
    scale: str = ""
    """The member of spec that the /scale subresource sets; empty where there is none."""
    returns_deleted: bool = False
    """DELETE answers with the object instead of a Status."""
    categories: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """``v1`` or ``group/version``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """``clusters.postgresql.cnpg.io``, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        """The name kubectl accepts for one."""
        return self.kind.lower()

    @property
    def qualified_kind(self) -> str:
        """``Cluster.postgresql.cnpg.io``, as messages about invalid objects name it."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


def _cnpg(plural: str, kind: str, *, namespaced: bool = True, status: bool = True, scale: str = "") -> Kind:
    return Kind(
        CNPG, "v1", plural, kind, namespaced=namespaced, status=status, generation=True, custom=True, scale=scale
    )


NAMESPACES = Kind("", "v1", "namespaces", "Namespace", ("ns",), namespaced=False, status=True, returns_deleted=True)
PODS = Kind("", "v1", "pods", "Pod", ("po",), status=True, generation=True, returns_deleted=True, categories=("all",))
SERVICES = Kind("", "v1", "services", "Service", ("svc",), status=True, returns_deleted=True, categories=("all",))
SECRETS = Kind("", "v1", "secrets", "Secret")
CLAIMS = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", ("pvc",), status=True, returns_deleted=True)
EVENTS = Kind("", "v1", "events", "Event", ("ev",))
NODES = Kind("", "v1", "nodes", "Node", ("no",), namespaced=False, status=True)
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease")
STORAGE_CLASSES = Kind("storage.k8s.io", "v1", "storageclasses", "StorageClass", ("sc",), namespaced=False)
CRDS = Kind(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    ("crd", "crds"),
    namespaced=False,
    status=True,
    generation=True,
)
CLUSTERS = _cnpg("clusters", "Cluster", scale="instances")
ACCESS_REVIEWS = Kind(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
"""Answered, never stored."""

KINDS: tuple[Kind, ...] = (
    NAMESPACES,
    PODS,
    SERVICES,
    SECRETS,
    CLAIMS,
    EVENTS,
    NODES,
    Kind("", "v1", "configmaps", "ConfigMap", ("cm",)),
    Kind("", "v1", "serviceaccounts", "ServiceAccount", ("sa",), returns_deleted=True),
    Kind("", "v1", "resourcequotas", "ResourceQuota", ("quota",), status=True, returns_deleted=True),
    Kind("", "v1", "limitranges", "LimitRange", ("limits",), returns_deleted=True),
    Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", ("netpol",), generation=True),
    LEASES,
    STORAGE_CLASSES,
    Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", ("pdb",), status=True, generation=True),
    Kind("batch", "v1", "jobs", "Job", status=True, generation=True, categories=("all",)),
    Kind("apps", "v1", "deployments", "Deployment", ("deploy",), status=True, generation=True, categories=("all",)),
    CRDS,
    CLUSTERS,
    _cnpg("poolers", "Pooler", scale="instances"),
    _cnpg("backups", "Backup"),
    _cnpg("scheduledbackups", "ScheduledBackup"),
    _cnpg("databases", "Database"),
    _cnpg("databaseroles", "DatabaseRole"),
    _cnpg("imagecatalogs", "ImageCatalog", status=False),
    _cnpg("clusterimagecatalogs", "ClusterImageCatalog", namespaced=False, status=False),
)

BY_RESOURCE: dict[tuple[str, str, str], Kind] = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
BY_KIND: dict[tuple[str, str], Kind] = {(kind.api_version, kind.kind): kind for kind in KINDS}
BY_NAME: dict[str, Kind] = {kind.resource: kind for kind in KINDS}
