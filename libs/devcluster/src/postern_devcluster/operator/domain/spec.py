"""What a Cluster object asks for, read once and typed. Pure; unknown fields are left alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postern_common.contracts.kubernetes import ANNOTATION_HIBERNATION, ANNOTATION_RESTARTED_AT, DATABASE_NAME
from postern_devcluster.operator.runtime import ClusterIdentity, Settings


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """The desired state of one Cluster. ``image`` and its ``major`` are resolved before (catalogues live elsewhere).

    ``settings.major`` is that of the data, which a changed image does not change.
    """

    identity: ClusterIdentity
    instances: int
    image: str
    major: int
    storage_size: str
    storage_class: str | None
    resources: Mapping[str, Any]
    settings: Settings
    database: str
    owner: str
    app_secret: str
    restarted_at: str | None
    hibernation: str | None
    budget: bool

    @property
    def name(self) -> str:
        """Name of the Cluster."""
        return self.identity.name

    @property
    def namespace(self) -> str:
        """Namespace of the Cluster."""
        return self.identity.namespace


def identity_of(cluster: Mapping[str, Any]) -> ClusterIdentity:
    """Return which incarnation a Cluster object is."""
    metadata = cluster["metadata"]
    return ClusterIdentity(metadata["namespace"], metadata["name"], metadata["uid"])


def read_spec(cluster: Mapping[str, Any], image: str, major: int) -> ClusterSpec:
    """Return the desired state of a Cluster object."""
    spec = cluster.get("spec") or {}
    annotations = cluster["metadata"].get("annotations") or {}
    postgresql = spec.get("postgresql") or {}
    bootstrap = (spec.get("bootstrap") or {}).get("initdb") or {}
    storage = spec.get("storage") or {}
    database = bootstrap.get("database") or DATABASE_NAME
    data_image = (cluster.get("status") or {}).get("pgDataImageInfo") or {}
    data_major = int(data_image.get("majorVersion") or major)
    parameters = {str(name): str(value) for name, value in (postgresql.get("parameters") or {}).items()}
    return ClusterSpec(
        identity=identity_of(cluster),
        instances=max(1, int(spec.get("instances") or 1)),
        image=image,
        major=major,
        storage_size=str(storage.get("size") or "1Gi"),
        storage_class=storage.get("storageClass"),
        resources=spec.get("resources") or {},
        settings=Settings(data_major, parameters, tuple(postgresql.get("pg_hba") or ())),
        database=database,
        owner=bootstrap.get("owner") or database,
        app_secret=(bootstrap.get("secret") or {}).get("name") or f"{cluster['metadata']['name']}-app",
        restarted_at=annotations.get(ANNOTATION_RESTARTED_AT),
        hibernation=annotations.get(ANNOTATION_HIBERNATION),
        budget=spec.get("enablePDB", True) is not False,
    )
