"""The REST API as the demonstration needs it; every refusal becomes words and a next step.

Separate from the story so that the story reads like one. It uses only what the API documents.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from postern_devcluster.stack.errors import StackError

WAIT_SECONDS = 5
"""Of one long poll; between two it is seen whether everything still runs."""
PAGE = 200
_TIMEOUT = httpx.Timeout(10, read=WAIT_SECONDS + 10)
_STREAM_TIMEOUT = httpx.Timeout(10, read=40)
"""The stream sends a ping every 15 s."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and decoded body of a response."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """The problem's stable code, empty when it is none."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


class ApiClient:
    """Calls the API with a bearer token."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT, trust_env=False
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def call(
        self, method: str, path: str, body: object | None = None, *, wait: bool = False, also: tuple[int, ...] = ()
    ) -> Answer:
        """Send one request; statuses of ``also`` are answers like 2xx. Raises StackError for every other."""
        try:
            response = await self._client.request(
                method, path, json=body, headers={"Prefer": f"wait={WAIT_SECONDS}"} if wait else {}
            )
        except httpx.HTTPError as error:
            raise StackError(
                "api_unreachable",
                f"the API did not answer {method} {path} ({type(error).__name__})",
                next_step="see what runs: make status; start what died: make up",
            ) from error
        answer = Answer(response.status_code, _decode(response))
        if response.is_success or response.status_code in also:
            return answer
        detail = answer.body.get("detail", "") if isinstance(answer.body, dict) else ""
        raise StackError(
            "api_refused",
            f"the API answered {response.status_code} {answer.code} to {method} {path}: {detail}",
            next_step="see the gateway's log: make logs",
        )

    async def history(self, project: str, *, database: str) -> tuple[list[dict[str, Any]], str]:
        """Return the database's events so far, oldest first, and the position to follow the stream from."""
        found: list[dict[str, Any]] = []
        after = "0"
        while True:
            query = f"database={database}&after={after}&limit={PAGE}"
            page = (await self.call("GET", f"/v1/projects/{project}/events?{query}")).body
            found += page["items"]
            after = page["next_cursor"] or after
            if len(page["items"]) < PAGE:
                return found, after

    async def events(self, project: str, *, database: str, after: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the database's events behind ``after`` as they happen; ends when the server closes the stream."""
        async with self._client.stream(
            "GET",
            f"/v1/projects/{project}/events",
            params={"after": after, "database": database},
            headers={"Accept": "text/event-stream"},
            timeout=_STREAM_TIMEOUT,
        ) as response:
            if not response.is_success:
                raise StackError(
                    "api_refused",
                    f"the API answered {response.status_code} to the request for events",
                    next_step="see the logs of gateway and audit: make logs",
                )
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))


def _decode(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
