"""ListWatch and the client over real sockets, against a server that does everything wrong."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from tests.support.polling import eventually

from postern_common.kube.client import KubeClient
from postern_common.kube.watch import ChangeType, ListWatch, WatchTiming

pytestmark = pytest.mark.integration
PATH = "/apis/postgresql.cnpg.io/v1/clusters"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def item(name: str, version: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": version}}


def event(kind: str, content: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": content}).encode() + b"\n"


def listing(version: str, *items: dict[str, Any]) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"metadata": {"resourceVersion": version}, "items": list(items)})

    return answer


def refusing(status: int, reason: str, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "code": status, "reason": reason, "message": "no"}
        return web.json_response(body, status=status, headers=headers)

    return answer


def sending(*chunks: bytes, then: str = "eof", content_type: str = "application/json") -> Answer:
    """Send chunks, then end properly, cut the connection, or fall silent."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(0)
        if then == "cut":
            assert request.transport is not None
            request.transport.abort()
        elif then == "silence":
            await asyncio.sleep(20)
        return response

    return answer


class WrongServer:
    """Answers one request after another from a script; after its end every watch is silent."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.requests: list[dict[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(dict(request.query))
        answer = self.script.pop(0) if self.script else sending(then="silence")
        return await answer(request)


class Known:
    """What the collection holds, as a user of it knows."""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self._listed: dict[str, str] = {}

    async def list_started(self) -> None:
        self._listed = {}

    async def listed(self, objects: Sequence[dict[str, Any]]) -> None:
        self._listed |= {o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in objects}

    async def list_completed(self) -> None:
        self.versions = self._listed

    async def changed(self, change: ChangeType, item: dict[str, Any]) -> None:
        if change is ChangeType.DELETED:
            self.versions.pop(item["metadata"]["name"], None)
        else:
            self.versions[item["metadata"]["name"]] = item["metadata"]["resourceVersion"]


@pytest.fixture
async def server() -> AsyncIterator[tuple[WrongServer, str]]:
    """The server and its URL."""
    wrong = WrongServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", wrong.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield wrong, f"http://{host}:{port}"
    await runner.cleanup()


@pytest.fixture
async def client(server: tuple[WrongServer, str], tmp_path: Path) -> AsyncIterator[KubeClient]:
    """A client of that server."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server[1]}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    client = await KubeClient.connect(str(tmp_path / "kubeconfig"))
    yield client
    await client.close()


FIRST = listing("100", item("a", "1"))
FAULTS: dict[str, tuple[Answer, ...]] = {
    "ends at once": (sending(),),
    "ends again and again": (sending(), sending(), sending()),
    "is cut in mid-line": (sending(event("MODIFIED", item("a", "101"))[:30], then="cut"),),
    "is cut by a polite end in mid-line": (sending(event("MODIFIED", item("a", "101"))[:30]),),
    "sends HTML with 200": (sending(b"<html>\n<body>502</body>\n", content_type="text/html"),),
    "sends HTML with 502": (refusing(502, ""),),
    "asks for patience": (refusing(429, "TooManyRequests", **{"Retry-After": "1"}),),
    "has forgotten the version, by status": (refusing(410, "Expired"), listing("200", item("a", "1"))),
    "has forgotten the version, by event": (
        sending(event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})),
        listing("200", item("a", "1")),
    ),
    "falls silent": (sending(event("BOOKMARK", item("", "120")), then="silence"),),
    "breaks inside": (sending(event("ERROR", {"kind": "Status", "code": 500, "reason": "InternalError"})),),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_whatever_the_server_did_the_next_change_is_known(
    server: tuple[WrongServer, str], client: KubeClient, fault: str
) -> None:
    wrong, _ = server
    last = sending(event("MODIFIED", item("a", "300")), event("ADDED", item("b", "301")), then="silence")
    wrong.script = [FIRST, *FAULTS[fault], last]
    timing = WatchTiming(silence=0.3, backoff_first=0.02, backoff_limit=0.1)
    watch: ListWatch[Any] = ListWatch(client, PATH, decoder=msgspec.json.decode, timing=timing)
    known = Known()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run(known))
        await eventually(lambda: known.versions == {"a": "300", "b": "301"}, timeout=8)
        task.cancel()
    lists = [request for request in wrong.requests if "watch" not in request]
    assert len(lists) == (2 if "forgotten" in fault else 1)
    assert all("resourceVersion" not in request for request in lists)


async def test_a_server_that_asks_for_patience_is_not_asked_again_before(
    server: tuple[WrongServer, str], client: KubeClient
) -> None:
    wrong, _ = server
    wrong.script = [FIRST, refusing(429, "TooManyRequests", **{"Retry-After": "1"})]
    watch: ListWatch[Any] = ListWatch(client, PATH, decoder=msgspec.json.decode, timing=WatchTiming(backoff_first=0.01))
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run(Known()))
        await eventually(lambda: len(wrong.requests) == 2)
        refused_at = loop.time()
        await eventually(lambda: len(wrong.requests) == 3)
        task.cancel()
    assert loop.time() - refused_at > 0.9
    assert watch.status.throttled == 1
