"""Pod logs: the file that the operator half names in an annotation of the pod, whole, its tail, or followed.

The file must lie below the state directory: an annotation is a client's input and must not open anything else.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from postern_devcluster.apiserver.history import Stored
from postern_devcluster.apiserver.kinds import PODS
from postern_devcluster.apiserver.requests import is_true
from postern_devcluster.apiserver.status import ApiError, Object, bad_request, not_found
from postern_devcluster.apiserver.store import ObjectStore
from postern_devcluster.apiserver.watching import OpenWatches
from postern_devcluster.apiserver.writes import Target

ANNOTATION = "postern.dev/dev-log-file"
_CHUNK = 256 * 1024
_FOLLOW_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class PodLogs:
    """Answers ``GET …/pods/{name}/log`` with tailLines, limitBytes, sinceSeconds, sinceTime and follow."""

    store: ObjectStore
    watches: OpenWatches
    state_dir: Path

    async def answer(self, target: Target, request: web.Request) -> web.StreamResponse:
        """Send the log. Raises 400, 403 and 404."""
        stored = self._pod(target)
        if stored is None:
            raise not_found(PODS, target.name)
        query = request.query
        tail = _number(query.get("tailLines"), "tailLines")
        limit = _number(query.get("limitBytes"), "limitBytes")
        since = _since(query.get("sinceSeconds"), query.get("sinceTime"))
        path = await asyncio.to_thread(_log_file, stored.object, self.state_dir)
        content, position = await asyncio.to_thread(_read, path, tail, since)
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await response.prepare(request)
        if limit is not None:
            content = content[:limit]
        for start in range(0, len(content), _CHUNK):
            await response.write(content[start : start + _CHUNK])
        if is_true(query.get("follow", "")):
            await self._follow(target, path, position, response)
        await response.write_eof()
        return response

    async def _follow(self, target: Target, path: Path, position: int, response: web.StreamResponse) -> None:
        """Send what is appended until the pod goes, the client leaves or the server stops."""
        while not self.watches.stopping and self._pod(target) is not None:
            content, position = await asyncio.to_thread(_read_more, path, position)
            if content:
                await response.write(content)
            else:
                await asyncio.sleep(_FOLLOW_SECONDS)

    def _pod(self, target: Target) -> Stored | None:
        return self.store.get(PODS, (target.namespace, target.name))


def _log_file(pod: Object, state_dir: Path) -> Path:
    name = pod["metadata"]["name"]
    named = pod["metadata"].get("annotations", {}).get(ANNOTATION)
    if not named:
        raise bad_request(f'container of pod "{name}" is waiting to start: there is no log yet')
    path = Path(named).resolve()
    if not path.is_relative_to(state_dir.resolve()):
        raise ApiError(
            403, "Forbidden", f'pods "{name}" is forbidden: its log file lies outside of the state directory'
        )
    if not path.is_file():
        raise bad_request(f'container of pod "{name}" is waiting to start: there is no log yet')
    return path


def _number(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not text.isdigit():
        raise bad_request(f"{name} must be a number of at least 0")
    return int(text)


def _since(seconds: str | None, time: str | None) -> datetime | None:
    count = _number(seconds, "sinceSeconds")
    if count is not None:
        return datetime.now(UTC) - timedelta(seconds=count)
    if time is None:
        return None
    try:
        return datetime.fromisoformat(time)
    except ValueError:
        raise bad_request("sinceTime must be an RFC 3339 time") from None


def _read(path: Path, tail: int | None, since: datetime | None) -> tuple[bytes, int]:
    """The wanted part of the file and the position after it."""
    content = path.read_bytes()
    position = len(content)
    if tail is None and since is None:
        return content, position
    lines = content.splitlines(keepends=True)
    if since is not None:
        lines = list(_newer(lines, since))
    if tail is not None:
        lines = lines[-tail:] if tail else []
    return b"".join(lines), position


def _newer(lines: list[bytes], since: datetime) -> Iterator[bytes]:
    """Lines from the first one on whose leading time is not before ``since``; lines without a time follow theirs."""
    wanted = False
    for line in lines:
        time = _time_of(line)
        if time is not None:
            wanted = time >= since
        if wanted:
            yield line


def _time_of(line: bytes) -> datetime | None:
    """The time at the head of a PostgreSQL log line: ``2026-01-31 12:00:00.123 UTC``."""
    words = line[:40].decode("utf-8", "replace").split()
    if len(words) < 2:
        return None
    try:
        time = datetime.fromisoformat(f"{words[0]} {words[1]}")
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _read_more(path: Path, position: int) -> tuple[bytes, int]:
    """What was appended after ``position``; from the start again when the file was rotated."""
    size = path.stat().st_size if path.is_file() else 0
    position = 0 if size < position else position
    if size == position:
        return b"", position
    with path.open("rb") as file:
        file.seek(position)
        content = file.read(_CHUNK)
    return content, position + len(content)
