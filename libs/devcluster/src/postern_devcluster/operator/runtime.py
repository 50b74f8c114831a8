"""The port between decisions about a cluster and what runs it: real PostgreSQL processes, or nothing but memory.

Two implementations pass one suite: ``postgres.cluster.PostgresCluster`` and ``simulation.SimulatedCluster``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from postern_devcluster.operator.domain.settings import settings_hash


@dataclass(frozen=True, slots=True)
class ClusterIdentity:
    """One incarnation of a Cluster: a name that is made again has another uid and shares nothing."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What every instance of a cluster has in common."""

    major: int
    parameters: Mapping[str, str] = field(default_factory=dict)
    hba: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """Moves exactly when configuration files have to be written again."""
        return settings_hash(self.parameters, self.hba)


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM texts of the cluster's CA certificate and its server certificate and key."""

    ca_certificate: str
    certificate: str
    key: str


@dataclass(slots=True)
class Instance:
    """What is known of one instance on this machine; the runtime keeps it current."""

    name: str
    address: str
    log_file: str | None = None
    has_data: bool = False
    running: bool = False
    ready: bool = False
    standby: bool = False
    exited: bool = False
    """It ended without being asked to, and has not been started since."""
    crashes: int = 0
    """Failed starts since it last was ready."""
    timeline: int = 0
    system_id: str = ""
    pending_restart: bool = False
    shrinks: bool = False
    """A parameter that waits for a restart is to become less than a standby may have."""
    held: bool = False
    """A standby that runs with more of a setting than is configured, as its primary did at the WAL it replays."""
    faulty: bool = False
    """Its configuration files hold a fault that PostgreSQL does not start with."""
    digest: str = ""
    """Settings.digest of the configuration it has loaded."""


class ClusterRuntime(Protocol):
    """Runs the instances of one cluster. Every call is idempotent and safe to cancel."""

    @property
    def instances(self) -> Mapping[str, Instance]:
        """Instances with data or a process on this machine, by name."""

    async def open(self, names: Sequence[str]) -> None:
        """Look at what exists for these names and adopt what runs."""

    async def configure(self, settings: Settings, certificates: Certificates) -> None:
        """Say what instances run with from their next start or reload on."""

    async def initialise(self, name: str) -> None:
        """Make the first instance's data."""

    async def clone(self, name: str, primary: str) -> None:
        """Make a standby's data from the running primary; data that is there is replaced."""

    async def rejoin(self, name: str, primary: str) -> None:
        """Make a stopped former primary fit to follow the new one."""

    async def start(self, name: str, primary: str) -> None:
        """Start as primary when the names are equal, else as its standby, until ready. Raises InstanceStartError."""

    async def stop(self, name: str) -> None:
        """Stop, so that clients' work is finished or rolled back."""

    async def reload(self, name: str, primary: str) -> list[str]:
        """Load the configured settings; returns faults that would keep the server from starting."""

    async def release_held(self, primary: str) -> None:
        """Look at instances that hold settings; one that need not any more has a pending restart afterwards."""

    async def promote(self, name: str) -> None:
        """Make a standby the primary."""

    async def position(self, name: str) -> int:
        """Bytes of WAL that a standby has."""

    async def prepare(self, primary: str, *, database: str, owner: str, password: str) -> None:
        """Make roles and the application's database on the primary."""

    async def set_password(self, primary: str, role: str, password: str) -> None:
        """Change a role's password."""

    async def sync_slots(self, primary: str, standbys: Sequence[str]) -> None:
        """Keep one replication slot on the primary for each standby."""

    async def remove(self, name: str) -> None:
        """Stop an instance and delete its data."""

    async def destroy(self) -> None:
        """Stop everything and delete all data of this cluster."""

    async def close(self, *, keep_running: bool) -> None:
        """The operator ends: stop the instances, or leave them to the next operator."""


class Host(Protocol):
    """Makes cluster runtimes and cleans up after clusters that are gone."""

    @property
    def majors(self) -> Sequence[int]:
        """PostgreSQL major versions that can run here, ascending."""

    def cluster(self, identity: ClusterIdentity, on_exit: Callable[[], None]) -> ClusterRuntime:
        """Return the runtime of a cluster; ``on_exit`` is called when an instance ended by itself."""

    def service_address(self, identity: ClusterIdentity, service: str) -> str:
        """Return the address reserved for a Service (``rw``, ``ro`` or ``r``) of a cluster."""

    def release(self, identity: ClusterIdentity) -> None:
        """Give back what was reserved for a cluster that is gone."""

    async def warm_up(self) -> None:
        """Do what would make the first cluster slow."""

    async def sweep(self, uids: Sequence[str]) -> None:
        """End processes and delete data of clusters that are not among these."""
