"""An API server in memory with the behaviour that our contract suite asks of a real one; passes the same suite.

No HTTP: it is a ``KubeApi`` like ``KubeClient``. What it refuses, it refuses through the same error table.
"""

import asyncio
import copy
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from postern_common.kube.client import DEFAULT_TIMEOUT
from postern_common.kube.errors import KubeError, UnavailableError, error_for
from postern_common.kube.paths import BY_KIND, NAMESPACES, POD_MONITORS, Resource
from postern_common.testing.kube_objects import UNOWNED, Ownership, leaves, merge

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
BOOKMARK_SECONDS = 0.05

_PATH = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"(?:/(?P<plural>[^/]+))?(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?$"
)
_TOP_LEVEL = frozenset({"apiVersion", "kind", "metadata", "spec", "status", "data", "stringData", "type",
                        "provisioner", "allowVolumeExpansion", "parameters"})  # fmt: skip

Key = tuple[Resource, str, str]
Fault = Callable[[str, str], KubeError | None]
Validator = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was made."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any


@dataclass(slots=True)
class _Stored:
    body: dict[str, Any]
    ownership: Ownership


@dataclass(frozen=True, slots=True)
class _Change:
    version: int
    type: str
    resource: Resource
    body: dict[str, Any]


def status_error(code: int, reason: str, message: str, **details: Any) -> KubeError:
    """The error that an answer with this Status means."""
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
            "details": details}  # fmt: skip
    return error_for(code, body, {}, what="the request")


