"""Where the API server is and who we are there: configuration, credentials and the HTTP session that carries both.

Separate from the client because it changes under a running process: tokens and certificates rotate, exec plugins
expire. Everything is read again once a minute and at once after a 401 (fault matrix 45).
"""

import asyncio
import contextlib
import ipaddress
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import structlog
from kubernetes_asyncio.client.configuration import Configuration
from kubernetes_asyncio.client.rest import RESTClientObject
from kubernetes_asyncio.config import load_incluster_config, load_kube_config
from kubernetes_asyncio.config.config_exception import ConfigException

from postern_common.errors import PermanentError

REFRESH_SECONDS = 60.0
RETRY_SECONDS = 5.0
LOAD_DEADLINE = 15.0
"""An exec plugin may call out for its credential."""
CONNECT_TIMEOUT = 5.0
MAX_CONNECTIONS = 64
READ_BUFFER_BYTES = 2**21

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a request needs: a session that trusts the server's CA, the base address, and the headers to send."""

    session: aiohttp.ClientSession
    host: str
    headers: dict[str, str]
    request_options: dict[str, Any]


class Access(Protocol):
    """Where the client gets its endpoint from."""

    async def endpoint(self) -> Endpoint:
        """The endpoint with credentials that are fresh enough."""
        ...

    def distrust(self) -> None:
        """The server answered 401: read the credentials again before the next request."""
        ...

    async def close(self) -> None:
        """Close the session."""
        ...


class ConfiguredAccess:
    """Access by a kubeconfig (one path or several with ``:``), or by the pod's service account where it is None."""

    def __init__(self, kubeconfig: str | None) -> None:
        # It logs response bodies, Secrets included, at DEBUG (reliability.md, Security).
        library = logging.getLogger("kubernetes_asyncio")
        library.setLevel(max(library.level, logging.INFO))
        self._kubeconfig = kubeconfig
        self._loader: Any = None
        self._fingerprint: tuple[object, ...] = ()
        self._session: aiohttp.ClientSession | None = None
        self._retired: aiohttp.ClientSession | None = None
        self._endpoint: Endpoint | None = None
        self._tls: tuple[object, ...] = ()
        self._read_again_at = 0.0
        self._lock = asyncio.Lock()

    async def endpoint(self) -> Endpoint:
        """The endpoint; raises ``PermanentError`` when there has never been a usable configuration."""
        if self._endpoint is not None and time.monotonic() < self._read_again_at:
            return self._endpoint
        async with self._lock:
            if self._endpoint is None or time.monotonic() >= self._read_again_at:
                await self._refresh()
        assert self._endpoint is not None
        return self._endpoint

    def distrust(self) -> None:
        """Forget the loader (and with it a plugin's cached credential); at most once in ``RETRY_SECONDS``."""
        if self._read_again_at - time.monotonic() <= REFRESH_SECONDS - RETRY_SECONDS:
            self._loader = None
            self._read_again_at = 0.0

    async def close(self) -> None:
        """Close the sessions."""
        for session in (self._session, self._retired):
            if session is not None:
                await session.close()
        self._session = self._retired = self._endpoint = None

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(LOAD_DEADLINE):
                configuration = await self._load()
            await self._adopt(configuration)
        except Exception as error:
            if self._endpoint is None:
                raise PermanentError("kubeconfig_invalid", _explain(self._kubeconfig, error)) from error
            # The last credential may still be good; the API server decides.
            log.warning("kubernetes_credentials_not_refreshed", error=type(error).__name__)
            self._read_again_at = time.monotonic() + RETRY_SECONDS
        else:
            self._read_again_at = time.monotonic() + REFRESH_SECONDS

    async def _load(self) -> Configuration:
        configuration = Configuration()
        if self._kubeconfig is None:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            configuration.refresh_api_key_hook = None
            return configuration
        if self._loader is not None and self._fingerprint == _fingerprint(_paths(self._kubeconfig)):
            await self._loader.load_and_set(configuration)
            return configuration
        paths = _paths(self._kubeconfig)
        if not any(path.is_file() for path in paths):
            raise ConfigException("the file does not exist")
        fingerprint = _fingerprint(paths)
        self._loader = await load_kube_config(
            config_file=self._kubeconfig, client_configuration=configuration, persist_config=False
        )
        self._fingerprint = fingerprint
        return configuration

    async def _adopt(self, configuration: Configuration) -> None:
        tls = _tls_identity(configuration)
        if self._session is None or self._tls != tls:
            session = _open_session(configuration)
            # Watches may still run on the session before: it is closed one rotation later.
            if self._retired is not None:
                await self._retired.close()
            self._retired, self._session = self._session, session
        headers = {"Accept": "application/json", "User-Agent": "postern"}
        if token := configuration.api_key.get("BearerToken"):
            headers["Authorization"] = token
        self._tls = tls
        self._endpoint = Endpoint(
            self._session, (configuration.host or "").rstrip("/"), headers, _request_options(configuration)
        )


def _open_session(configuration: Configuration) -> aiohttp.ClientSession:
    """The library's connector (TLS, certificates) under a session of ours.

    As in Go's client, a loopback address is never asked for through the environment's proxy: on a developer's machine
    the proxy is there and its exceptions are not.
    """
    rest = RESTClientObject(configuration, maxsize=MAX_CONNECTIONS)
    session = aiohttp.ClientSession(
        connector=rest.pool_manager.connector,
        trust_env=not _is_loopback(configuration.host or ""),
        read_bufsize=READ_BUFFER_BYTES,
    )
    rest.pool_manager.detach()
    return session


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _request_options(configuration: Configuration) -> dict[str, Any]:
    options = {
        "proxy": configuration.proxy,
        "proxy_headers": configuration.proxy_headers,
        "server_hostname": configuration.tls_server_name,
    }
    return {
        **{name: value for name, value in options.items() if value},
        "allow_redirects": False,
        # No total: the caller's asyncio.timeout covers a request, and a watch is meant to stay open.
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
    }


def _paths(kubeconfig: str) -> list[Path]:
    return [Path(part).expanduser() for part in kubeconfig.split(os.pathsep) if part]


def _fingerprint(paths: list[Path]) -> tuple[object, ...]:
    """Changes when one of the files is written or replaced."""
    marks: list[object] = []
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            marks.append((str(path), status.st_mtime_ns, status.st_ino, status.st_size))
    return tuple(marks)


def _tls_identity(configuration: Configuration) -> tuple[object, ...]:
    files = [Path(f) for f in (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file) if f]
    return (configuration.host, configuration.verify_ssl, configuration.tls_server_name, _fingerprint(files))


def _explain(kubeconfig: str | None, error: Exception) -> str:
    if kubeconfig is None:
        return "KUBECONFIG is not set and this process does not run in a pod with a service account"
    return f"cannot use the kubeconfig {kubeconfig}: {type(error).__name__}"
