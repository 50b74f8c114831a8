"""ListWatch against a scripted server: what a user of a collection sees while the connection misbehaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from postern_common.errors import DependencyDownError, PosternError
from postern_common.kube.errors import GoneError
from postern_common.kube.watch import ChangeType, ListWatch, WatchTiming

PATH = "/apis/postgresql.cnpg.io/v1/clusters"


def item(name: str, version: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": version}}


def page(*items: dict[str, Any], version: str = "100", token: str = "") -> bytes:
    metadata = {"resourceVersion": version, "continue": token} if token else {"resourceVersion": version}
    return json.dumps({"kind": "ClusterList", "metadata": metadata, "items": list(items)}).encode()


def event(kind: str, content: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": content}).encode()


def bookmark(version: str) -> bytes:
    return event("BOOKMARK", {"metadata": {"resourceVersion": version}})


class Hang:
    """The server keeps the connection open and sends nothing."""


Answer = Sequence[bytes | Hang] | PosternError


class ScriptedServer:
    """Answers one request after another; at the end of the script it hangs."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[dict[str, str]] = []
        self.exhausted = asyncio.Event()

    async def request(self, method: str, path: str, **_options: Any) -> Any:
        raise AssertionError("lists and watches read raw bodies")

    async def read(self, path: str, *, query: Mapping[str, str] = {}, timeout: float = 10.0) -> bytes:
        async with self.stream(path, query=query, read_timeout=timeout) as lines:
            return b"\n".join([line async for line in lines])

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str] = {}, read_timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        assert path == PATH
        self.requests.append(dict(query))
        if not self._answers:
            self.exhausted.set()
            await asyncio.Event().wait()
        answer = self._answers.pop(0)
        if isinstance(answer, PosternError):
            raise answer
        yield self._lines(answer)

    async def _lines(self, answer: Sequence[bytes | Hang]) -> AsyncIterator[bytes]:
        for line in answer:
            if isinstance(line, Hang):
                await asyncio.Event().wait()
            else:
                yield line


class RecordingSink:
    """Writes down the calls; ``fail_once`` is raised at the first change."""

    def __init__(self, fail_once: Exception | None = None) -> None:
        self.calls: list[str] = []
        self._fail = fail_once

    async def list_started(self) -> None:
        self.calls.append("start")

    async def listed(self, objects: Sequence[dict[str, Any]]) -> None:
        self.calls.extend(f"listed {o['metadata']['name']}@{o['metadata']['resourceVersion']}" for o in objects)

    async def list_completed(self) -> None:
        self.calls.append("complete")

    async def changed(self, change: ChangeType, item: dict[str, Any]) -> None:
        if self._fail is not None:
            failure, self._fail = self._fail, None
            raise failure
        self.calls.append(f"{change} {item['metadata']['name']}@{item['metadata']['resourceVersion']}")


class Followed:
    """What came of following a scripted server to the end of its script."""

    def __init__(self, server: ScriptedServer, sink: RecordingSink, watch: ListWatch[Any], pauses: list[float]) -> None:
        self.server, self.sink, self.watch, self.pauses = server, sink, watch, pauses

    @property
    def versions(self) -> list[str]:
        """The resourceVersion of each watch request."""
        return [request["resourceVersion"] for request in self.server.requests if "watch" in request]


async def follow(*answers: Answer, sink: RecordingSink | None = None, timing: WatchTiming | None = None) -> Followed:
    server, sink = ScriptedServer(*answers), sink or RecordingSink()
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    watch: ListWatch[Any] = ListWatch(
        server, PATH, decoder=msgspec.json.decode, label_selector="a=b", timing=timing, sleep=sleep
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run(sink))
        async with asyncio.timeout(5):
            await server.exhausted.wait()
        task.cancel()
    return Followed(server, sink, watch, pauses)


