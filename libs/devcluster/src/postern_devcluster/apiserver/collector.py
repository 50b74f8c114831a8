"""Garbage collection: what a deletion entails for dependents and for the content of namespaces.

Plays kube-controller-manager's two controllers that Postern relies on. It is one more watcher of the store: it wakes on
events, never on a timer, and works in the background of requests as the real ones do.
"""

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta

from postern_devcluster.apiserver.deletion import FOREGROUND, ORPHAN, DeleteOptions, ObjectDeleter
from postern_devcluster.apiserver.history import Event, Key, Watcher
from postern_devcluster.apiserver.kinds import BY_KIND, EVENTS, KINDS, NAMESPACES, Kind
from postern_devcluster.apiserver.objects import is_deleting, shaped, timestamp
from postern_devcluster.apiserver.status import ApiError, Object
from postern_devcluster.apiserver.store import ObjectStore
from postern_devcluster.apiserver.writes import Target

_Reference = tuple[Kind, Key]
_BACKGROUND = DeleteOptions()
_EVENT_LIFETIME = timedelta(hours=1)


class Collector:
    """Deletes what nobody owns any more and empties namespaces that go away."""

    def __init__(self, store: ObjectStore, deleter: ObjectDeleter) -> None:
        self._store = store
        self._deleter = deleter
        self._objects: dict[str, _Reference] = {}
        self._dependents: dict[str, set[_Reference]] = {}
        self._owners: dict[_Reference, set[str]] = {}
        self._events: deque[tuple[str, _Reference]] = deque()
        self._wake = asyncio.Event()
        self._watchers: dict[str, Watcher] = {}

    async def run(self) -> None:
        """Collect until cancelled."""
        for kind in KINDS:
            watcher = Watcher(wanted=lambda _key: True, wake=self._wake)
            self._watchers[kind.resource] = watcher
            self._store.history(kind).watch(watcher)
        try:
            self._take_stock()
            self._wake.set()
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._collect_queued():
                    self._wake.set()
                    await asyncio.sleep(0)  # requests go between two rounds
        finally:
            for kind in KINDS:
                self._store.history(kind).unwatch(self._watchers[kind.resource])

    def _take_stock(self) -> None:
        """Look at everything once: after a start, or when events were lost."""
        self._objects.clear()
        self._dependents.clear()
        self._owners.clear()
        self._events.clear()
        everything = [(kind, stored.object) for kind in KINDS for stored in self._store.page(kind)]
        everything.sort(key=lambda each: str(each[1]["metadata"]["creationTimestamp"]))
        for kind, body in everything:
            self._index(kind, body)
        for kind, body in everything:
            self._look_at(kind, body)

    def _collect_queued(self) -> bool:
        worked = False
        for kind in KINDS:
            watcher = self._watchers[kind.resource]
            if watcher.lagged:
                watcher.lagged = False
                self._take_stock()
            if watcher.queue:
                worked = True
                self._handle(kind, watcher.queue.popleft())
        return worked

    def _handle(self, kind: Kind, event: Event) -> None:
        body = event.stored.object
        if event.type != "DELETED":
            current = self._store.get(kind, event.key)  # the newest, whatever the event says: this reads events late
            if current is not None:
                self._index(kind, current.object)
                self._look_at(kind, current.object)
            return
        metadata = body["metadata"]
        self._objects.pop(metadata["uid"], None)
        self._set_owners((kind, event.key), set())
        for dependent in list(self._dependents.get(metadata["uid"], ())):
            self._release(dependent)
        self._settle_owners(body)
        if kind.namespaced:
            self._settle_namespace(event.key[0])

    def _forget_old_events(self) -> None:
        """Events live for an hour, as the real server keeps them; looked at when a new one comes."""
        oldest = timestamp(datetime.now(UTC) - _EVENT_LIFETIME)
        while self._events and self._events[0][0] < oldest:
            self._delete(self._events.popleft()[1])

    def _index(self, kind: Kind, body: Object) -> None:
        metadata = body["metadata"]
        reference = (kind, (metadata.get("namespace", ""), metadata["name"]))
        if kind is EVENTS and metadata["uid"] not in self._objects:
            self._events.append((metadata["creationTimestamp"], reference))
            self._forget_old_events()
        self._objects[metadata["uid"]] = reference
        self._set_owners(reference, {owner["uid"] for owner in metadata.get("ownerReferences", ())})

    def _set_owners(self, reference: _Reference, owners: set[str]) -> None:
        known = self._owners.pop(reference, set())
        for uid in known - owners:
            self._dependents.get(uid, set()).discard(reference)
            if not self._dependents.get(uid):
                self._dependents.pop(uid, None)
        for uid in owners:
            self._dependents.setdefault(uid, set()).add(reference)
        if owners:
            self._owners[reference] = owners

    def _look_at(self, kind: Kind, body: Object) -> None:
        metadata = body["metadata"]
        if kind is NAMESPACES:
            if is_deleting(body):
                self._empty_namespace(metadata["name"])
            return
        if not all(self._is_alive(owner, body) for owner in metadata.get("ownerReferences", ())):
            self._release((kind, (metadata.get("namespace", ""), metadata["name"])))
        if is_deleting(body):
            finalizers = metadata.get("finalizers", ())
            if ORPHAN in finalizers:
                self._orphan(kind, body)
            elif FOREGROUND in finalizers:
                for dependent in list(self._dependents.get(metadata["uid"], ())):
                    self._delete(dependent, foreground=True)
                self._settle_foreground(kind, body)

    def _release(self, reference: _Reference) -> None:
        """Delete an object whose owners are all gone; drop only the dangling references otherwise."""
        stored = self._store.get(*reference)
        if stored is None:
            return
        owners = stored.object["metadata"].get("ownerReferences", [])
        alive = [owner for owner in owners if self._is_alive(owner, stored.object)]
        if not alive:
            self._delete(reference)
        elif len(alive) < len(owners):
            self._change(reference[0], stored.object, ownerReferences=alive)

    def _is_alive(self, owner: Object, dependent: Object) -> bool:
        """Whether an owner is there, asked of the store: the index may be behind. Unknown kinds count as there."""
        kind = BY_KIND.get((owner["apiVersion"], owner["kind"]))
        if kind is None:
            return True
        namespace = dependent["metadata"].get("namespace", "") if kind.namespaced else ""
        stored = self._store.get(kind, (namespace, owner["name"]))
        return stored is not None and stored.object["metadata"]["uid"] == owner["uid"]

    def _orphan(self, kind: Kind, body: Object) -> None:
        uid = body["metadata"]["uid"]
        for dependent in list(self._dependents.get(uid, ())):
            stored = self._store.get(*dependent)
            if stored is not None:
                owners = stored.object["metadata"].get("ownerReferences", [])
                left = [owner for owner in owners if owner["uid"] != uid]
                self._change(dependent[0], stored.object, ownerReferences=left)
            self._set_owners(dependent, self._owners.get(dependent, set()) - {uid})
        self._drop_finalizer(kind, body, ORPHAN)

    def _settle_owners(self, body: Object) -> None:
        """A dependent is gone: an owner that waited for it may go."""
        for owner in body["metadata"].get("ownerReferences", ()):
            reference = self._objects.get(owner["uid"])
            stored = self._store.get(*reference) if reference is not None else None
            if reference is not None and stored is not None and is_deleting(stored.object):
                self._settle_foreground(reference[0], stored.object)

    def _settle_foreground(self, kind: Kind, body: Object) -> None:
        uid = body["metadata"]["uid"]
        if FOREGROUND not in body["metadata"].get("finalizers", ()):
            return
        for dependent in self._dependents.get(uid, ()):
            stored = self._store.get(*dependent)
            owners = stored.object["metadata"].get("ownerReferences", ()) if stored is not None else ()
            if any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners):
                return
        self._drop_finalizer(kind, body, FOREGROUND)

    def _drop_finalizer(self, kind: Kind, body: Object, finalizer: str) -> None:
        left = [name for name in body["metadata"].get("finalizers", ()) if name != finalizer]
        if left:
            self._change(kind, body, finalizers=left)
        else:
            metadata = {name: value for name, value in body["metadata"].items() if name != "finalizers"}
            self._store.remove(kind, shaped({**body, "metadata": metadata}, kind))

    def _change(self, kind: Kind, body: Object, **metadata: list[Object] | list[str]) -> None:
        changed = {**body["metadata"], **metadata}
        changed = {name: value for name, value in changed.items() if value not in ([], ())}
        self._store.put(kind, shaped({**body, "metadata": changed}, kind))

    def _delete(self, reference: _Reference, *, foreground: bool = False) -> None:
        kind, (namespace, name) = reference
        options = DeleteOptions(propagation="Foreground") if foreground else _BACKGROUND
        try:
            self._deleter.delete(Target(kind, namespace, name), options)
        except ApiError as error:
            if error.code != 404:
                raise

    def _empty_namespace(self, namespace: str) -> None:
        for kind in KINDS:
            if kind.namespaced:
                for stored in list(self._store.page(kind, namespace=namespace)):
                    if not is_deleting(stored.object):
                        self._delete((kind, (namespace, stored.object["metadata"]["name"])))
        self._settle_namespace(namespace)

    def _settle_namespace(self, namespace: str) -> None:
        stored = self._store.get(NAMESPACES, ("", namespace))
        if stored is None or not is_deleting(stored.object):
            return
        for kind in KINDS:
            if kind.namespaced and next(self._store.page(kind, namespace=namespace), None) is not None:
                return
        body = stored.object
        body = shaped({**body, "metadata": dict(body["metadata"]), "spec": {}}, NAMESPACES)
        self._store.remove(NAMESPACES, body)