class FakeKube:
    """A ``KubeApi``. Serves all kinds of the path table except PodMonitors, as a cluster without Prometheus does.

    More than seven public methods: three are the port, the others are what tests do to a server.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.denied: set[tuple[str, str]] = set()
        """Rights that are missing: ``(verb, plural)`` or ``(verb, plural/subresource)``."""
        self.faults: list[Fault] = []
        """Asked before every request with method and path; the first error is raised."""
        self.validators: dict[str, Validator] = {}
        """Admission by kind: raises to refuse an object about to be stored."""
        self._served = {r for r in BY_KIND.values() if r != POD_MONITORS}
        self._objects: dict[Key, _Stored] = {}
        self._history: list[_Change] = []
        self._version = 100
        self._compacted = 0
        self._changed = asyncio.Event()

    # -- for tests ------------------------------------------------------------------------------------------------

    def install(self, resource: Resource) -> None:
        """Serve a kind."""
        self._served.add(resource)

    def uninstall(self, resource: Resource) -> None:
        """Stop serving a kind, as after deleting its definition."""
        self._served.discard(resource)

    def fail_once(self, error: KubeError, *, method: str = "", path: str = "") -> None:
        """Raise ``error`` at the next request whose method and path contain these."""
        spent: list[bool] = []

        def fault(actual_method: str, actual_path: str) -> KubeError | None:
            if spent or method not in actual_method or path not in actual_path:
                return None
            spent.append(True)
            return error

        self.faults.append(fault)

    def seed(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Store an object as somebody else's write (its namespace need not exist)."""
        resource = BY_KIND[body["apiVersion"], body["kind"]]
        return self._store(resource, copy.deepcopy(dict(body)), Ownership(), manager="seed")

    def compact(self) -> None:
        """Forget the history: watches from before get 410."""
        self._compacted = self._version
        self._history.clear()

    # -- the port -------------------------------------------------------------------------------------------------

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object | None = None,
        content_type: str = "application/json", timeout: float = DEFAULT_TIMEOUT,  # noqa: ARG002 - answers at once
    ) -> Any:  # fmt: skip
        """Like ``KubeClient.request``."""
        query = query or {}
        await asyncio.sleep(0)
        self._begin(method, path, query, body)
        match = _PATH.match(path)
        if match is None:
            raise error_for(404, None, {}, what=f"{method} {path}")
        parts = {name: unquote(value) for name, value in match.groupdict("").items()}
        if not parts["plural"]:
            return self._discover(parts)
        resource = self._resource(parts)
        if parts["plural"] == "selfsubjectaccessreviews":
            return self._review(body)
        key = (resource, parts["namespace"], parts["name"])
        answer = self._dispatch(method, key, body, query=query, subresource=parts["subresource"], kind=content_type)
        return json.loads(json.dumps(answer))

    async def read(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> bytes:
        """Like ``KubeClient.read``."""
        return json.dumps(await self.request("GET", path, query=query, timeout=timeout)).encode()

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str] | None = None, read_timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Like ``KubeClient.stream``: watch events of a collection, with bookmarks where they are asked for."""
        query = query or {}
        self._begin("GET", path, query, None)
        match = _PATH.match(path)
        if match is None:
            raise error_for(404, None, {}, what=f"GET {path}")
        parts = {name: unquote(value) for name, value in match.groupdict("").items()}
        yield self._watch(self._resource(parts), parts["namespace"], query, read_timeout)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _begin(self, method: str, path: str, query: Mapping[str, str], body: object) -> None:
        self.requests.append(Request(method, path, dict(query), copy.deepcopy(body)))
        for fault in self.faults:
            error = fault(method, path)
            if error is not None:
                raise error

    def _resource(self, parts: Mapping[str, str]) -> Resource:
        for resource in self._served:
            if (resource.group, resource.version, resource.plural) == (
                parts["group"], parts["version"], parts["plural"],
            ):  # fmt: skip
                return resource
        raise error_for(404, None, {}, what=f"{parts['plural']}.{parts['group']}")

    def _discover(self, parts: Mapping[str, str]) -> dict[str, Any]:
        kinds = [r for r in self._served if (r.group, r.version) == (parts["group"], parts["version"])]
        if not kinds:
            raise error_for(404, None, {}, what="discovery")
        return {"kind": "APIResourceList", "resources": [{"name": r.plural, "kind": r.kind} for r in kinds]}

    def _review(self, body: Any) -> dict[str, Any]:
        attributes = body["spec"]["resourceAttributes"]
        plural = attributes["resource"]
        if attributes.get("subresource"):
            plural = f"{plural}/{attributes['subresource']}"
        return {**body, "status": {"allowed": (attributes["verb"], plural) not in self.denied}}

    def _dispatch(
        self, method: str, key: Key, body: Any, *, query: Mapping[str, str], subresource: str, kind: str
    ) -> Any:
        if method == "GET":
            return self._found(key).body if key[2] else self._list(key, query)
        if method == "POST":
            return self._create(key, body, query)
        if method == "PATCH" and kind == APPLY:
            return self._apply(key, body, query)
        if method == "PATCH" and kind == MERGE:
            return self._merge(key, subresource, body, query)
        if method == "DELETE":
            return self._delete(key, body or {})
        raise status_error(415, "UnsupportedMediaType", f"{method} with {kind} is not supported")

    def _found(self, key: Key) -> _Stored:
        stored = self._objects.get(key)
        if stored is None:
            raise status_error(
                404, "NotFound", f'{key[0].plural} "{key[2]}" not found', name=key[2], kind=key[0].plural
            )
        return stored

    def _list(self, key: Key, query: Mapping[str, str]) -> dict[str, Any]:
        resource, namespace, _ = key
        items = [
            stored.body
            for (r, ns, _name), stored in sorted(self._objects.items(), key=lambda pair: pair[0][1:])
            if r == resource and namespace in ("", ns) and _selects(query.get("labelSelector", ""), stored.body)
        ]
        start = int(query.get("continue") or 0)
        limit = int(query.get("limit") or 0) or len(items)
        metadata = {"resourceVersion": str(self._version)}
        if start + limit < len(items):
            metadata["continue"] = str(start + limit)
        bare = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items]
        return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata,
                "items": bare[start : start + limit]}  # fmt: skip

    def _create(self, key: Key, body: Any, query: Mapping[str, str]) -> dict[str, Any]:
        resource, namespace, _ = key
        name = body["metadata"]["name"]
        if (resource, namespace, name) in self._objects:
            raise status_error(409, "AlreadyExists", f'{resource.plural} "{name}" already exists', name=name)
        self._admit_namespace(resource, namespace)
        return self._store(resource, copy.deepcopy(body), Ownership(), manager=query.get("fieldManager", "unknown"))

    def _apply(self, key: Key, body: Any, query: Mapping[str, str]) -> dict[str, Any]:
        resource, namespace, name = key
        unknown = set(body) - _TOP_LEVEL
        if unknown:
            message = f"failed to create typed patch object: .{min(unknown)}: field not declared in schema"
            raise status_error(500, "", message)
        stored = self._objects.get(key)
        sent = body["metadata"].get("resourceVersion")
        if stored is not None and sent not in (None, stored.body["metadata"]["resourceVersion"]):
            raise status_error(409, "Conflict", "the object has been modified", name=name)
        if stored is None:
            self._admit_namespace(resource, namespace)
        manager, force = query["fieldManager"], query.get("force") == "true"
        ownership = stored.ownership if stored is not None else Ownership()
        live = copy.deepcopy(stored.body) if stored is not None else {}
        applied = {path: value for path, value in leaves(body).items() if path not in UNOWNED}
        if not force and (conflicts := ownership.conflicts(manager, live, applied)):
            raise status_error(409, "Conflict", f"Apply failed with {len(conflicts)} conflict(s)", name=name)
        ownership.take(manager, live, applied, force=force)
        return self._store(resource, merge(live, _without_version(body)), ownership, manager=None)

    def _merge(self, key: Key, subresource: str, body: Any, query: Mapping[str, str]) -> dict[str, Any]:
        stored = self._found(key)
        sent = (body.get("metadata") or {}).get("resourceVersion")
        if sent not in (None, stored.body["metadata"]["resourceVersion"]):
            raise status_error(409, "Conflict", "the object has been modified", name=key[2])
        if subresource == "status":
            # A write to the status ignores everything else.
            patch: dict[str, Any] = {"status": body.get("status") or {}}
        else:
            patch = {k: v for k, v in _without_version(body).items() if k != "status"}
        merged = merge(stored.body, patch)
        return self._store(key[0], merged, stored.ownership, manager=query.get("fieldManager", "unknown"))

    def _delete(self, key: Key, options: Mapping[str, Any]) -> dict[str, Any]:
        stored = self._found(key)
        metadata = stored.body["metadata"]
        for name, wanted in (options.get("preconditions") or {}).items():
            if metadata.get(name) != wanted:
                raise status_error(409, "Conflict", f"the {name} in the precondition does not match", name=key[2])
        if metadata.get("finalizers"):
            body = copy.deepcopy(stored.body)
            body["metadata"].setdefault("deletionTimestamp", _now())
            return self._store(key[0], body, stored.ownership, manager=None)
        self._version += 1
        del self._objects[key]
        gone = copy.deepcopy(stored.body)
        gone["metadata"]["resourceVersion"] = str(self._version)
        self._announce("DELETED", key[0], gone)
        return {"kind": "Status", "status": "Success"}

    def _admit_namespace(self, resource: Resource, namespace: str) -> None:
        if not resource.namespaced:
            return
        stored = self._objects.get((NAMESPACES, "", namespace))
        if stored is None:
            raise status_error(
                404, "NotFound", f'namespaces "{namespace}" not found', name=namespace, kind="namespaces"
            )
        if stored.body["metadata"].get("deletionTimestamp"):
            raise status_error(
                403, "Forbidden", f"no new content in namespace {namespace} because it is being terminated",
                name=namespace, causes=[{"reason": "NamespaceTerminating"}],
            )  # fmt: skip

    def _store(
        self, resource: Resource, body: dict[str, Any], ownership: Ownership, *, manager: str | None
    ) -> dict[str, Any]:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        key = (resource, body["metadata"].get("namespace", ""), body["metadata"]["name"])
        stored = self._objects.get(key)
        before = stored.body if stored is not None else None
        if validator := self.validators.get(resource.kind):
            validator(body)
        if before is not None and body == before:
            return body
        self._version += 1
        metadata = body["metadata"] = dict(body["metadata"])
        if before is None:
            metadata["uid"] = str(uuid4())
            metadata["creationTimestamp"] = _now()
            metadata["generation"] = 1
        elif body.get("spec") != before.get("spec"):
            metadata["generation"] = before["metadata"].get("generation", 1) + 1
        metadata["resourceVersion"] = str(self._version)
        if manager is not None:
            ownership.note_update(manager, before or {}, body)
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._objects.pop(key, None)
            self._announce("DELETED", resource, body)
            return body
        self._objects[key] = _Stored(body, ownership)
        self._announce("ADDED" if before is None else "MODIFIED", resource, body)
        return body

    def _announce(self, kind: str, resource: Resource, body: dict[str, Any]) -> None:
        self._history.append(_Change(self._version, kind, resource, copy.deepcopy(body)))
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _watch(
        self, resource: Resource, namespace: str, query: Mapping[str, str], read_timeout: float
    ) -> AsyncIterator[bytes]:
        version = int(query.get("resourceVersion") or self._version)
        deadline = asyncio.get_running_loop().time() + float(query.get("timeoutSeconds") or 300)
        if version < self._compacted:
            yield _line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
            return
        while asyncio.get_running_loop().time() < deadline:
            changed = self._changed
            for change in [c for c in self._history if c.version > version and c.resource == resource]:
                if namespace in ("", change.body["metadata"].get("namespace", "")) and _selects(
                    query.get("labelSelector", ""), change.body
                ):
                    yield _line(change.type, change.body)
            version = self._version
            bookmarks = query.get("allowWatchBookmarks") == "true"
            try:
                async with asyncio.timeout(BOOKMARK_SECONDS if bookmarks else read_timeout):
                    await changed.wait()
            except TimeoutError:
                if not bookmarks:
                    raise UnavailableError("kubernetes_unavailable", "nothing came in time", reason="Timeout") from None
                yield _line("BOOKMARK", {"kind": resource.kind, "metadata": {"resourceVersion": str(version)}})


def _without_version(body: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {
        k: v for k, v in body.get("metadata", {}).items() if k not in ("resourceVersion", "managedFields", "uid")
    }
    return {**body, "metadata": metadata}


def _selects(selector: str, body: Mapping[str, Any]) -> bool:
    labels = body["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        name, equals, value = term.partition("=")
        if labels.get(name.strip()) is None or (equals and labels[name.strip()] != value.strip().removeprefix("=")):
            return False
    return True


def _line(kind: str, body: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