async def test_everything_is_listed_page_by_page_then_followed_from_the_version_of_the_list() -> None:
    followed = await follow(
        [page(item("a", "7"), version="100", token="next")],
        [page(item("b", "9"), version="100")],
        [event("ADDED", item("c", "101")), event("MODIFIED", item("a", "102")), event("DELETED", item("b", "103"))],
    )
    assert followed.sink.calls == [
        "start",
        "listed a@7",
        "listed b@9",
        "complete",
        "ADDED c@101",
        "MODIFIED a@102",
        "DELETED b@103",
    ]
    first, second, watch, again = followed.server.requests
    assert first == {"labelSelector": "a=b", "limit": "500"}
    assert second == {"labelSelector": "a=b", "limit": "500", "continue": "next"}
    assert watch["resourceVersion"] == "100"
    assert watch["allowWatchBookmarks"] == "true"
    assert 240 <= int(watch["timeoutSeconds"]) <= 300
    assert again["resourceVersion"] == "103"
    assert followed.watch.status.synced


async def test_a_bookmark_moves_the_version_and_reaches_nobody() -> None:
    followed = await follow([page()], [bookmark("150"), b"", b"\n"])
    assert followed.sink.calls == ["start", "complete"]
    assert followed.versions == ["100", "150"]


@pytest.mark.parametrize(
    "expired",
    [
        GoneError("gone", "the version has expired"),
        [event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})],
        [event("ERROR", {"kind": "Status", "code": 410, "reason": "Gone", "message": "too old"})],
        [event("ERROR", {"kind": "Status", "reason": "Expired"})],
    ],
    ids=["http status", "error event expired", "error event gone", "error event without code"],
)
async def test_an_expired_version_is_answered_by_one_list_at_once(expired: Answer) -> None:
    followed = await follow([page(item("a", "1"))], expired, [page(item("b", "2"), version="200")], [bookmark("201")])
    assert followed.sink.calls == ["start", "listed a@1", "complete", "start", "listed b@2", "complete"]
    assert followed.versions == ["100", "200", "201"]
    assert followed.watch.status.expired == 1
    assert len(followed.pauses) == 1, "only the end of the last, short connection was waited for"


async def test_a_version_that_is_gone_again_and_again_does_not_make_a_hot_loop() -> None:
    gone = GoneError("gone", "the version has expired")
    script: list[Answer] = [[page()], gone] * 8
    followed = await follow(*script)
    assert len(followed.pauses) == 7
    assert followed.pauses[-1] >= 7.5


async def test_a_continue_token_that_expired_starts_the_list_again() -> None:
    followed = await follow(
        [page(item("a", "1"), token="next")], GoneError("gone", "the token has expired"), [page(item("a", "1"))]
    )
    assert followed.sink.calls == ["start", "listed a@1", "start", "listed a@1", "complete"]
    assert "continue" not in followed.server.requests[2]


async def test_connections_that_end_at_once_are_made_again_with_growing_pauses_from_the_same_version() -> None:
    followed = await follow([page()], *([[]] * 12))
    assert set(followed.versions) == {"100"}
    assert 0.1 <= followed.pauses[0] <= 0.2
    assert all(7.5 <= pause <= 15 for pause in followed.pauses[8:])
    assert followed.watch.status.failures == 0


async def test_a_change_ends_the_growth_of_the_pauses() -> None:
    followed = await follow([page()], [], [], [], [], [event("ADDED", item("a", "101"))])
    assert followed.pauses[3] > 0.7
    assert followed.pauses[4] <= 0.2


