"""List and watch of one Kubernetes collection that neither loses nor invents a change.

Own loop on raw JSON instead of ``kubernetes_asyncio.watch``: that one retries an expired version for ever and stalls on
half-open connections (reliability rule 5). The loop: page through a list (never from the cache: no resourceVersion),
watch from the **list's** version with bookmarks, and start over with a list when the server says that the version is
gone. A sink sees every list whole, so it can tell what vanished while nobody looked. A resourceVersion is opaque: it is
handed back, never compared by size.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, NoReturn, Protocol, TypeVar

import msgspec
import structlog

from postern_common.errors import PosternError, TransientError
from postern_common.kube.client import KubeApi
from postern_common.kube.errors import GoneError

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
R = TypeVar("R")

_logger = structlog.get_logger(__name__)


class ChangeType(StrEnum):
    """What a watch event says happened to the object it carries."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class WatchSink(Protocol[T_contra]):
    """Where a collection's content goes, one call at a time and in order.

    Between ``list_started`` and ``list_completed`` every object that exists is handed over once: what the sink knew and
    was not handed has been deleted. A list that breaks off is followed by another ``list_started``. A ``PosternError``
    raised here loses nothing: the connection is made again and the same change (or the whole list) is delivered again.
    """

    async def list_started(self) -> None:
        """A list of everything begins."""

    async def listed(self, objects: Sequence[T_contra]) -> None:
        """One page of it."""

    async def list_completed(self) -> None:
        """The list was complete; changes since it follow."""

    async def changed(self, change: ChangeType, item: T_contra) -> None:
        """``item`` was added, modified, or deleted (then it is its last known content)."""


class WatchError(TransientError):
    """The connection brought something that is no answer: silence, an HTML page, half a line, an ERROR event."""


class VersionExpiredError(WatchError):
    """An ERROR event said that the version is no longer served (reason Expired or Gone)."""


@dataclass(frozen=True, slots=True)
class WatchTiming:
    """Deadlines and pauses in seconds (reliability.md, frozen constants)."""

    page_limit: int = 500
    page_timeout: float = 60.0
    server_timeout: tuple[int, int] = (240, 300)
    silence: float = 75.0
    backoff_first: float = 0.2
    backoff_limit: float = 15.0
    steady_after: float = 5.0
    """A connection that lasted this long was no failure, even when it brought nothing."""
    relist_after_failures: int = 4
    """So many failures without a line between them: the version itself may be what the server cannot serve."""


@dataclass(slots=True)
class WatchStatus:
    """What health checks and metrics read."""

    synced: bool = False
    """One list was complete since the start."""
    connected: bool = False
    last_error: PosternError | None = None
    last_line_at: float = 0.0
    """Monotonic time of the event loop at the last line received."""
    lists: int = 0
    expired: int = 0
    throttled: int = 0
    failures: int = 0


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Versioned(msgspec.Struct):
    metadata: _Meta


class _StatusDetails(msgspec.Struct, rename="camel"):
    retry_after_seconds: float | None = None


class _ErrorStatus(msgspec.Struct):
    code: int = 0
    reason: str = ""
    message: str = ""
    details: _StatusDetails | None = None


_PAGE = msgspec.json.Decoder(_Page)
_EVENT = msgspec.json.Decoder(_Event)
_VERSIONED = msgspec.json.Decoder(_Versioned)
_ERROR_STATUS = msgspec.json.Decoder(_ErrorStatus)
_GONE_REASONS = frozenset({"Expired", "Gone"})


