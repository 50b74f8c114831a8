"""What the operator remembers of one cluster between passes: its servers, proxies, and when to retry a failed start.

Nothing here is needed to decide rightly: an operator that starts anew finds everything in the API and on disk.
"""

import asyncio
from collections.abc import Callable

from postern_common.kube.paths import Resource
from postern_devcluster.operator.domain.manifests import SERVICES
from postern_devcluster.operator.network.proxy import ServiceProxy
from postern_devcluster.operator.runtime import Certificates, ClusterIdentity, ClusterRuntime, Host
from postern_devcluster.operator.scene import Scene

_FIRST_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 30.0
_HELD_SECONDS = 2.0


class Attendant:
    """Long-lived state of one incarnation of a cluster."""

    def __init__(self, identity: ClusterIdentity, host: Host, on_exit: Callable[[], None], *, proxied: bool) -> None:
        self.identity = identity
        self.runtime: ClusterRuntime = host.cluster(identity, on_exit)
        self.certificates: Certificates | None = None
        self.opened = False
        self.instances_asked: int | None = None
        """Number of instances that the disruption budgets stand for."""
        self.password: str | None = None
        """The application's password as last set in PostgreSQL by this operator."""
        self.members: dict[Resource, set[str]] = {}
        """Names of its pods and claims as the last pass left them: the watch may not have told of them yet."""
        self._retries: dict[str, tuple[float, str]] = {}
        self._proxies = (
            {kind: ServiceProxy(host.service_address(identity, kind), 5432) for kind in SERVICES} if proxied else {}
        )

    async def route(self, scene: Scene) -> None:
        """Point the Services at the instances that are ready, by their roles."""
        ready = {
            name: server for name, server in scene.runtime.instances.items() if server.ready and name in scene.pods
        }
        primary = scene.primary
        endpoints = {
            "rw": [s.address for n, s in ready.items() if n == primary and not s.standby],
            "ro": [s.address for n, s in ready.items() if n != primary and s.standby],
            "r": [s.address for s in ready.values()],
        }
        for kind, proxy in self._proxies.items():
            await proxy.set_endpoints(sorted(endpoints[kind]))

    def note_failure(self, name: str, digest: str) -> None:
        """An instance did not come up with these settings: wait before it is tried again, longer every time."""
        crashes = self.runtime.instances[name].crashes if name in self.runtime.instances else 1
        pause = min(_LONGEST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2 ** min(max(crashes - 1, 0), 8))
        self._retries[name] = (asyncio.get_running_loop().time() + pause, digest)

    def note_success(self, name: str) -> None:
        """An instance came up."""
        self._retries.pop(name, None)

    def backing_off(self, name: str, digest: str) -> bool:
        """Whether it is too early to try an instance again; other settings are tried at once."""
        until, failed_digest = self._retries.get(name, (0.0, ""))
        return failed_digest == digest and asyncio.get_running_loop().time() < until

    def next_retry(self) -> float | None:
        """Seconds until the next instance may be tried again, or one with held settings be looked at."""
        now = asyncio.get_running_loop().time()
        waits = [until - now for until, _ in self._retries.values()]
        if any(each.held for each in self.runtime.instances.values()):
            waits.append(_HELD_SECONDS)
        return max(0.05, min(waits)) if waits else None

    async def close(self, *, keep_running: bool) -> None:
        """The operator ends."""
        await self._close_proxies()
        await self.runtime.close(keep_running=keep_running)

    async def destroy(self) -> None:
        """The cluster is gone: no process and no file of it stays."""
        await self._close_proxies()
        await self.runtime.destroy()

    async def _close_proxies(self) -> None:
        for proxy in self._proxies.values():
            await proxy.close()
