"""The few fields of Kubernetes objects that a state is derived from.

Separate from the wire form: what is not here is dropped while decoding, so that a watched cluster costs memory for its
facts only. The structs are encoded as arrays (no member names) where they rest between two changes.
"""

from collections.abc import Mapping

import msgspec

HEALTHY_PHASE = "Cluster in healthy state"


class ClusterFacts(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A CloudNativePG Cluster of ours. ``generation`` is Postern's, from the annotation, not Kubernetes' own."""

    namespace: str
    name: str
    uid: str
    resource_version: str = ""
    spec_generation: int = 0
    """Kubernetes' ``metadata.generation``: rises with every change of the spec, whoever made it."""
    deleting: bool = False
    editor: str | None = None
    """Field manager of the newest write to anything but the status, where the server tells."""

    project: str = ""
    project_id: str = ""
    database: str = ""
    database_id: str = ""

    generation: int = 0
    generation_is_ours: bool | None = None
    """Whether our field manager wrote the generation; None where the server does not tell."""
    operation_id: str | None = None
    goal: str | None = None
    traceparent: str | None = None
    hibernation: str | None = None
    restarted_at: str | None = None
    marks: str = ""
    """Fingerprint of action annotations and identity labels: part of what was asked, but not of the spec."""

    instances: int = 0
    image: str | None = None
    storage: str | None = None
    resources: Mapping[str, str] = {}
    """``limits.memory``, ``requests.cpu`` and so on to a quantity."""
    hidden: str = ""
    """Fingerprint of what was asked but leaves no trace on pods, volumes or counts (parameters, pg_hba, reload)."""

    phase: str = ""
    phase_reason: str = ""
    status_instances: int = 0
    ready_instances: int = 0
    healthy: tuple[str, ...] = ()
    current_primary: str | None = None
    target_primary: str | None = None
    status_image: str | None = None
    major: int | None = None
    resizing: bool = False
    hibernated: bool | None = None
    """The condition ``cnpg.io/hibernation``; None when it is absent."""


class ContainerFacts(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Why a container does not run. Only containers that wait, ended badly or were restarted are kept."""

    name: str
    waiting: str | None = None
    terminated: str | None = None
    exit_code: int = 0
    restarts: int = 0
    last_terminated: str | None = None
    message: str = ""


class PodFacts(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A pod of a cluster: an instance, or a job that makes one (``job`` names its role)."""

    name: str
    job: str | None = None
    pooler: bool = False
    deleting: bool = False
    ready: bool = False
    ended: bool = False
    """All its containers are done, well or badly."""
    restarted_at: str | None = None
    image: str | None = None
    resources: Mapping[str, str] = {}
    unschedulable: str | None = None
    """The scheduler's message while it finds no node."""
    unschedulable_since: float = 0.0
    containers: tuple[ContainerFacts, ...] = ()

    @property
    def is_instance(self) -> bool:
        """Whether PostgreSQL serves from this pod."""
        return self.job is None and not self.pooler


class VolumeFacts(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A PersistentVolumeClaim of a cluster. Sizes are Kubernetes quantities."""

    name: str
    data: bool = True
    """It holds PGDATA (not WAL or a tablespace)."""
    deleting: bool = False
    bound: bool = False
    storage_class: str | None = None
    requested: str | None = None
    capacity: str | None = None


class WarningFacts(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The newest Warning event of one reason about one object."""

    kind: str
    name: str
    reason: str
    message: str
    seen_at: float


def instance_pods(pods: tuple[PodFacts, ...]) -> list[PodFacts]:
    """The pods that are instances, terminating ones included."""
    return [pod for pod in pods if pod.is_instance]
