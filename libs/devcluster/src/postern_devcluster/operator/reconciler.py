"""One pass over one cluster: read its objects, then decide and act until there is nothing left to do.

Level-triggered: a pass needs no memory of why it was asked for, may be cut off anywhere and is simply made again.
"""

import asyncio
from collections.abc import Callable

import structlog

from postern_common.contracts.kubernetes import LABEL_CNPG_CLUSTER
from postern_common.errors import TransientError
from postern_common.kube.paths import CLUSTERS, PERSISTENT_VOLUME_CLAIMS, PODS, Resource
from postern_devcluster.operator.attendant import Attendant
from postern_devcluster.operator.clock import now_seconds
from postern_devcluster.operator.demolition import Demolition
from postern_devcluster.operator.domain.manifests import LABEL_INSTANCE, LABEL_POD_ROLE
from postern_devcluster.operator.domain.phases import BAD_CATALOG, set_phase
from postern_devcluster.operator.domain.plan import decide
from postern_devcluster.operator.domain.spec import ClusterSpec, identity_of
from postern_devcluster.operator.domain.step import AwaitInstances, Rest
from postern_devcluster.operator.foundation import Foundation
from postern_devcluster.operator.objects import Object, ObjectStore
from postern_devcluster.operator.performer import Performer
from postern_devcluster.operator.runtime import Host
from postern_devcluster.operator.scene import Scene
from postern_devcluster.operator.steps.creation import Creation
from postern_devcluster.operator.surroundings import Surroundings
from postern_devcluster.operator.survey import survey

Key = tuple[str, str]
"""Namespace and name of a Cluster."""
Members = Callable[[Resource, Key], frozenset[str] | None]
"""Names of a cluster's pods or claims as a watch has told so far; None while it has told nothing."""

_MOST_STEPS = 100
_OBSTACLE_RETRY_SECONDS = 15.0

_logger = structlog.get_logger(__name__)


