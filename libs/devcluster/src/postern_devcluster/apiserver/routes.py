"""Requests to answers: authenticate, authorise, parse, call one service, encode. No rule about objects lives here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import structlog
from aiohttp import web

from postern_devcluster.apiserver import discovery, protobuf, reads, requests, scale, status
from postern_devcluster.apiserver.deletion import ObjectDeleter, parse_delete_options
from postern_devcluster.apiserver.kinds import ACCESS_REVIEWS, CRDS, KINDS, Kind
from postern_devcluster.apiserver.logs import PodLogs
from postern_devcluster.apiserver.patches import merge_patch
from postern_devcluster.apiserver.rendering import Renderer
from postern_devcluster.apiserver.rights import Rights
from postern_devcluster.apiserver.status import ApiError, Object
from postern_devcluster.apiserver.store import ObjectStore
from postern_devcluster.apiserver.watching import OpenWatches, watch
from postern_devcluster.apiserver.writes import APPLY, MERGE, PATCH_TYPES, ObjectWriter, Outcome, Target, WriteOptions

_BODY_TYPES = ("application/json", "application/yaml", protobuf.MEDIA_TYPE)
_PUBLIC = ("/livez", "/readyz", "/healthz", "/version")
_CREATE_RETRIES = 3
_LARGEST_BODY = 3 * 1024 * 1024
_log = structlog.get_logger()
_encode = msgspec.json.encode


_Handler = Callable[[web.Request, Target], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Api:
    """Everything that a request may need."""

    store: ObjectStore
    writer: ObjectWriter
    deleter: ObjectDeleter
    rights: Rights
    watches: OpenWatches
    state_dir: Path
    _verbs: dict[str, _Handler] = field(init=False)

    def __post_init__(self) -> None:
        """Wire the verbs."""
        self._verbs = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request."""
        try:
            return await self._dispatch(request)
        except ApiError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
            return _json(_encode(error.status()), code=error.code, headers=headers)
        except web.HTTPRequestEntityTooLarge:
            too_large = ApiError(413, "RequestEntityTooLarge", f"limit is {_LARGEST_BODY} bytes")
            return _json(_encode(too_large.status()), code=413)
        except ConnectionError:
            raise  # the client left
        except Exception as fault:  # noqa: BLE001 (the boundary: an answer in the protocol's form instead of a page)
            _log.exception("request_failed", method=request.method, path=request.path)
            internal = ApiError(500, "InternalError", f"Internal error occurred: {type(fault).__name__}")
            return _json(_encode(internal.status()), code=500)

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path in _PUBLIC:
            return discovery.answer(request)
        user = self.rights.user_of(request.headers.get("Authorization", ""))
        if user is None:
            raise status.unauthorized()
        if discovery.serves(path):
            return discovery.answer(request, frozenset(kind.plural for kind in KINDS if not self._is_defined(kind)))
        target = requests.parse_target(path)
        if not self._is_defined(target.kind):
            raise status.path_not_found()  # as a real server answers once the definition is deleted
        verb = requests.verb_of(request.method, target, request.query)
        if not verb or (target.kind is ACCESS_REVIEWS and verb != "create"):
            raise status.method_not_allowed()
        self._authorise(user, verb, target)
        if verb == "patch" and self._would_create(request, target):
            self._authorise(user, "create", target)
        if target.kind is ACCESS_REVIEWS:
            return await self._review(request, user)
        if target.subresource == "log":
            return await PodLogs(self.store, self.watches, self.state_dir).answer(target, request)
        if target.subresource == "scale":
            return await self._scale(request, target, verb)
        return await self._verbs[verb](request, target)

    def _is_defined(self, kind: Kind) -> bool:
        return not kind.custom or self.store.get(CRDS, ("", kind.resource)) is not None

    def _would_create(self, request: web.Request, target: Target) -> bool:
        """An apply of an object that is not there needs the right to create it, too."""
        is_apply = _content_type(request).startswith(APPLY)
        return (
            is_apply and not target.subresource and self.store.get(target.kind, (target.namespace, target.name)) is None
        )

    def _authorise(self, user: str, verb: str, target: Target) -> None:
        kind = target.kind
        resource = f"{kind.plural}/{target.subresource}" if target.subresource else kind.plural
        if self.rights.allows(user, verb, kind.group, resource):
            return
        scope = f' in the namespace "{target.namespace}"' if target.namespace else " at the cluster scope"
        account = f"system:serviceaccount:postern-system:{user}"
        why = f'User "{account}" cannot {verb} resource "{resource}" in API group "{kind.group}"{scope}'
        raise status.forbidden(kind, target.name, why)

    async def _get(self, request: web.Request, target: Target) -> web.StreamResponse:
        stored = self.store.get(target.kind, (target.namespace, target.name))
        if stored is None:
            raise status.not_found(target.kind, target.name)
        renderer = Renderer.of(target.kind, request.headers.get("Accept", ""), request.query)
        return _json(renderer.one(stored))

    async def _list(self, request: web.Request, target: Target) -> web.StreamResponse:
        selection = requests.selection_of(target, request.query)
        page = reads.list_page(self.store, selection, requests.list_query(request.query))
        renderer = Renderer.of(target.kind, request.headers.get("Accept", ""), request.query)
        return _json(renderer.many(page))

    async def _watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        selection = requests.selection_of(target, request.query)
        version = reads.parse_version(request.query.get("resourceVersion", ""))
        query = requests.watch_query(target.kind, request.query, version)
        renderer = Renderer.of(target.kind, request.headers.get("Accept", ""), request.query)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        lines = watch(self.store, self.watches, selection, query, renderer.watched())
        try:
            async for line in lines:
                await response.write(line)
        finally:
            await lines.aclose()
        await response.write_eof()
        return response

    async def _create(self, request: web.Request, target: Target) -> web.StreamResponse:
        body = requests.parse_body(await request.read(), _content_type(request), _BODY_TYPES)
        options = _options(request)
        for attempt in range(_CREATE_RETRIES):
            try:
                outcome = self.writer.create(target, body, options)
            except ApiError as error:
                generated = error.reason == "AlreadyExists" and not (body["metadata"] or {}).get("name")
                if not generated or attempt == _CREATE_RETRIES - 1:
                    raise
            else:
                return _answer(outcome, options)
        raise AssertionError("unreachable")

    async def _update(self, request: web.Request, target: Target) -> web.StreamResponse:
        body = requests.parse_body(await request.read(), _content_type(request), _BODY_TYPES)
        options = _options(request)
        return _answer(self.writer.update(target, body, options), options)

    async def _patch(self, request: web.Request, target: Target) -> web.StreamResponse:
        if not target.name:
            raise status.method_not_allowed()
        content_type = _content_type(request).partition(";")[0].strip().lower()
        body = requests.parse_body(await request.read(), content_type, PATCH_TYPES)
        options = _options(request, apply=content_type == APPLY)
        return _answer(self.writer.patch(target, content_type, body, options), options)

    async def _scale(self, request: web.Request, target: Target, verb: str) -> web.StreamResponse:
        stored = self.store.get(target.kind, (target.namespace, target.name))
        if stored is None:
            raise status.not_found(target.kind, target.name)
        current = scale.to_scale(target.kind, stored.object)
        if verb == "get":
            return _json(_encode(current))
        if verb not in ("update", "patch"):
            raise status.method_not_allowed()
        given = requests.parse_body(await request.read(), _content_type(request), (*_BODY_TYPES, MERGE))
        wanted = merge_patch({"spec": current["spec"]}, given) if verb == "patch" else given
        options = _options(request)
        whole = Target(target.kind, target.namespace, target.name)
        outcome = self.writer.patch(whole, MERGE, scale.change_of(target.kind, wanted), options)
        return _json(_encode(scale.to_scale(target.kind, outcome.object)))

    async def _delete(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = parse_delete_options(await _delete_body(request), request.query)
        return _json(_encode(self.deleter.delete(target, options)))

    async def _delete_collection(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = parse_delete_options(await _delete_body(request), request.query)
        selection = requests.selection_of(target, request.query)
        page = reads.list_page(self.store, selection, requests.list_query(request.query))
        for stored in page.items:
            metadata = stored.object["metadata"]
            self.deleter.delete(Target(target.kind, metadata.get("namespace", ""), metadata["name"]), options)
        return _json(Renderer(target.kind).many(page))

    async def _review(self, request: web.Request, user: str) -> web.StreamResponse:
        body = requests.parse_body(await request.read(), _content_type(request), _BODY_TYPES)
        spec: Object = (body.get("spec") or {}) if isinstance(body, dict) else {}
        asked = spec.get("resourceAttributes")
        if not isinstance(asked, dict):
            allowed = "nonResourceAttributes" in spec
        else:
            resource = asked.get("resource", "")
            if asked.get("subresource"):
                resource = f"{resource}/{asked['subresource']}"
            allowed = self.rights.allows(user, asked.get("verb", ""), asked.get("group", ""), resource)
        answer = {
            "kind": ACCESS_REVIEWS.kind,
            "apiVersion": ACCESS_REVIEWS.api_version,
            "metadata": {"creationTimestamp": None},
            "spec": spec,
            "status": {"allowed": allowed},
        }
        return _json(_encode(answer), code=201)


def _json(body: bytes, *, code: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=body, status=code, content_type="application/json", headers=headers)


def _answer(outcome: Outcome, options: WriteOptions) -> web.Response:
    headers = None
    if options.warnings:
        headers = {"Warning": ", ".join(f'299 - "{_quoted(text)}"' for text in options.warnings)}
    body = outcome.raw if outcome.raw is not None else _encode(outcome.object)
    return _json(body, code=201 if outcome.created else 200, headers=headers)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _content_type(request: web.Request) -> str:
    return request.headers.get("Content-Type", "application/json")


def _options(request: web.Request, *, apply: bool = False) -> WriteOptions:
    return requests.write_options(request.query, request.headers.get("User-Agent", ""), apply=apply)


async def _delete_body(request: web.Request) -> Any:
    raw = await request.read()
    return requests.parse_body(raw, _content_type(request), _BODY_TYPES) if raw.strip() else None


def build_app(api: Api) -> web.Application:
    """The web application: one route, since addresses are parsed by ``requests``."""
    app = web.Application(client_max_size=_LARGEST_BODY)
    app.router.add_route("*", "/{tail:.*}", api.handle)
    return app
