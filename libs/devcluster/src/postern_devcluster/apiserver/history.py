"""What happened lately, per kind, and who is watching: events go to watchers at once, by memory, never by polling.

Separate from the store because it is bounded and forgetful (410 Expired lives here) while the store is neither.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from postern_devcluster.apiserver.journal import EventType
from postern_devcluster.apiserver.status import ApiError, Object, expired

KEPT_EVENTS = 2_000
"""Events remembered per kind; older versions are expired for watches and continue tokens."""
QUEUE_LIMIT = 20_000
"""Events a watcher may be behind before it is cut off; it starts again from its last version."""

Key = tuple[str, str]
"""(namespace, name); namespace is empty for cluster-wide kinds. Sorts as the real server lists."""


@dataclass(slots=True, eq=False)
class Stored:
    """One version of an object with its encoded bytes (made once, sent to everybody)."""

    object: Object
    raw: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Event:
    """One write: ``stored`` is the object after it, ``previous`` before it (None for a create)."""

    version: int
    type: EventType
    key: Key
    stored: Stored
    previous: Stored | None


@dataclass(slots=True, eq=False)
class Watcher:
    """A queue of events for one connection."""

    wanted: Callable[[Key], bool]
    queue: deque[Event] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    lagged: bool = False
    """The queue overflowed: the connection ends."""

    def offer(self, event: Event) -> None:
        """Queue an event if this watcher looks at its object."""
        if self.lagged or not self.wanted(event.key):
            return
        if len(self.queue) >= QUEUE_LIMIT:
            self.lagged = True
            self.queue.clear()
        else:
            self.queue.append(event)
        self.wake.set()


class History:
    """The recent events of one kind and its watchers."""

    def __init__(self, start: int) -> None:
        self._events: deque[Event] = deque()
        self._forgotten = start
        self._watchers: set[Watcher] = set()

    def record(self, event: Event) -> None:
        """Remember an event and hand it to the watchers."""
        if len(self._events) >= KEPT_EVENTS:
            self._forgotten = self._events.popleft().version
        self._events.append(event)
        for watcher in self._watchers:
            watcher.offer(event)

    def since(self, version: int) -> list[Event]:
        """Events after ``version``, oldest first. Raises 410 when some of them are forgotten."""
        if version < self._forgotten:
            raise self._too_old(version)
        return list(reversed(list(self._newer(version))))

    def undo(self, version: int, current: dict[Key, Stored]) -> dict[Key, Stored]:
        """The map as it was at ``version``. Raises 410 when that is forgotten."""
        if version < self._forgotten:
            raise self._too_old(version)
        state = dict(current)
        for event in self._newer(version):
            if event.previous is None:
                state.pop(event.key, None)
            else:
                state[event.key] = event.previous
        return state

    def forget(self, version: int) -> None:
        """Compact: everything up to ``version`` is expired."""
        self._events.clear()
        self._forgotten = max(self._forgotten, version)

    def watch(self, watcher: Watcher) -> None:
        """Start delivering to a watcher."""
        self._watchers.add(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """Stop delivering to a watcher."""
        self._watchers.discard(watcher)

    def _newer(self, version: int) -> Iterator[Event]:
        for event in reversed(self._events):
            if event.version <= version:
                return
            yield event

    def _too_old(self, version: int) -> ApiError:
        return expired(f"too old resource version: {version} ({self._forgotten})")
