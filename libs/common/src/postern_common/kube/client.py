"""The client: one HTTP request to the API server, its status checked, its JSON decoded, its failure given a class.

Separate from what is asked for (apply, list, watch). Raw on purpose: kubernetes_asyncio maps a 201 to nothing and skips
the status check on streams (design of the apply path, docs/adr/0005). Every request has a deadline.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, Self

import aiohttp
import msgspec

from postern_common.contracts.reasons import Reason
from postern_common.kube.access import Access, ConfiguredAccess
from postern_common.kube.errors import KubeError, UnauthorizedError, UnavailableError, error_for

DEFAULT_TIMEOUT = 10.0
MAX_LINE_BYTES = 16 * 1024 * 1024
"""Ten times etcd's default limit of an object: a longer line is not an event."""
PAGE_SIZE = 500

_NO_QUERY: Mapping[str, str] = {}
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class KubeApi(Protocol):
    """What the rest of Postern needs of the API server; ``KubeClient`` and ``FakeKube`` pass one suite."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = _NO_QUERY,
        body: object | None = None,
        content_type: str = "application/json",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Any:
        """Decoded JSON of the answer. Raises a ``KubeError``."""
        ...

    async def read(self, path: str, *, query: Mapping[str, str] = _NO_QUERY, timeout: float = DEFAULT_TIMEOUT) -> bytes:
        """The undecoded body of a GET, for who decodes only a part of it. Raises a ``KubeError``."""
        ...

    def stream(
        self, path: str, *, query: Mapping[str, str] = _NO_QUERY, read_timeout: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Lines of a long answer, as they come."""
        ...


class KubeClient:
    """A ``KubeApi`` over HTTP."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @classmethod
    async def connect(cls, kubeconfig: str | None) -> Self:
        """A client for ``kubeconfig``, or for the pod's service account where it is None.

        Only the configuration is read: whether the server answers is for readiness to say. Raises ``PermanentError``.
        """
        access = ConfiguredAccess(kubeconfig)
        await access.endpoint()
        return cls(access)

    async def close(self) -> None:
        """Close all connections."""
        await self._access.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = _NO_QUERY,
        body: object | None = None,
        content_type: str = "application/json",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Any:
        """Decoded JSON of the answer, None for an empty one. ``timeout`` (seconds) is for all of it.

        Raises a ``KubeError``.
        """
        response, raw = await self._exchange(method, path, query, body=body, content_type=content_type, timeout=timeout)
        return self._judge(response, raw, f"{method} {path}")

    async def read(self, path: str, *, query: Mapping[str, str] = _NO_QUERY, timeout: float = DEFAULT_TIMEOUT) -> bytes:
        """The body of a GET as it came: lists decode only what they keep of it. Raises a ``KubeError``."""
        response, raw = await self._exchange("GET", path, query, timeout=timeout)
        if response.status != 200:
            self._judge(response, raw, f"GET {path}")
        return raw

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        body: object | None = None,
        content_type: str = "",
        timeout: float,
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        what = f"{method} {path}"
        try:
            async with asyncio.timeout(timeout):
                endpoint = await self._access.endpoint()
                headers = {**endpoint.headers, "Content-Type": content_type} if body is not None else endpoint.headers
                async with endpoint.session.request(
                    method, endpoint.host + path, params=query or None, headers=headers,
                    data=None if body is None else _encode(body), **endpoint.request_options,
                ) as response:  # fmt: skip
                    return response, await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable(what, error) from error

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str] = _NO_QUERY, read_timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Lines (without their end) as they come; ``UnavailableError`` after ``read_timeout`` seconds of silence.

        The end of the answer ends the iteration; a line that was cut off by it is dropped, not yielded.
        """
        what = f"GET {path}"
        try:
            async with asyncio.timeout(DEFAULT_TIMEOUT):
                endpoint = await self._access.endpoint()
                response = await endpoint.session.request(
                    "GET", endpoint.host + path, params=query or None, headers=endpoint.headers,
                    **endpoint.request_options,
                )  # fmt: skip
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable(what, error) from error
        try:
            if response.status != 200:
                await self._refuse_stream(response, what)
            yield _lines(response, what, read_timeout)
        finally:
            response.close()

    async def _refuse_stream(self, response: aiohttp.ClientResponse, what: str) -> None:
        try:
            async with asyncio.timeout(DEFAULT_TIMEOUT):
                raw = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable(what, error) from error
        self._judge(response, raw, what)
        raise UnavailableError(
            Reason.KUBERNETES_UNAVAILABLE, f"{what} was not answered by a stream", status=response.status
        )

    def _judge(self, response: aiohttp.ClientResponse, raw: bytes, what: str) -> Any:
        try:
            body = _decode(raw) if raw else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if 200 <= response.status < 300:
                raise UnavailableError(
                    Reason.KUBERNETES_UNAVAILABLE, f"the answer to {what} is no JSON", status=response.status
                ) from error
            body = None
        if 200 <= response.status < 300:
            return body
        failure = error_for(response.status, body, response.headers, what=what)
        if isinstance(failure, UnauthorizedError):
            self._access.distrust()
        raise failure


async def list_items(
    client: KubeApi, path: str, *, label_selector: str, timeout: float = DEFAULT_TIMEOUT
) -> AsyncIterator[dict[str, Any]]:
    """Every object of a collection, page by page: memory holds one page. Raises a ``KubeError`` (410: old token)."""
    query = {"labelSelector": label_selector, "limit": str(PAGE_SIZE)}
    while True:
        page = await client.request("GET", path, query=query, timeout=timeout)
        for item in page.get("items") or ():
            yield item
        token = (page.get("metadata") or {}).get("continue")
        if not token:
            return
        query = {**query, "continue": token}


async def _lines(response: aiohttp.ClientResponse, what: str, read_timeout: float) -> AsyncIterator[bytes]:
    pending = bytearray()
    while True:
        try:
            async with asyncio.timeout(read_timeout):
                chunk = await response.content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable(what, error) from error
        if not chunk:
            return
        pending += chunk
        if b"\n" in chunk:
            *complete, rest = bytes(pending).split(b"\n")
            pending = bytearray(rest)
            for line in complete:
                if line:
                    yield line
        if len(pending) > MAX_LINE_BYTES:
            raise UnavailableError(
                Reason.KUBERNETES_UNAVAILABLE, f"a line of {what} exceeds {MAX_LINE_BYTES} bytes", status=200
            )


def _unreachable(what: str, error: BaseException) -> KubeError:
    # The library's own text holds the server's address: only its class is told.
    late = isinstance(error, TimeoutError)
    cause = "did not answer in time" if late else f"cannot be reached ({type(error).__name__})"
    return UnavailableError(
        Reason.KUBERNETES_UNAVAILABLE, f"Kubernetes {cause}: {what}", reason="Timeout" if late else "Unreachable"
    )
