"""Get and list: resourceVersion semantics, pages with continue tokens, the bytes of a list."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from postern_devcluster.apiserver.history import Key, Stored
from postern_devcluster.apiserver.kinds import Kind
from postern_devcluster.apiserver.selectors import Predicate, everything
from postern_devcluster.apiserver.status import ApiError, Object, bad_request, cause, expired
from postern_devcluster.apiserver.store import ObjectStore

_EXPIRED_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter."
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind are meant."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    """From a field selector ``metadata.name=``: at most this one."""
    predicate: Predicate = everything

    def covers(self, key: Key) -> bool:
        """Whether an object with this key can be meant."""
        return (not self.namespace or key[0] == self.namespace) and (not self.name or key[1] == self.name)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The query of a list."""

    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    match: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: items and the metadata of the list."""

    items: list[Stored]
    metadata: Object


def parse_version(text: str) -> int:
    """A resourceVersion of a query; "" and "0" are 0. Raises 400."""
    if not text:
        return 0
    if not text.isdigit():
        raise bad_request(f'Invalid value: "{text}": must be a non-negative integer')
    return int(text)


def check_not_future(version: int, current: int) -> None:
    """Raise 504 for a version that this server has not reached."""
    if version > current:
        text = f"Too large resource version: {version}, current: {current}"
        details = {
            "causes": [cause("ResourceVersionTooLarge", "Too large resource version", "")],
            "retryAfterSeconds": 1,
        }
        raise ApiError(504, "Timeout", text, details=details, retry_after=1)


def list_page(store: ObjectStore, selection: Selection, query: ListQuery) -> Page:
    """One page of a list. Raises 400 for bad parameters and 410 for a forgotten version."""
    at, after = _position(store, query)
    version = at or store.version
    items: list[Stored] = []
    metadata: Object = {"resourceVersion": str(version)}
    try:
        for stored in store.page(selection.kind, namespace=selection.namespace, after=after, at=at):
            if selection.name and stored.object["metadata"]["name"] != selection.name:
                continue
            if not selection.predicate(stored.object):
                continue
            if query.limit and len(items) == query.limit:
                last = items[-1].object["metadata"]
                metadata["continue"] = _token(version, (last.get("namespace", ""), last["name"]))
                if selection.predicate is everything and not selection.name:
                    metadata["remainingItemCount"] = _remaining(store, selection, metadata["continue"], version)
                break
            items.append(stored)
    except ApiError as error:
        if query.continue_token and error.code == 410:
            raise expired(_EXPIRED_CONTINUE) from None
        raise
    return Page(items, metadata)


def _position(store: ObjectStore, query: ListQuery) -> tuple[int, Key | None]:
    """The version to read at (0: now) and the key to start after."""
    if query.continue_token:
        if query.resource_version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        return _parse_token(query.continue_token)
    version = parse_version(query.resource_version)
    if query.match == "Exact":
        if not version:
            raise bad_request("resourceVersionMatch Exact needs a resourceVersion other than 0")
        check_not_future(version, store.version)
        return version, None
    if query.match not in ("", "NotOlderThan"):
        raise bad_request(f"unknown resourceVersionMatch: {query.match!r}")
    check_not_future(version, store.version)
    return 0, None


def _remaining(store: ObjectStore, selection: Selection, token: str, version: int) -> int:
    _, after = _parse_token(token)
    return sum(1 for _ in store.page(selection.kind, namespace=selection.namespace, after=after, at=version))


def _token(version: int, key: Key) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([version, *key])).decode().rstrip("=")


def _parse_token(text: str) -> tuple[int, Key]:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        version, namespace, name = msgspec.json.decode(raw, type=tuple[int, str, str])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise bad_request("continue key is not valid") from None
    return version, (namespace, name)


def encode_list(page: Page, *, kind: str, api_version: str, item: Callable[[Stored], bytes]) -> bytes:
    """The bytes of a list; ``item`` gives those of one object."""
    head = msgspec.json.encode({"kind": kind, "apiVersion": api_version, "metadata": page.metadata})
    return b"".join((head[:-1], b',"items":[', b",".join([item(stored) for stored in page.items]), b"]}"))
