"""What is in sight of every cluster, in memory: one packed entry each, keyed ``namespace/name``.

Owns nothing but the facts; every change is reported to one listener. Objects whose Cluster is not (yet) known are kept
for a while: the three watches race, and other CloudNativePG users' pods must not pile up here.
"""

from collections.abc import Callable, Iterator

import msgspec

from postern_watcher.domain.entry import Entry, pack, unpack
from postern_watcher.domain.facts import ClusterFacts, PodFacts, VolumeFacts, WarningFacts
from postern_watcher.domain.record import Record

ORPHAN_SECONDS = 60.0


def key_of(namespace: str, cluster: str) -> str:
    """The key of a cluster's entry."""
    return f"{namespace}/{cluster}"


class Sightings:
    """All entries. ``changed`` is called with the key after every change, while nothing is awaited."""

    def __init__(self, changed: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._changed = changed
        self._clock = clock
        self._entries: dict[str, bytes] = {}
        self._orphans: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._entries))

    def get(self, key: str) -> Entry | None:
        """A copy of the entry, to be given back with ``put``."""
        packed = self._entries.get(key)
        return unpack(packed) if packed is not None else None

    def put(self, key: str, entry: Entry) -> None:
        """Store an entry without reporting a change; an empty one is dropped."""
        if not (entry.is_known or entry.pods or entry.volumes):
            self.drop(key)
            return
        self._entries[key] = pack(entry)
        if entry.is_known:
            self._orphans.pop(key, None)
        else:
            self._orphans.setdefault(key, self._clock())

    def drop(self, key: str) -> None:
        """Forget an entry."""
        self._entries.pop(key, None)
        self._orphans.pop(key, None)

    def remember(self, record: Record) -> None:
        """Put a stored record beside whatever is in sight of it."""
        key = key_of(record.namespace, record.cluster_name)
        entry = self.get(key) or Entry()
        entry.record = record
        self.put(key, entry)

    def see_cluster(self, cluster: ClusterFacts) -> None:
        """A Cluster was listed, added or modified."""
        key = key_of(cluster.namespace, cluster.name)
        entry = self.get(key) or Entry()
        entry.cluster = cluster
        self.put(key, entry)
        self._changed(key)

    def identify(self, cluster: ClusterFacts) -> ClusterFacts | None:
        """The Cluster with the identity that is recorded for this very object, whose labels somebody took away."""
        entry = self.get(key_of(cluster.namespace, cluster.name))
        record = entry.record if entry is not None else None
        if record is None or record.observed.uid != cluster.uid:
            return None
        return msgspec.structs.replace(
            cluster,
            database_id=record.database_id,
            project_id=record.project_id,
            project=record.project,
            database=record.name,
        )

    def lose_cluster(self, key: str) -> None:
        """A Cluster is gone."""
        entry = self.get(key)
        if entry is None or entry.cluster is None:
            return
        entry.cluster = None
        self.put(key, entry)
        self._changed(key)

    def see_owned(self, key: str, facts: PodFacts | VolumeFacts) -> None:
        """A pod or volume of a cluster was listed, added or modified."""
        self._touch(key, facts, gone=False)

    def lose_owned(self, key: str, facts: PodFacts | VolumeFacts) -> None:
        """A pod or volume is gone."""
        self._touch(key, facts, gone=True)

    def see_warning(self, namespace: str, warning: WarningFacts) -> None:
        """A Warning event about an object of one of our clusters; others are ignored."""
        key = self._cluster_of(namespace, warning.name)
        entry = self.get(key) if key is not None else None
        if key is None or entry is None:
            return
        entry.warn(warning)
        self.put(key, entry)
        self._changed(key)

    def forget_orphans(self) -> None:
        """Drop what has waited for its Cluster too long."""
        now = self._clock()
        for key in [key for key, since in self._orphans.items() if now - since > ORPHAN_SECONDS]:
            self.drop(key)

    def _touch(self, key: str, facts: PodFacts | VolumeFacts, *, gone: bool) -> None:
        entry = self.get(key) or Entry()
        if isinstance(facts, PodFacts):
            entry.pods.pop(facts.name, None)
            if not gone:
                entry.pods[facts.name] = facts
        else:
            entry.volumes.pop(facts.name, None)
            if not gone:
                entry.volumes[facts.name] = facts
        self.put(key, entry)
        if entry.is_known:
            self._changed(key)

    def _cluster_of(self, namespace: str, name: str) -> str | None:
        """The cluster whose name begins that of its pods, volumes and jobs."""
        while name:
            key = key_of(namespace, name)
            if key in self._entries and key not in self._orphans:
                return key
            name = name.rpartition("-")[0]
        return None