class Reconciler:
    """Reconciles clusters, one pass at a time for each; different clusters at the same time."""

    def __init__(
        self, store: ObjectStore, host: Host, *, on_exit: Callable[[Key], None], members: Members, proxied: bool
    ) -> None:
        self._store = store
        self._members = members
        self._host = host
        self._on_exit = on_exit
        self._proxied = proxied
        self._attendants: dict[Key, Attendant] = {}
        self._foundation = Foundation(store, host)
        self._demolition = Demolition(store, host)
        self._surroundings = Surroundings(store, tuple(host.majors))
        self._performer = Performer(Creation(self._surroundings, self._foundation.app_password))

    async def start(self) -> None:
        """Do once what every pass relies on."""
        await self._surroundings.ensure()

    async def sweep(self, uids: set[str]) -> None:
        """Remove what is left of clusters that were deleted while no operator ran."""
        await self._host.sweep(sorted(uids))
        await self._demolition.sweep(uids)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one cluster nearer to what is asked; returns seconds until it must be looked at again."""
        namespace, name = key
        cluster = await self._store.get(CLUSTERS, name, namespace)
        attendant = self._attendants.get(key)
        gone = cluster is None or "deletionTimestamp" in cluster["metadata"]
        if attendant is not None and (gone or cluster is None or cluster["metadata"]["uid"] != attendant.identity.uid):
            await self._demolition.demolish(attendant)
            del self._attendants[key]
        if cluster is None or gone:
            return None
        spec = await self._surroundings.resolve(cluster)
        if spec is None:
            return await self._refuse_catalog(cluster)
        attendant = self._attendants.get(key)
        if attendant is None:
            attendant = self._attendants[key] = self._attendant(key, cluster)
        scene = await self._scene(cluster, spec, attendant)
        try:
            return await self._advance(scene, attendant)
        finally:
            attendant.members = {PODS: {*scene.pods, *scene.jobs}, PERSISTENT_VOLUME_CLAIMS: set(scene.claims)}

    async def set_password(self, key: Key, password: str) -> None:
        """Make the application's role have the password that its secret has."""
        attendant = self._attendants.get(key)
        if attendant is None or attendant.password == password:
            return
        cluster = await self._store.get(CLUSTERS, key[1], key[0])
        spec = None if cluster is None else await self._surroundings.resolve(cluster)
        if spec is None or cluster is None:
            return
        primary = (cluster.get("status") or {}).get("currentPrimary")
        server = attendant.runtime.instances.get(primary or "")
        if server is not None and server.ready and not server.standby:
            await attendant.runtime.set_password(server.name, spec.owner, password)
            attendant.password = password

    async def close(self, *, keep_running: bool) -> None:
        """The operator ends: stop all servers, or leave them to the next operator."""
        await asyncio.gather(*(each.close(keep_running=keep_running) for each in self._attendants.values()))

    async def _advance(self, scene: Scene, attendant: Attendant) -> float | None:
        await self._prepare(scene, attendant)
        for _ in range(_MOST_STEPS):
            view = await survey(scene, attendant)
            step = decide(view)
            if isinstance(step, Rest | AwaitInstances):
                await scene.count()
                return attendant.next_retry()
            _logger.info(
                "cluster_step_begun", namespace=scene.spec.namespace, cluster=scene.spec.name,
                step=type(step).__name__,
            )  # fmt: skip
            if not await self._performer.perform(scene, attendant, step):
                return attendant.next_retry() or _OBSTACLE_RETRY_SECONDS
        raise TransientError("cluster_does_not_settle", f"{scene.spec.name} took more than {_MOST_STEPS} steps at once")

    async def _prepare(self, scene: Scene, attendant: Attendant) -> None:
        """Ensure what stands around the instances, and find servers that run already."""
        spec = scene.spec
        if attendant.instances_asked != spec.instances:
            await self._foundation.budgets(spec, scene.cluster)
            attendant.instances_asked = spec.instances
        if attendant.certificates is None:
            attendant.certificates, expirations = await self._foundation.certificates(spec)
            await self._foundation.app_password(spec)
            await self._foundation.services(spec)
            await scene.update(lambda status: status.setdefault("certificates", {}).update(expirations=expirations))
        await attendant.runtime.configure(spec.settings, attendant.certificates)
        await scene.update(lambda status: status.update(image=spec.image))
        if not attendant.opened:
            await attendant.runtime.open(sorted(scene.claims))
            await self._performer.resume(scene, attendant)
            attendant.opened = True
        if scene.primary is not None:
            await attendant.runtime.release_held(scene.primary)

    async def _scene(self, cluster: Object, spec: ClusterSpec, attendant: Attendant) -> Scene:
        pods = await self._read_members(PODS, spec, attendant)
        claims = await self._read_members(PERSISTENT_VOLUME_CLAIMS, spec, attendant)
        return Scene(
            store=self._store,
            cluster=cluster,
            spec=spec,
            runtime=attendant.runtime,
            pods=_living([pod for pod in pods if LABEL_POD_ROLE in pod["metadata"]["labels"]], spec),
            claims=_living(claims, spec),
            jobs=list(_living([pod for pod in pods if LABEL_POD_ROLE not in pod["metadata"]["labels"]], spec)),
            surroundings=self._surroundings,
            route=attendant.route,
        )

    async def _read_members(self, resource: Resource, spec: ClusterSpec, attendant: Attendant) -> list[Object]:
        """Read a cluster's pods or claims: those that the watch told of, and those of the last pass, as it may lag.

        By name, since a list looks at every object of the namespace: a thousand clusters would each pay for all.
        """
        known = self._members(resource, (spec.namespace, spec.name))
        if known is None:
            return await self._store.list(
                resource, f"{LABEL_CNPG_CLUSTER}={spec.name},{LABEL_INSTANCE}", spec.namespace
            )
        names = sorted(known | attendant.members.get(resource, set()))
        found = await asyncio.gather(*(self._store.get(resource, name, spec.namespace) for name in names))
        return [item for item in found if item is not None and _belongs(item, spec)]

    async def _refuse_catalog(self, cluster: Object) -> float:
        status = dict(cluster.get("status") or {})
        set_phase(status, BAD_CATALOG, "the image catalog has no image of this major version", now=now_seconds())
        if status != cluster.get("status"):
            await self._store.put_status(CLUSTERS, {**cluster, "status": status})
        return _OBSTACLE_RETRY_SECONDS

    def _attendant(self, key: Key, cluster: Object) -> Attendant:
        return Attendant(identity_of(cluster), self._host, lambda: self._on_exit(key), proxied=self._proxied)


def _belongs(item: Object, spec: ClusterSpec) -> bool:
    labels = item["metadata"].get("labels") or {}
    return labels.get(LABEL_CNPG_CLUSTER) == spec.name and LABEL_INSTANCE in labels


def _living(items: list[Object], spec: ClusterSpec) -> dict[str, Object]:
    """Objects of this incarnation of the cluster that are not being deleted, by name."""
    return {
        item["metadata"]["name"]: item
        for item in items
        if "deletionTimestamp" not in item["metadata"]
        and any(owner.get("uid") == spec.identity.uid for owner in item["metadata"].get("ownerReferences") or ())
    }
