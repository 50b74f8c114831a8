"""Turns what the API server tells into keys to work on; the operator's own writes are no news."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from postern_common.contracts.kubernetes import LABEL_CNPG_CLUSTER
from postern_common.kube.watch import ChangeType
from postern_devcluster.operator.reconciler import Key


class Meta(msgspec.Struct, rename="camel"):
    """Metadata that is read."""

    name: str
    namespace: str
    uid: str
    generation: int = 0
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class _ClusterStatus(msgspec.Struct, rename="camel"):
    target_primary: str | None = None


class WatchedCluster(msgspec.Struct):
    """A Cluster as far as changes are concerned."""

    metadata: Meta
    status: _ClusterStatus | None = None

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """Moves when somebody asks for something else."""
        meta = self.metadata
        annotations = tuple(sorted((meta.annotations or {}).items()))
        target = None if self.status is None else self.status.target_primary
        return (meta.uid, meta.generation, annotations, target, meta.deletion_timestamp)


class WatchedItem(msgspec.Struct):
    """A pod or claim: only its disappearance matters."""

    metadata: Meta


class WatchedSecret(msgspec.Struct):
    """An application's secret."""

    metadata: Meta
    data: dict[str, bytes] | None = None


class ClusterSink:
    """Follows Clusters. ``gone`` is called for a deleted one, so that work on it is cut off."""

    def __init__(
        self,
        changed: Callable[[Key], None],
        gone: Callable[[Key], None],
        first_list: Callable[[set[str]], Awaitable[None]],
    ) -> None:
        self._changed = changed
        self._gone = gone
        self._first_list: Callable[[set[str]], Awaitable[None]] | None = first_list
        self._known: dict[Key, tuple[Any, ...]] = {}
        self._listed: dict[Key, WatchedCluster] = {}

    async def list_started(self) -> None:
        """Forget an unfinished list."""
        self._listed = {}

    async def listed(self, objects: Sequence[WatchedCluster]) -> None:
        """Collect a page."""
        self._listed |= {_key(each.metadata): each for each in objects}

    async def list_completed(self) -> None:
        """Compare with what was known: what is missing was deleted meanwhile."""
        listed, self._listed = self._listed, {}
        if self._first_list is not None:
            await self._first_list({each.metadata.uid for each in listed.values()})
            self._first_list = None
        for key in self._known.keys() - listed.keys():
            del self._known[key]
            self._gone(key)
        for key, item in listed.items():
            self._note(key, item)

    async def changed(self, change: ChangeType, item: WatchedCluster) -> None:
        """Note one change."""
        key = _key(item.metadata)
        if change is ChangeType.DELETED:
            self._known.pop(key, None)
            self._gone(key)
        else:
            self._note(key, item)

    def _note(self, key: Key, item: WatchedCluster) -> None:
        before = self._known.get(key)
        now = item.fingerprint
        self._known[key] = now
        if item.metadata.deletion_timestamp is not None or (before is not None and before[0] != now[0]):
            self._gone(key)
        elif before != now:
            self._changed(key)


class MemberSink:
    """Follows pods or claims of clusters; one that vanishes or is being deleted is news.

    It knows the names of each cluster's, so that a pass over one cluster costs the same however many there are.
    """

    def __init__(self, vanished: Callable[[Key], None]) -> None:
        self._vanished = vanished
        self._known: dict[tuple[str, str], Key] = {}
        self._listed: dict[tuple[str, str], Key] = {}
        self._members: dict[Key, set[str]] = {}
        self._complete = False

    def names(self, key: Key) -> frozenset[str] | None:
        """Names of a cluster's objects as far as the watch has told; None before the first list is complete."""
        return frozenset(self._members.get(key, ())) if self._complete else None

    async def list_started(self) -> None:
        """Forget an unfinished list."""
        self._listed = {}

    async def listed(self, objects: Sequence[WatchedItem]) -> None:
        """Collect a page."""
        self._listed |= {_key(each.metadata): _owner(each.metadata) for each in objects}

    async def list_completed(self) -> None:
        """What is missing vanished meanwhile."""
        for name, key in self._known.items():
            if name not in self._listed:
                self._vanished(key)
        self._known, self._listed = self._listed, {}
        self._members = {}
        for (_, member), key in self._known.items():
            self._members.setdefault(key, set()).add(member)
        self._complete = True

    async def changed(self, change: ChangeType, item: WatchedItem) -> None:
        """Note one change."""
        name, key = _key(item.metadata), _owner(item.metadata)
        if change is ChangeType.DELETED:
            self._known.pop(name, None)
            self._forget(key, name[1])
            self._vanished(key)
        else:
            self._known[name] = key
            self._members.setdefault(key, set()).add(name[1])
            if item.metadata.deletion_timestamp is not None:
                self._vanished(key)

    def _forget(self, key: Key, name: str) -> None:
        members = self._members.get(key)
        if members is not None:
            members.discard(name)
            if not members:
                del self._members[key]


class PasswordSink:
    """Follows the applications' secrets; ``passwords`` holds the newest password of each cluster."""

    def __init__(self, changed: Callable[[Key], None]) -> None:
        self.passwords: dict[Key, str] = {}
        self._changed = changed

    async def list_started(self) -> None:
        """Nothing to prepare: a secret that is gone changes no password."""

    async def listed(self, objects: Sequence[WatchedSecret]) -> None:
        """Note a page."""
        for item in objects:
            self._note(item)

    async def list_completed(self) -> None:
        """Nothing to compare."""

    async def changed(self, change: ChangeType, item: WatchedSecret) -> None:
        """Note one change."""
        if change is ChangeType.DELETED:
            self.passwords.pop(_owner(item.metadata), None)
        else:
            self._note(item)

    def _note(self, item: WatchedSecret) -> None:
        password = (item.data or {}).get("password", b"").decode()
        key = _owner(item.metadata)
        if password and self.passwords.get(key) != password:
            self.passwords[key] = password
            self._changed(key)


def _key(meta: Meta) -> Key:
    return (meta.namespace, meta.name)


def _owner(meta: Meta) -> Key:
    return (meta.namespace, (meta.labels or {}).get(LABEL_CNPG_CLUSTER, ""))
