"""Instances that exist in memory only: statuses move as if servers ran, a thousand cost next to nothing."""

from collections.abc import Callable, Mapping, Sequence

from postern_devcluster.operator.domain.settings import STANDBY_SENSITIVE
from postern_devcluster.operator.runtime import Certificates, ClusterIdentity, ClusterRuntime, Instance, Settings

_ADDRESS = "127.0.0.1"
_RESTART_NEEDED = frozenset(
    {*STANDBY_SENSITIVE, "shared_buffers", "wal_buffers", "shared_preload_libraries", "max_files_per_process"}
)
_SYSTEM_ID = "7710216002140655637"


class SimulatedCluster:
    """Implements ``ClusterRuntime`` without a process."""

    def __init__(self) -> None:
        self._instances: dict[str, Instance] = {}
        self._settings = Settings(0)
        self._timeline = 1
        self._running_with: dict[str, Settings] = {}

    @property
    def instances(self) -> Mapping[str, Instance]:
        """Instances by name."""
        return self._instances

    async def open(self, names: Sequence[str]) -> None:
        """Memory is empty after a restart: what has a claim is taken to have data."""
        for name in names:
            self._instance(name).has_data = True

    async def configure(self, settings: Settings, certificates: Certificates) -> None:  # noqa: ARG002 — nobody connects
        """Keep the settings."""
        self._settings = settings

    async def initialise(self, name: str) -> None:
        """Pretend to have data."""
        self._instance(name).has_data = True

    async def clone(self, name: str, primary: str) -> None:  # noqa: ARG002 — there is nothing to copy
        """Pretend to have data."""
        self._instance(name).has_data = True

    async def rejoin(self, name: str, primary: str) -> None:
        """Nothing diverges."""

    async def start(self, name: str, primary: str) -> None:
        """Be ready at once."""
        instance = self._instance(name)
        instance.running = instance.ready = instance.has_data = True
        instance.standby, instance.exited, instance.pending_restart = name != primary, False, False
        instance.timeline, instance.system_id, instance.digest = self._timeline, _SYSTEM_ID, self._settings.digest
        self._running_with[name] = self._settings

    async def stop(self, name: str) -> None:
        """Be stopped at once."""
        instance = self._instance(name)
        instance.running = instance.ready = False

    async def reload(self, name: str, primary: str) -> list[str]:
        """Take over settings; some of them wait for a restart."""
        instance = self._instance(name)
        instance.digest, instance.standby = self._settings.digest, name != primary
        before, now = self._running_with.get(name, self._settings).parameters, self._settings.parameters
        instance.pending_restart = any(before.get(each) != now.get(each) for each in _RESTART_NEEDED)
        return []

    async def release_held(self, primary: str) -> None:
        """Nothing is replayed, so nothing is held."""

    async def promote(self, name: str) -> None:
        """Begin a new timeline."""
        if self._instance(name).standby:
            self._timeline += 1
        self._instance(name).standby, self._instance(name).timeline = False, self._timeline

    async def position(self, name: str) -> int:  # noqa: ARG002 — all are equal
        """All standbys have everything."""
        return 0

    async def prepare(self, primary: str, *, database: str, owner: str, password: str) -> None:
        """There is no server to prepare."""

    async def set_password(self, primary: str, role: str, password: str) -> None:
        """There is no role."""

    async def sync_slots(self, primary: str, standbys: Sequence[str]) -> None:
        """There are no slots."""

    async def remove(self, name: str) -> None:
        """Forget an instance."""
        self._instances.pop(name, None)

    async def destroy(self) -> None:
        """Forget all instances."""
        self._instances.clear()

    async def close(self, *, keep_running: bool) -> None:
        """There is nothing to stop."""

    def _instance(self, name: str) -> Instance:
        return self._instances.setdefault(name, Instance(name, _ADDRESS))


class SimulatedHost:
    """Implements ``Host`` without a machine: every version can be run, every Service answers nowhere."""

    majors: Sequence[int] = tuple(range(14, 19))

    async def warm_up(self) -> None:
        """Nothing is slow."""

    def cluster(self, identity: ClusterIdentity, on_exit: Callable[[], None]) -> ClusterRuntime:  # noqa: ARG002 — nothing exits
        """Return a cluster of nothing."""
        return SimulatedCluster()

    def service_address(self, identity: ClusterIdentity, service: str) -> str:  # noqa: ARG002 — all the same
        """Return an address where nobody answers."""
        return _ADDRESS

    def release(self, identity: ClusterIdentity) -> None:
        """Nothing was reserved."""

    async def sweep(self, uids: Sequence[str]) -> None:
        """There is nothing to clean up."""
