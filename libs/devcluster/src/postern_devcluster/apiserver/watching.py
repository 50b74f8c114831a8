"""A watch: from a version on, every event that concerns a selection, as a stream of JSON lines.

Separate from ``history`` because this is about connections: selections that objects enter and
leave, bookmarks, deadlines.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import msgspec

from postern_devcluster.apiserver.history import Event, Stored, Watcher
from postern_devcluster.apiserver.reads import Selection
from postern_devcluster.apiserver.selectors import everything
from postern_devcluster.apiserver.status import ApiError, Object
from postern_devcluster.apiserver.store import ObjectStore

BOOKMARK_SECONDS = 60.0

Encode = Callable[[Stored], bytes]


@dataclass(frozen=True, slots=True)
class WatchQuery:
    """The query of a watch. ``version`` 0 begins with everything that is there."""

    version: int = 0
    bookmarks: bool = False
    timeout_seconds: float = 0.0


@dataclass(slots=True)
class OpenWatches:
    """The watches being served, so that a stopping server can end them."""

    watchers: set[Watcher] = field(default_factory=set)
    stopping: bool = False

    def stop(self) -> None:
        """End all of them."""
        self.stopping = True
        for watcher in self.watchers:
            watcher.wake.set()


async def watch(
    store: ObjectStore, open_watches: OpenWatches, selection: Selection, query: WatchQuery, encode: Encode
) -> AsyncGenerator[bytes, None]:
    """Lines of a watch; ends at its deadline, at the server's stop or when the reader lags too far behind."""
    history = store.history(selection.kind)
    watcher = Watcher(wanted=selection.covers)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (query.timeout_seconds or random.uniform(1800, 3600))
    try:
        first = _initial(store, selection, query, encode)
    except ApiError as error:
        yield _line("ERROR", msgspec.json.encode(error.status()))
        return
    history.watch(watcher)
    open_watches.watchers.add(watcher)
    try:
        if first:
            yield b"".join(first)
        while not (watcher.lagged or open_watches.stopping or loop.time() >= deadline):
            if watcher.queue:
                lines = _drain(watcher, selection, encode)
                if lines:
                    yield b"".join(lines)
                continue
            watcher.wake.clear()
            pause = min(deadline - loop.time(), BOOKMARK_SECONDS if query.bookmarks else deadline)
            try:
                async with asyncio.timeout(max(0.0, pause)):
                    await watcher.wake.wait()
            except TimeoutError:
                if query.bookmarks and not watcher.queue:
                    yield _bookmark(selection, store.version)
    finally:
        history.unwatch(watcher)
        open_watches.watchers.discard(watcher)


def _initial(store: ObjectStore, selection: Selection, query: WatchQuery, encode: Encode) -> list[bytes]:
    if query.version:
        events = store.history(selection.kind).since(query.version)
        return [line for event in events if selection.covers(event.key) and (line := _render(event, selection, encode))]
    return [
        _line("ADDED", encode(stored))
        for stored in store.page(selection.kind, namespace=selection.namespace)
        if (not selection.name or stored.object["metadata"]["name"] == selection.name)
        and selection.predicate(stored.object)
    ]


def _drain(watcher: Watcher, selection: Selection, encode: Encode) -> list[bytes]:
    lines = []
    while watcher.queue:
        line = _render(watcher.queue.popleft(), selection, encode)
        if line:
            lines.append(line)
    return lines


def _render(event: Event, selection: Selection, encode: Encode) -> bytes:
    """One line; empty where the event does not concern the selection."""
    if selection.predicate is everything:
        return _line(event.type, encode(event.stored))
    before = event.previous is not None and selection.predicate(event.previous.object)
    after = event.type != "DELETED" and selection.predicate(event.stored.object)
    if after:
        return _line("MODIFIED" if before else "ADDED", encode(event.stored))
    if not before or event.previous is None:
        return b""
    if event.type == "DELETED":
        return _line("DELETED", encode(event.stored))
    return _line("DELETED", encode(_at_version(event.previous, event.version)))


def _at_version(stored: Stored, version: int) -> Stored:
    """An object that left the selection: as it was, with the version at which it left."""
    body: Object = {**stored.object, "metadata": {**stored.object["metadata"], "resourceVersion": str(version)}}
    return Stored(body, msgspec.json.encode(body), version)


def _line(event: str, raw: bytes) -> bytes:
    return b"".join((b'{"type":"', event.encode(), b'","object":', raw, b"}\n"))


def _bookmark(selection: Selection, version: int) -> bytes:
    kind = selection.kind
    body = {
        "kind": kind.kind,
        "apiVersion": kind.api_version,
        "metadata": {"resourceVersion": str(version), "creationTimestamp": None},
    }
    return _line("BOOKMARK", msgspec.json.encode(body))