@pytest.mark.parametrize(
    "line",
    [
        b"<html><body>502 Bad Gateway</body></html>",
        event("MODIFIED", item("a", "102"))[:-7],
        b'{"type": "MODIFIED", "object": {"metadata": {}}}',
        b'{"type": "EXPLODED", "object": {"metadata": {"resourceVersion": "105"}}}',
        b'{"kind": "Status", "code": 500}',
        b"\xff\xfe",
        event("ERROR", {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd"}),
    ],
    ids=["html", "truncated", "no version", "unknown type", "no event", "no text", "error event"],
)
async def test_what_is_no_event_is_an_error_and_the_watch_goes_on_from_the_last_change(line: bytes) -> None:
    followed = await follow([page()], [event("ADDED", item("a", "101")), line], [event("MODIFIED", item("a", "106"))])
    assert followed.sink.calls == ["start", "complete", "ADDED a@101", "MODIFIED a@106"]
    assert followed.versions == ["100", "101", "106"]
    assert followed.watch.status.failures == 1
    assert followed.watch.status.last_error is None, "the next change healed it"


@pytest.mark.parametrize("body", [b"<html>", b'{"metadata": {}, "items": []}', b'{"items": [', b""])
async def test_a_list_that_is_none_is_asked_for_again(body: bytes) -> None:
    followed = await follow([body], [page(item("a", "1"))])
    assert followed.sink.calls[-3:] == ["start", "listed a@1", "complete"]
    assert followed.watch.status.failures == 1


@pytest.mark.parametrize(
    "throttled",
    [
        DependencyDownError("kubernetes_unavailable", "429", retry_after=30),
        [event("ERROR", {"code": 429, "reason": "TooManyRequests", "details": {"retryAfterSeconds": 30}})],
    ],
    ids=["http status", "error event"],
)
async def test_a_server_that_asks_for_patience_gets_it(throttled: Answer) -> None:
    followed = await follow([page()], throttled, [bookmark("101")])
    assert followed.pauses[0] >= 30
    assert followed.versions[:2] == ["100", "100"]
    assert followed.watch.status.throttled == 1


async def test_silence_is_taken_for_a_dead_connection() -> None:
    followed = await follow([page()], [bookmark("120"), Hang()], [], timing=WatchTiming(silence=0.01))
    assert followed.versions[:2] == ["100", "120"]
    assert followed.watch.status.failures >= 1
    error = followed.watch.status.last_error
    assert error is not None
    assert error.code == "watch_silent"


async def test_a_version_that_the_server_never_serves_is_given_up_for_a_list() -> None:
    too_large = [event("ERROR", {"code": 504, "reason": "Timeout", "message": "Too large resource version"})]
    followed = await follow([page()], *([too_large] * 4), [page(version="90")])
    assert followed.sink.calls == ["start", "complete", "start", "complete"]
    assert followed.versions == ["100"] * 4 + ["90"]


async def test_a_change_that_the_sink_could_not_take_is_delivered_again() -> None:
    sink = RecordingSink(fail_once=DependencyDownError("database_unavailable", "no connection"))
    followed = await follow([page()], [event("ADDED", item("a", "101"))], [event("ADDED", item("a", "101"))], sink=sink)
    assert sink.calls == ["start", "complete", "ADDED a@101"]
    assert followed.versions == ["100", "100", "101"]


async def test_a_fault_in_the_sink_itself_is_not_hidden() -> None:
    watch: ListWatch[Any] = ListWatch(
        ScriptedServer([page()], [event("ADDED", item("a", "101"))]), PATH, decoder=msgspec.json.decode
    )
    with pytest.raises(KeyError):
        await watch.run(RecordingSink(fail_once=KeyError("bug")))


async def test_only_what_the_decoder_keeps_reaches_the_sink() -> None:
    class Name(msgspec.Struct):
        name: str

    class Named(msgspec.Struct):
        metadata: Name

    decode: Callable[[msgspec.Raw], Named] = msgspec.json.Decoder(Named).decode
    watch = ListWatch(ScriptedServer([page(item("a", "1"))]), PATH, decoder=decode)
    sink = FirstPageSink()
    with pytest.raises(KeyError):
        await watch.run(sink)
    assert sink.page == [Named(Name("a"))]


class FirstPageSink:
    """Keeps the first page of whatever type, then breaks off."""

    def __init__(self) -> None:
        self.page: list[object] = []

    async def list_started(self) -> None: ...

    async def listed(self, objects: Sequence[object]) -> None:
        self.page = list(objects)

    async def list_completed(self) -> None:
        raise KeyError("seen enough")

    async def changed(self, change: ChangeType, item: object) -> None: ...
