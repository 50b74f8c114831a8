"""One leader's session: four watches and the writer of transitions, from election to the end of the epoch."""

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.contracts.kubernetes import LABEL_CNPG_CLUSTER, LABEL_INSTALLATION
from postern_common.errors import DependencyDownError
from postern_common.kube.client import KubeApi
from postern_common.kube.paths import CLUSTERS, EVENTS, PERSISTENT_VOLUME_CLAIMS, PODS
from postern_common.kube.watch import ListWatch, WatchTiming
from postern_common.persistence import UnitOfWorkFactory, read_installation
from postern_common.runtime import crashpoint
from postern_watcher.domain.facts import PodFacts, VolumeFacts
from postern_watcher.metrics import DATABASES, EXPIRED, FAILURES, LAST_LINE_AGE, LISTS, THROTTLED
from postern_watcher.observers.sinks import ClusterSink, OwnedSink, WarningSink
from postern_watcher.services.transitions import TransitionService
from postern_watcher.storage.wire import decode_cluster, decode_pod, decode_volume, decode_warning

METRICS_SECONDS = 5.0
_REQUIRED = ("clusters", "pods", "volumes")
"""Nothing is derived before these were listed once: an absence must mean something. Events only explain."""


class WatchSessions:
    """Makes a session per epoch and knows how the running one is doing."""

    def __init__(
        self,
        *,
        client: KubeApi,
        engine: AsyncEngine,
        units: UnitOfWorkFactory,
        fenced: Callable[[], None],
        timing: WatchTiming | None = None,
    ) -> None:
        self._client = client
        self._engine = engine
        self._units = units
        self._fenced = fenced
        self._timing = timing
        self._watches: dict[str, ListWatch[Any]] = {}

    async def run(self, epoch: int) -> None:
        """Watch and write until cancelled. Raises ``TransientError`` when the database cannot be read at the start."""
        installation = await read_installation(self._engine)
        transitions = TransitionService(engine=self._engine, units=self._units, epoch=epoch, fenced=self._fenced)
        await transitions.load()
        watches = self._build(installation)
        missing = set(_REQUIRED)

        def listed(collection: str) -> Callable[[], None]:
            def completed() -> None:
                crashpoint("after_list")
                missing.discard(collection)
                if not missing:
                    transitions.start()

            return completed

        sightings = transitions.sightings
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(transitions.run(), name="transitions")
                group.create_task(watches["clusters"].run(ClusterSink(sightings, listed("clusters"))), name="clusters")
                group.create_task(watches["pods"].run(OwnedSink(sightings, PodFacts, listed("pods"))), name="pods")
                volumes = OwnedSink(sightings, VolumeFacts, listed("volumes"))
                group.create_task(watches["volumes"].run(volumes), name="volumes")
                group.create_task(watches["events"].run(WarningSink(sightings)), name="events")
                group.create_task(self._measure(transitions), name="measure")
        finally:
            self._watches = {}

    @property
    def collections(self) -> tuple[str, ...]:
        """What is being watched: nothing between two sessions."""
        return tuple(self._watches)

    def watch(self, collection: str) -> ListWatch[Any]:
        """The running watch of a collection. Raises ``KeyError`` between two sessions."""
        return self._watches[collection]

    async def check(self) -> None:
        """Readiness: raises ``DependencyDownError`` in words when what must be watched cannot be."""
        if not self._watches:
            raise DependencyDownError("listing", "watching has not begun yet")
        for collection, watch in self._watches.items():
            status = watch.status
            if collection in _REQUIRED and not status.synced:
                error = status.last_error
                code = error.code if error is not None else "listing"
                detail = error.detail if error is not None else "the first list is not complete yet"
                raise DependencyDownError(code, f"{collection} cannot be watched: {detail}")
            if status.last_error is not None and not status.connected:
                raise DependencyDownError(
                    status.last_error.code, f"the watch of {collection} is down: {status.last_error.detail}"
                )

    def _build(self, installation: str) -> dict[str, ListWatch[Any]]:
        owned = LABEL_CNPG_CLUSTER
        client, timing = self._client, self._timing
        self._watches = {
            "clusters": ListWatch(
                client,
                CLUSTERS.collection(),
                decoder=decode_cluster,
                label_selector=f"{LABEL_INSTALLATION}={installation}",
                timing=timing,
            ),
            "pods": ListWatch(client, PODS.collection(), decoder=decode_pod, label_selector=owned, timing=timing),
            "volumes": ListWatch(
                client,
                PERSISTENT_VOLUME_CLAIMS.collection(),
                decoder=decode_volume,
                label_selector=owned,
                timing=timing,
            ),
            "events": ListWatch(
                client, EVENTS.collection(), decoder=decode_warning, field_selector="type=Warning", timing=timing
            ),
        }
        return self._watches

    async def _measure(self, transitions: TransitionService) -> None:
        loop = asyncio.get_running_loop()
        while True:
            DATABASES.set(len(transitions.sightings))
            for collection, watch in self._watches.items():
                status = watch.status
                LISTS.labels(collection).set(status.lists)
                EXPIRED.labels(collection).set(status.expired)
                THROTTLED.labels(collection).set(status.throttled)
                FAILURES.labels(collection).set(status.failures)
                LAST_LINE_AGE.labels(collection).set(loop.time() - status.last_line_at if status.last_line_at else 0.0)
            await asyncio.sleep(METRICS_SECONDS)
