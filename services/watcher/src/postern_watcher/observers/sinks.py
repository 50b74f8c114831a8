"""Sinks of the watches: parse, call the sightings, no more. A whole list also tells what is no longer there."""

from collections.abc import Callable, Sequence
from uuid import UUID

from postern_common.kube.watch import ChangeType
from postern_common.logging import get_logger
from postern_watcher.domain.facts import ClusterFacts, PodFacts, VolumeFacts
from postern_watcher.metrics import IGNORED
from postern_watcher.services.sightings import Sightings, key_of
from postern_watcher.storage.wire import Owned, Warned

logger = get_logger(__name__)


class ClusterSink:
    """Clusters of this installation."""

    def __init__(self, sightings: Sightings, completed: Callable[[], None]) -> None:
        self._sightings = sightings
        self._completed = completed
        self._unseen: set[str] = set()

    async def list_started(self) -> None:
        """Every Cluster in sight is in doubt."""
        self._unseen = {
            key
            for key in self._sightings
            if (entry := self._sightings.get(key)) is not None and entry.cluster is not None
        }

    async def listed(self, objects: Sequence[ClusterFacts]) -> None:
        """A page."""
        for cluster in objects:
            self._unseen.discard(key_of(cluster.namespace, cluster.name))
            self._see(cluster)

    async def list_completed(self) -> None:
        """What the list did not hold was deleted while nobody looked."""
        gone, self._unseen = self._unseen, set()
        for key in gone:
            self._sightings.lose_cluster(key)
        self._completed()

    async def changed(self, change: ChangeType, item: ClusterFacts) -> None:
        """One change."""
        if change is ChangeType.DELETED:
            self._sightings.lose_cluster(key_of(item.namespace, item.name))
        else:
            self._see(item)

    def _see(self, cluster: ClusterFacts) -> None:
        if not _has_identity(cluster):
            known = self._sightings.identify(cluster)
            if known is None:
                IGNORED.labels("identity_labels").inc()
                logger.warning(
                    "cluster_ignored", namespace=cluster.namespace, cluster=cluster.name, why="identity_labels"
                )
                return
            cluster = known
        self._sightings.see_cluster(cluster)


def _has_identity(cluster: ClusterFacts) -> bool:
    try:
        UUID(cluster.database_id)
        UUID(cluster.project_id)
    except ValueError:
        return False
    return bool(cluster.project and cluster.database)


class OwnedSink:
    """Pods, or volumes: ``kind`` tells which of the two this watch brings."""

    def __init__(
        self, sightings: Sightings, kind: type[PodFacts] | type[VolumeFacts], completed: Callable[[], None]
    ) -> None:
        self._sightings = sightings
        self._kind = kind
        self._completed = completed
        self._unseen: dict[tuple[str, str], PodFacts | VolumeFacts] = {}

    async def list_started(self) -> None:
        """Every object of this kind is in doubt."""
        self._unseen = {}
        for key in self._sightings:
            entry = self._sightings.get(key)
            if entry is not None:
                owned = entry.pods if self._kind is PodFacts else entry.volumes
                self._unseen.update({(key, name): facts for name, facts in owned.items()})

    async def listed(self, objects: Sequence[Owned]) -> None:
        """A page."""
        for item in objects:
            key = key_of(item.namespace, item.cluster)
            self._unseen.pop((key, item.facts.name), None)
            self._sightings.see_owned(key, item.facts)

    async def list_completed(self) -> None:
        """What the list did not hold is gone."""
        gone, self._unseen = self._unseen, {}
        for (key, _), facts in gone.items():
            self._sightings.lose_owned(key, facts)
        self._completed()

    async def changed(self, change: ChangeType, item: Owned) -> None:
        """One change."""
        key = key_of(item.namespace, item.cluster)
        if change is ChangeType.DELETED:
            self._sightings.lose_owned(key, item.facts)
        else:
            self._sightings.see_owned(key, item.facts)


class WarningSink:
    """Warning events. They explain, they prove nothing: an absent one means nothing."""

    def __init__(self, sightings: Sightings) -> None:
        self._sightings = sightings

    async def list_started(self) -> None:
        """Nothing to do."""

    async def listed(self, objects: Sequence[Warned]) -> None:
        """A page."""
        for item in objects:
            self._sightings.see_warning(item.namespace, item.facts)

    async def list_completed(self) -> None:
        """Nothing to do."""

    async def changed(self, change: ChangeType, item: Warned) -> None:
        """One change."""
        if change is not ChangeType.DELETED:
            self._sightings.see_warning(item.namespace, item.facts)
