"""The client over HTTP against a server that misbehaves: every fault is an error with a class, none is an answer."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from postern_common.errors import PermanentError
from postern_common.kube import access
from postern_common.kube.client import KubeClient
from postern_common.kube.errors import GoneError, RejectedError, UnauthorizedError, UnavailableError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers every request with ``handler`` and remembers what was asked."""

    def __init__(self) -> None:
        self.handler: Handler = ok
        self.seen: list[web.Request] = []
        self.url = ""
        self.stopping = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        return await self.handler(request)


async def ok(_request: web.Request) -> web.Response:
    return web.json_response({"ok": True})


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[Server]:
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        server.stopping.set()
        await runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with listening(Server()) as running:
        yield running


def kubeconfig(path: Path, url: str, user: dict[str, Any]) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(json.dumps(config))
    return str(path)


@pytest.fixture
async def client(server: Server, tmp_path: Path) -> AsyncIterator[KubeClient]:
    made = await KubeClient.connect(kubeconfig(tmp_path / "config", server.url, {"token": "t"}))
    yield made
    await made.close()


async def test_a_created_object_is_returned(server: Server, client: KubeClient) -> None:
    async def created(_request: web.Request) -> web.Response:
        return web.json_response({"kind": "Cluster"}, status=201)

    server.handler = created
    assert await client.request("PATCH", "/x", body={}) == {"kind": "Cluster"}


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (200, "<html>welcome to the proxy</html>", UnavailableError),
        (200, '{"kind": "Cl', UnavailableError),
        (502, "<html>bad gateway</html>", UnavailableError),
        (422, "", RejectedError),
        (302, "", UnavailableError),
    ],
)
async def test_what_is_no_answer_is_an_error(
    server: Server, client: KubeClient, status: int, text: str, error: type[Exception]
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers={"Location": "http://127.0.0.1:1/"})

    server.handler = answer
    with pytest.raises(error):
        await client.request("GET", "/x")


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    client = await KubeClient.connect(kubeconfig(tmp_path / "config", "http://127.0.0.1:9", {"token": "t"}))
    with pytest.raises(UnavailableError) as down:
        await client.request("GET", "/x")
    await client.close()

    assert "127.0.0.1" not in down.value.detail


async def test_a_silent_server_is_given_up_at_the_deadline(server: Server, client: KubeClient) -> None:
    async def silent(_request: web.Request) -> web.Response:
        await server.stopping.wait()
        return web.Response()

    server.handler = silent
    with pytest.raises(UnavailableError) as late:
        await client.request("GET", "/x", timeout=0.1)
    assert late.value.reason == "Timeout"


async def stream(request: web.Request, *chunks: bytes | asyncio.Event) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for chunk in chunks:
        if isinstance(chunk, bytes):
            await response.write(chunk)
        else:
            await chunk.wait()
    return response


async def test_a_stream_gives_whole_lines_however_they_are_cut(server: Server, client: KubeClient) -> None:
    async def sliced(request: web.Request) -> web.StreamResponse:
        return await stream(request, b'{"a"', b':1}\n{"b":2}\n\n{"c', b'":3}\n{"cut off')

    server.handler = sliced
    async with client.stream("/x", query={"watch": "true"}, read_timeout=5) as lines:
        assert [line async for line in lines] == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


async def test_a_stream_that_falls_silent_is_given_up(server: Server, client: KubeClient) -> None:
    async def half_open(request: web.Request) -> web.StreamResponse:
        return await stream(request, b'{"a":1}\n', server.stopping)

    server.handler = half_open
    async with client.stream("/x", query={}, read_timeout=0.1) as lines:
        assert await anext(lines) == b'{"a":1}'
        with pytest.raises(UnavailableError):
            await anext(lines)


async def test_a_stream_that_is_refused_is_an_error_and_not_an_event(server: Server, client: KubeClient) -> None:
    async def gone(_request: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "reason": "Expired", "code": 410}, status=410)

    server.handler = gone
    with pytest.raises(GoneError):
        async with client.stream("/x", query={}, read_timeout=1):
            pytest.fail("a refused stream must not begin")


async def test_an_endless_line_does_not_fill_the_memory(
    server: Server, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postern_common.kube.client.MAX_LINE_BYTES", 1000)

    async def endless(request: web.Request) -> web.StreamResponse:
        return await stream(request, *([b"x" * 600] * 5))

    server.handler = endless
    async with client.stream("/x", query={}, read_timeout=1) as lines:
        with pytest.raises(UnavailableError):
            await anext(lines)


async def test_a_rotated_token_is_used_after_the_first_refusal(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "RETRY_SECONDS", 0.0)
    token = tmp_path / "token"
    token.write_text("old")

    async def only_new(request: web.Request) -> web.Response:
        good = request.headers["Authorization"] == "Bearer new"
        return web.json_response({"kind": "Status"}, status=200 if good else 401)

    server.handler = only_new
    client = await KubeClient.connect(kubeconfig(tmp_path / "config", server.url, {"tokenFile": str(token)}))
    token.write_text("new")
    with pytest.raises(UnauthorizedError):
        await client.request("GET", "/x")
    await client.request("GET", "/x")
    await client.close()


async def test_an_exec_plugin_gives_the_credential(server: Server, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "kind": "ExecCredential",
        "status": {"token": "from-plugin"},
    }
    plugin.write_text(f"#!/bin/sh\necho '{json.dumps(credential)}'\n")
    plugin.chmod(0o755)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": str(plugin)}}
    client = await KubeClient.connect(kubeconfig(tmp_path / "config", server.url, user))
    await client.request("GET", "/x")
    await client.close()

    assert server.seen[0].headers["Authorization"] == "Bearer from-plugin"


async def test_a_kubeconfig_that_moves_the_server_is_followed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "REFRESH_SECONDS", 0.0)
    path = tmp_path / "config"
    client = await KubeClient.connect(kubeconfig(path, server.url, {"token": "t"}))
    await client.request("GET", "/x")
    async with listening(Server()) as other:
        kubeconfig(path, other.url, {"token": "t"})
        await client.request("GET", "/y")
        assert [r.path for r in other.seen] == ["/y"]
    await client.close()


async def test_a_cluster_on_this_machine_is_not_looked_for_behind_the_proxy(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    client = await KubeClient.connect(kubeconfig(tmp_path / "config", server.url, {"token": "t"}))

    assert await client.request("GET", "/x") == {"ok": True}
    await client.close()


async def test_a_missing_kubeconfig_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="cannot use the kubeconfig"):
        await KubeClient.connect(str(tmp_path / "none"))


async def test_no_kubeconfig_outside_a_pod_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(PermanentError, match="KUBECONFIG is not set"):
        await KubeClient.connect(None)


async def test_bodies_never_reach_the_log(server: Server, client: KubeClient, caplog: pytest.LogCaptureFixture) -> None:
    async def secret(_request: web.Request) -> web.Response:
        return web.json_response({"data": {"password": "canary-secret"}})

    server.handler = secret
    with caplog.at_level(logging.DEBUG):
        await client.request("GET", "/x")
    assert "canary-secret" not in caplog.text
    assert logging.getLogger("kubernetes_asyncio.client.rest").getEffectiveLevel() >= logging.INFO
