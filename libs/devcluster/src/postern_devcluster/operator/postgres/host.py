"""What this machine lends to all clusters: programs, the account, directories, addresses and the clean-up at start."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from postern_devcluster.operator.network.addresses import AddressBook
from postern_devcluster.operator.postgres.account import data_root, server_account, socket_root
from postern_devcluster.operator.postgres.binaries import find_installations
from postern_devcluster.operator.postgres.cluster import PostgresCluster
from postern_devcluster.operator.postgres.layout import ClusterLayout
from postern_devcluster.operator.postgres.process import running_pid, strays
from postern_devcluster.operator.postgres.templates import TemplateCache
from postern_devcluster.operator.runtime import ClusterIdentity, ClusterRuntime

_SWEEP_SECONDS = 5.0
_CONCURRENT_TOOLS = 4

_logger = structlog.get_logger(__name__)


class PostgresHost:
    """Implements ``Host`` on this machine."""

    def __init__(self, state_dir: Path, *, binaries: Path | None = None, registry: Path | None = None) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self._account = server_account()
        self._installations = find_installations(binaries)
        self._root = data_root(state_dir, self._account)
        self._logs = state_dir / "logs"
        self._sockets = socket_root(state_dir, self._root, self._account)
        self._templates = TemplateCache(self._root / "templates", self._account, self._installations)
        self._addresses = AddressBook(state_dir) if registry is None else AddressBook(state_dir, registry=registry)
        # Two cores are the target machine: more servers starting at once only make each of them later.
        self._gate = asyncio.Semaphore(_CONCURRENT_TOOLS)

    @property
    def majors(self) -> Sequence[int]:
        """Installed major versions, ascending."""
        return self._installations.majors

    @property
    def _clusters(self) -> Path:
        return self._root / "clusters"

    async def warm_up(self) -> None:
        """Make the templates before the first cluster asks for one."""
        for major in reversed(self.majors):
            await self._templates.ensure(major)

    def cluster(self, identity: ClusterIdentity, on_exit: Callable[[], None]) -> ClusterRuntime:
        """Return the runtime of one cluster."""
        self._account.make_directory(self._clusters)
        return PostgresCluster(
            layout=ClusterLayout(
                root=self._clusters / identity.uid,
                sockets=self._sockets,
                logs=self._logs / identity.uid,
                uid=identity.uid,
                account=self._account,
            ),
            installations=self._installations,
            templates=self._templates,
            addresses=self._addresses,
            gate=self._gate,
            on_exit=on_exit,
        )

    def service_address(self, identity: ClusterIdentity, service: str) -> str:
        """Return the address of a Service; it stays the same as long as the cluster exists."""
        return self._addresses.assign(f"{identity.uid}/-{service}")

    def release(self, identity: ClusterIdentity) -> None:
        """Give back the Services' addresses of a cluster that is gone."""
        for service in ("rw", "ro", "r"):
            self._addresses.release(f"{identity.uid}/-{service}")

    async def sweep(self, uids: Sequence[str]) -> None:
        """End processes and delete data of clusters that are not among these."""
        known = set(uids)
        doomed = (
            [path for path in self._clusters.glob("*/") if path.name not in known] if self._clusters.is_dir() else []
        )
        for path in doomed:
            pids = {pid for data in path.glob("*/pgdata") if (pid := running_pid(data)) is not None}
            await _end(pids | set(strays(path)))
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
            await asyncio.to_thread(shutil.rmtree, self._logs / path.name, ignore_errors=True)
            _logger.info("orphan_cluster_removed", uid=path.name, processes=len(pids))
        self._addresses.release_all_but(known)


async def _end(pids: set[int]) -> None:
    """End processes whose data are about to be deleted: nobody waits for their clients."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
    deadline = asyncio.get_running_loop().time() + _SWEEP_SECONDS
    while any(_exists(pid) for pid in pids):
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(0.02)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
