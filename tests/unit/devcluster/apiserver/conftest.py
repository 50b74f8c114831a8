"""A whole API server without its sockets: store, writer, deleter, and a clock that stands."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from postern_devcluster.apiserver.deletion import DeleteOptions, ObjectDeleter
from postern_devcluster.apiserver.kinds import NAMESPACES, Kind
from postern_devcluster.apiserver.lifecycle import Lifecycle
from postern_devcluster.apiserver.status import Object
from postern_devcluster.apiserver.store import ObjectStore
from postern_devcluster.apiserver.writes import APPLY, MERGE, ObjectWriter, Outcome, Target, WriteOptions


@dataclass
class Cluster:
    """What the tests act on; every method is one request."""

    store: ObjectStore
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    writer: ObjectWriter = field(init=False)
    deleter: ObjectDeleter = field(init=False)

    def __post_init__(self) -> None:
        self.writer = ObjectWriter(self.store, Lifecycle(self.store), lambda: self.now)
        self.deleter = ObjectDeleter(self.store, lambda: self.now)
        self.writer.create(Target(NAMESPACES), {"metadata": {"name": "acme"}}, WriteOptions())

    def create(self, kind: Kind, name: str, namespace: str = "acme", **body: Any) -> Object:
        metadata = {"name": name, **body.pop("metadata", {})}
        target = Target(kind, namespace if kind.namespaced else "")
        return self.writer.create(target, {"metadata": metadata, **body}, WriteOptions()).object

    def get(self, kind: Kind, name: str, namespace: str = "acme") -> Object | None:
        stored = self.store.get(kind, (namespace if kind.namespaced else "", name))
        return None if stored is None else stored.object

    def update(self, kind: Kind, body: Object, **options: Any) -> Outcome:
        metadata = body["metadata"]
        target = Target(kind, metadata.get("namespace", ""), metadata["name"], options.pop("subresource", ""))
        return self.writer.update(target, body, WriteOptions(**options))

    def merge(self, kind: Kind, name: str, patch: Object, *, subresource: str = "", **options: Any) -> Outcome:
        target = Target(kind, "acme" if kind.namespaced else "", name, subresource)
        return self.writer.patch(target, MERGE, patch, WriteOptions(**options))

    def apply(self, kind: Kind, name: str, body: Object, *, manager: str = "a", **options: Any) -> Outcome:
        config = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, **body}
        target = Target(kind, "acme" if kind.namespaced else "", name)
        self.now += timedelta(seconds=1)
        return self.writer.patch(target, APPLY, config, WriteOptions(manager=manager, **options))

    def delete(self, kind: Kind, name: str, namespace: str = "acme", **options: Any) -> Object:
        target = Target(kind, namespace if kind.namespaced else "", name)
        return self.deleter.delete(target, DeleteOptions(**options))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    store = ObjectStore(tmp_path / "objects")
    yield Cluster(store)
    store.close()