class ListWatch(Generic[T]):
    """One collection, followed for ever. ``decoder`` turns an object's raw JSON into what the sink wants.

    Give ``msgspec.json.Decoder(SomeStruct).decode`` to keep only the members that are read, or ``msgspec.json.decode``
    for plain dictionaries.
    """

    def __init__(
        self,
        client: KubeApi,
        path: str,
        *,
        decoder: Callable[[msgspec.Raw], T],
        label_selector: str | None = None,
        field_selector: str | None = None,
        timing: WatchTiming | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.path = path
        self.status = WatchStatus()
        self._client = client
        self._decoder = decoder
        self._timing = timing or WatchTiming()
        self._sleep = sleep
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        self._selectors = {key: value for key, value in selectors.items() if value}
        self._version: str | None = None
        self._failures = 0
        self._barren = 0

    async def run(self, sink: WatchSink[T]) -> NoReturn:
        """Follow the collection until cancelled. Errors of the server never end it; they show in ``status``."""
        while True:
            pause = await self._attempt(sink)
            self.status.connected = False
            if pause > 0:
                await self._sleep(pause)

    async def _attempt(self, sink: WatchSink[T]) -> float:
        """List if needed, then watch until the connection ends. Returns the seconds to wait before the next attempt."""
        started = self._now()
        failure: PosternError | None = None
        try:
            if self._version is None:
                self._version = await self._list(sink)
            await self._watch(self._version, sink)
        except PosternError as error:
            failure = error
        steady = self._now() - started >= self._timing.steady_after
        if steady:
            self._failures = 0
        if isinstance(failure, GoneError | VersionExpiredError):
            return self._expired(failure)
        if failure is not None:
            return self._failed(failure)
        return 0.0 if steady else self._backoff()

    def _expired(self, error: PosternError) -> float:
        """The version is gone: list at once, with a pause only when that happens again and again."""
        self._version = None
        self.status.expired += 1
        _logger.info("watch_expired", path=self.path, reason=error.code)
        pause = self._backoff()
        return 0.0 if self._failures == 1 else pause

    def _failed(self, error: PosternError) -> float:
        retry_after = error.retry_after if isinstance(error, TransientError) else None
        self.status.last_error = error
        self.status.failures += 1
        self.status.throttled += 1 if retry_after is not None else 0
        pause = self._backoff()
        self._barren += 1
        if self._barren >= self._timing.relist_after_failures:
            self._version, self._barren = None, 0
        _logger.warning("watch_failed", path=self.path, code=error.code, detail=error.detail, pause=round(pause, 3))
        return pause if retry_after is None else max(retry_after, pause)

    def _backoff(self) -> float:
        """Next pause: 0.2 s doubling to 15 s, jittered down by up to half."""
        ceiling = min(self._timing.backoff_limit, self._timing.backoff_first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return ceiling * random.uniform(0.5, 1.0)

    async def _list(self, sink: WatchSink[T]) -> str:
        """Hand every page to the sink. Returns the version that the watch starts from."""
        await sink.list_started()
        query = {**self._selectors, "limit": str(self._timing.page_limit)}
        while True:
            page = await self._page(query)
            await sink.listed([self._decode(raw) for raw in page.items or ()])
            if not page.metadata.continue_:
                break
            query = {**query, "continue": page.metadata.continue_}
        if not page.metadata.resource_version:
            raise WatchError("list_malformed", f"the list of {self.path} has no resourceVersion")
        await sink.list_completed()
        self.status.synced = True
        self.status.lists += 1
        self.status.last_error = None
        return page.metadata.resource_version

    async def _page(self, query: Mapping[str, str]) -> _Page:
        body = await self._client.read(self.path, query=query, timeout=self._timing.page_timeout)
        try:
            return _PAGE.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise WatchError("list_malformed", f"the answer for {self.path} is no list: {error}"[:300]) from error

    async def _watch(self, version: str, sink: WatchSink[T]) -> None:
        """Follow changes until the server closes the connection (returns) or something is wrong (raises)."""
        low, high = self._timing.server_timeout
        query = {
            **self._selectors,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(random.randint(low, high)),
        }
        async with AsyncExitStack() as stack:
            lines = await self._before_silence(
                stack.enter_async_context(
                    self._client.stream(self.path, query=query, read_timeout=self._timing.silence)
                )
            )
            self.status.connected = True
            iterator = aiter(lines)
            while (line := await self._before_silence(anext(iterator, None))) is not None:
                self.status.last_line_at = self._now()
                if line.strip():
                    await self._handle(line, sink)

    async def _before_silence(self, step: Awaitable[R]) -> R:
        try:
            async with asyncio.timeout(self._timing.silence):
                return await step
        except TimeoutError as error:
            raise WatchError("watch_silent", f"nothing from {self.path} for {self._timing.silence:.0f} s") from error

    async def _handle(self, line: bytes, sink: WatchSink[T]) -> None:
        event, version = self._read(line)
        if event.type != "BOOKMARK":
            try:
                change = ChangeType(event.type)
            except ValueError as error:
                raise WatchError("watch_malformed", f"{self.path} sent an event {event.type[:50]!r}") from error
            await sink.changed(change, self._decode(event.object))
            self._failures = 0
            self.status.last_error = None
        self._version, self._barren = version, 0

    def _read(self, line: bytes) -> tuple[_Event, str]:
        """Event and resourceVersion of a line. Raises for ERROR events and for what is no event."""
        try:
            event = _EVENT.decode(line)
            if event.type == "ERROR":
                raise self._error(_ERROR_STATUS.decode(event.object))
            version = _VERSIONED.decode(event.object).metadata.resource_version
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise WatchError("watch_malformed", f"{self.path} sent a line that is no event: {error}"[:300]) from error
        if not version:
            raise WatchError("watch_malformed", f"{self.path} sent an object without resourceVersion")
        return event, version

    def _error(self, status: _ErrorStatus) -> PosternError:
        if status.code == 410 or status.reason in _GONE_REASONS:
            return VersionExpiredError("version_expired", f"{self.path}: {status.message}"[:300])
        retry_after = status.details.retry_after_seconds if status.details else None
        detail = f"{self.path}: {status.code} {status.reason} {status.message}"[:300]
        return WatchError("watch_error_event", detail, retry_after=retry_after)

    def _decode(self, raw: msgspec.Raw) -> T:
        try:
            return self._decoder(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise WatchError("object_malformed", f"an object of {self.path} cannot be read: {error}"[:300]) from error

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
