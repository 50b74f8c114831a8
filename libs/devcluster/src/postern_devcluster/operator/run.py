"""Composition of the operator: everything is made here, and every task is owned here."""

import asyncio

import msgspec
import structlog

from postern_common.contracts.kubernetes import LABEL_CNPG_CLUSTER
from postern_common.kube.client import KubeApi, KubeClient
from postern_common.kube.paths import CLUSTERS, PERSISTENT_VOLUME_CLAIMS, PODS, SECRETS
from postern_common.kube.watch import ListWatch
from postern_common.runtime.tasks import TaskOwner
from postern_devcluster.operator.domain.manifests import LABEL_USER_TYPE
from postern_devcluster.operator.objects import ObjectStore
from postern_devcluster.operator.options import OperatorOptions
from postern_devcluster.operator.postgres.host import PostgresHost
from postern_devcluster.operator.queue import KeyedQueue
from postern_devcluster.operator.reconciler import Key, Reconciler
from postern_devcluster.operator.runtime import Host
from postern_devcluster.operator.simulation import SimulatedHost
from postern_devcluster.operator.watches import (
    ClusterSink,
    MemberSink,
    PasswordSink,
    WatchedCluster,
    WatchedItem,
    WatchedSecret,
)

_WORKERS = 16
_STOP_SECONDS = 20.0

_logger = structlog.get_logger(__name__)


async def run_operator(options: OperatorOptions, stop: asyncio.Event) -> None:
    """Run every Cluster of the API server until ``stop`` is set, then stop the PostgreSQL processes (or keep them).

    Raises TaskExitedError when a part of it failed; the PostgreSQL processes are stopped then, too.
    """
    client = await KubeClient.connect(None if options.kubeconfig is None else str(options.kubeconfig))
    try:
        await run_with(client, make_host(options), stop, options)
    finally:
        await client.close()


def make_host(options: OperatorOptions) -> Host:
    """Return what runs instances: this machine, or nothing."""
    if not options.run_postgres:
        return SimulatedHost()
    return PostgresHost(options.state_dir, binaries=options.postgres_bin, registry=options.address_registry)


async def run_with(client: KubeApi, host: Host, stop: asyncio.Event, options: OperatorOptions) -> None:
    """Run the operator with a client and a host that somebody else made."""
    operator = _Operator(client, host, proxied=options.run_postgres)
    owner = TaskOwner()
    owner.spawn(host.warm_up(), name="operator-warm-up", finite=True)
    operator.spawn_all(owner)
    try:
        await owner.run_until(stop)
    finally:
        async with asyncio.timeout(_STOP_SECONDS):
            await operator.close(keep_running=options.keep_running)
        _logger.info("operator_stopped", kept=options.keep_running)


class _Operator:
    """Queues, watches and the reconciler, wired."""

    def __init__(self, client: KubeApi, host: Host, *, proxied: bool) -> None:
        self._client = client
        self._clusters: KeyedQueue[Key] = KeyedQueue(self._work)
        self._passwords = PasswordSink(self._clusters.add)
        self._members = {each: MemberSink(self._clusters.add) for each in (PODS, PERSISTENT_VOLUME_CLAIMS)}
        self._reconciler = Reconciler(
            ObjectStore(client),
            host,
            on_exit=self._clusters.interrupt,
            members=lambda resource, key: self._members[resource].names(key),
            proxied=proxied,
        )

    def spawn_all(self, owner: TaskOwner) -> None:
        """Start workers and watches."""
        for number in range(_WORKERS):
            owner.spawn(self._clusters.run_worker(), name=f"operator-worker-{number}")
        clusters = ListWatch(self._client, CLUSTERS.collection(), decoder=msgspec.json.Decoder(WatchedCluster).decode)
        sink = ClusterSink(self._clusters.add, self._clusters.interrupt, self._first_list)
        owner.spawn(clusters.run(sink), name="operator-watch-clusters")
        for resource, members in self._members.items():
            items = ListWatch(
                self._client,
                resource.collection(),
                decoder=msgspec.json.Decoder(WatchedItem).decode,
                label_selector=LABEL_CNPG_CLUSTER,
            )
            owner.spawn(items.run(members), name=f"operator-watch-{resource.plural}")
        secrets = ListWatch(
            self._client,
            SECRETS.collection(),
            decoder=msgspec.json.Decoder(WatchedSecret).decode,
            label_selector=f"{LABEL_USER_TYPE}=app",
        )
        owner.spawn(secrets.run(self._passwords), name="operator-watch-secrets")

    async def close(self, *, keep_running: bool) -> None:
        """Stop what runs on this machine."""
        await self._reconciler.close(keep_running=keep_running)

    async def _first_list(self, uids: set[str]) -> None:
        await self._reconciler.start()
        await self._reconciler.sweep(uids)

    async def _work(self, key: Key) -> float | None:
        pause = await self._reconciler.reconcile(key)
        password = self._passwords.passwords.get(key)
        if password is not None:
            await self._reconciler.set_password(key, password)
        return pause
