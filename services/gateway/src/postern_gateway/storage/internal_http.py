"""The two internal HTTP services: the provisioner for addresses and credentials, audit for events.

Every call carries a fresh 60-second token for its audience and has a deadline. Whatever goes wrong there becomes one of
our problems: an internal host, status or text never reaches a client.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import httpx

from postern_common.errors import ClientError, DependencyDownError
from postern_common.http import issue_service_token
from postern_common.logging import get_logger
from postern_common.telemetry import current_traceparent
from postern_gateway.domain.problems import invalid_parameter, refuse

logger = get_logger(__name__)

Query = Sequence[tuple[str, str]]
TIMEOUT: Final = httpx.Timeout(6.0, connect=2.0)
STREAM_TIMEOUT: Final = httpx.Timeout(6.0, connect=2.0, read=45.0)
"""A stream says ``: ping`` every 15 s; after three missed ones it is dead."""
_RETRY_AFTER: Final = 2


class InternalService:
    """One internal service. ``client`` has its base URL."""

    def __init__(self, client: httpx.AsyncClient, *, audience: str, token_key: str) -> None:
        self._client = client
        self._audience = audience
        self._token_key = token_key

    async def get(self, path: str, query: Query = ()) -> bytes:
        """The answer's JSON. Raises ``ClientError`` 404, 422 or 503 ``not_provisioned_yet``, else
        ``DependencyDownError``.
        """
        try:
            response = await self._client.get(path, params=list(query), headers=self._headers(), timeout=TIMEOUT)
        except httpx.HTTPError as error:
            raise self._down(type(error).__name__) from error
        if response.status_code != 200:
            raise self._translate(response)
        return response.content

    @asynccontextmanager
    async def stream(self, path: str, query: Query = ()) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of an open answer as they come; the iterator ends when the other side ends. Errors as in
        ``get``.
        """
        request = self._client.build_request(
            "GET",
            path,
            params=list(query),
            headers=self._headers() | {"Accept": "text/event-stream"},
            timeout=STREAM_TIMEOUT,
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise self._down(type(error).__name__) from error
        try:
            if response.status_code != 200:
                await response.aread()
                raise self._translate(response)
            yield self._chunks(response)
        finally:
            await response.aclose()

    async def _chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        try:
            async for chunk in response.aiter_raw():
                yield chunk
        except httpx.HTTPError as error:
            # the client sees the end of the stream and comes back with Last-Event-ID
            logger.info("event_stream_lost", service=self._audience, reason=type(error).__name__)

    def _headers(self) -> dict[str, str]:
        token = issue_service_token(self._token_key, audience=self._audience, issuer="gateway")
        traceparent, _ = current_traceparent()
        return {"Authorization": f"Bearer {token}"} | ({"traceparent": traceparent} if traceparent else {})

    def _down(self, reason: str) -> DependencyDownError:
        logger.warning("internal_service_unavailable", service=self._audience, reason=reason)
        return DependencyDownError(
            "dependency_unavailable", f"the {self._audience} service does not answer", retry_after=_RETRY_AFTER
        )

    def _translate(self, response: httpx.Response) -> Exception:
        code = _problem_code(response)
        if response.status_code == 404:
            return refuse("not_found", f"the {self._audience} service does not know it")
        if response.status_code == 422:
            return invalid_parameter("after", "not a position in this stream")
        if response.status_code == 503 and code == "not_provisioned_yet":
            return not_provisioned(response.headers.get("Retry-After"))
        return self._down(f"status {response.status_code}")


def _problem_code(response: httpx.Response) -> str:
    try:
        document = response.json()
    except ValueError:
        return ""
    return str(document.get("code", "")) if isinstance(document, dict) else ""


def not_provisioned(retry_after: str | None = None) -> ClientError:
    """503: the cluster does not have it yet."""
    seconds = retry_after if retry_after is not None and retry_after.isdigit() else str(_RETRY_AFTER)
    return refuse(
        "not_provisioned_yet",
        "the database has no address or credentials yet; try again in a moment",
        headers={"Retry-After": seconds},
    )


class ProvisionerClient:
    """Addresses and credentials of a database."""

    def __init__(self, service: InternalService) -> None:
        self._service = service

    async def connection(self, database_id: UUID) -> bytes:
        """Endpoints, dbname, sslmode and CA. Raises ``ClientError`` 503 while there are none."""
        return await self._get(f"/internal/v1/databases/{database_id}/connection")

    async def credentials(self, database_id: UUID) -> bytes:
        """User, password and address. Raises ``ClientError`` 503 while there are none."""
        return await self._get(f"/internal/v1/databases/{database_id}/credentials")

    async def _get(self, path: str) -> bytes:
        try:
            return await self._service.get(path)
        except ClientError as error:
            if error.status == 404:  # the command has not reached it yet: the database itself is ours and exists
                raise not_provisioned() from error
            raise
