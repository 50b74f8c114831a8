"""The objects: in-memory maps with one monotonic version, behind a journal. Knows nothing of validation or ownership.

Separate from the services above it: it stores what it is given, in order, and tells the history.
"""

import bisect
from collections.abc import Iterator
from pathlib import Path

import msgspec

from postern_devcluster.apiserver.history import Event, History, Key, Stored
from postern_devcluster.apiserver.journal import EventType, Journal
from postern_devcluster.apiserver.kinds import BY_NAME, KINDS, Kind
from postern_devcluster.apiserver.status import Object

_COMPACT_AFTER_LINES = 20_000
_COMPACT_AT_START_AFTER_LINES = 2_000
_encode = msgspec.json.Encoder().encode


def key_of(kind: Kind, body: Object) -> Key:
    """The key an object is stored under."""
    metadata = body["metadata"]
    return (metadata["namespace"] if kind.namespaced else "", metadata["name"])


class ObjectStore:
    """All objects of all kinds. Not thread-safe: belongs to one event loop."""

    def __init__(self, directory: Path) -> None:
        self._journal = Journal(directory)
        self._objects: dict[str, dict[Key, Stored]] = {kind.resource: {} for kind in KINDS}
        self._keys: dict[str, list[Key]] = {kind.resource: [] for kind in KINDS}
        start, records = self._journal.snapshot()
        self.version = start
        """The newest resourceVersion given out."""
        self._histories = {kind.resource: History(start) for kind in KINDS}
        for record in records:
            if record.resource in BY_NAME:
                self._place(BY_NAME[record.resource], record.object)
        for record in self._journal.replay(after=start):
            self.version = record.version
            if record.resource in BY_NAME:
                self._take(BY_NAME[record.resource], record.type, self._stored(record.object, record.version))
        if self._journal.lines >= _COMPACT_AT_START_AFTER_LINES:
            self._rewrite()

    def get(self, kind: Kind, key: Key) -> Stored | None:
        """The newest version of an object."""
        return self._objects[kind.resource].get(key)

    def put(self, kind: Kind, body: Object) -> Stored:
        """Store a new version of an object (create or update); sets its resourceVersion in place."""
        key = key_of(kind, body)
        known = key in self._objects[kind.resource]
        return self._write(kind, "MODIFIED" if known else "ADDED", body)

    def remove(self, kind: Kind, body: Object) -> Stored:
        """Remove an object; ``body`` is what the DELETED event shows, its resourceVersion is set in place."""
        return self._write(kind, "DELETED", body)

    def page(self, kind: Kind, *, namespace: str = "", after: Key | None = None, at: int = 0) -> Iterator[Stored]:
        """Objects in key order, of one namespace or all, after a key, as of version ``at`` (0: now).

        Raises 410 (``ApiError``) when ``at`` is forgotten.
        """
        objects = self._objects[kind.resource]
        keys = self._keys[kind.resource]
        if at and at < self.version:
            objects = self._histories[kind.resource].undo(at, objects)
            keys = sorted(objects)
        start = bisect.bisect_right(keys, after) if after else 0
        if namespace:
            start = max(start, bisect.bisect_left(keys, (namespace, "")))
        for index in range(start, len(keys)):
            key = keys[index]
            if namespace and key[0] != namespace:
                return
            yield objects[key]

    def history(self, kind: Kind) -> History:
        """Recent events and watchers of a kind."""
        return self._histories[kind.resource]

    def compact(self) -> None:
        """Forget history (older versions become expired) and rewrite the snapshot."""
        for history in self._histories.values():
            history.forget(self.version)
        self._rewrite()

    def close(self) -> None:
        """Close the files."""
        self._journal.close()

    def _write(self, kind: Kind, event: EventType, body: Object) -> Stored:
        version = self.version + 1
        body["metadata"]["resourceVersion"] = str(version)
        stored = self._stored(body, version)
        self._journal.append(version, kind.resource, event, stored.raw)
        self.version = version
        self._take(kind, event, stored)
        if self._journal.lines >= _COMPACT_AFTER_LINES:
            self._rewrite()
        return stored

    @staticmethod
    def _stored(body: Object, version: int) -> Stored:
        return Stored(body, _encode(body), version)

    def _rewrite(self) -> None:
        objects = ((name, stored.raw) for name, kept in self._objects.items() for stored in kept.values())
        self._journal.compact(self.version, objects)

    def _take(self, kind: Kind, event: EventType, stored: Stored) -> None:
        key = key_of(kind, stored.object)
        objects = self._objects[kind.resource]
        previous = objects.get(key)
        if event == "DELETED":
            if objects.pop(key, None) is not None:
                keys = self._keys[kind.resource]
                del keys[bisect.bisect_left(keys, key)]
        else:
            if previous is None:
                bisect.insort(self._keys[kind.resource], key)
            objects[key] = stored
        self._histories[kind.resource].record(Event(stored.version, event, key, stored, previous))

    def _place(self, kind: Kind, body: Object) -> None:
        key = key_of(kind, body)
        bisect.insort(self._keys[kind.resource], key)
        self._objects[kind.resource][key] = self._stored(body, int(body["metadata"]["resourceVersion"]))
