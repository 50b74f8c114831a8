"""Discovery for kubectl and clients: versions, groups, resources, and as much OpenAPI as they ask for."""

from functools import cache
from typing import Any

import msgspec
from aiohttp import web

from postern_devcluster.apiserver.kinds import ACCESS_REVIEWS, CNPG, KINDS, Kind
from postern_devcluster.apiserver.status import path_not_found

_VERSION = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.0+postern-devcluster",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_ALL = (*KINDS, ACCESS_REVIEWS)
_OPENAPI_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""Asked for with ``@`` in place of the second dot, which no parser of media types would take in an answer."""


def serves(path: str) -> bool:
    """Whether a path is discovery rather than a resource."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"]:
        return len(parts) <= 2
    if parts[:1] == ["apis"]:
        return len(parts) <= 3
    return parts[:1] == ["openapi"]


def answer(request: web.Request, missing: frozenset[str] = frozenset()) -> web.Response:
    """Answer a GET of a discovery document. Raises 404 for groups that are not there.

    ``missing`` are the plurals of custom kinds whose definition was deleted.
    """
    path = request.path.rstrip("/")
    if path in ("/livez", "/readyz", "/healthz"):
        return web.Response(text="ok")
    if path == "/openapi/v2":
        return _openapi_v2(request.headers.get("Accept", ""))
    body = _document(path)
    if body is None:
        raise path_not_found()
    if missing:
        body = _without(body, missing)
    return web.Response(body=body, content_type="application/json")


def _without(body: bytes, plurals: frozenset[str]) -> bytes:
    """A resource list without the given custom kinds; any other document as it is."""
    document = msgspec.json.decode(body)
    if document.get("kind") != "APIResourceList" or not document["groupVersion"].startswith(f"{CNPG}/"):
        return body
    resources = [entry for entry in document["resources"] if entry["name"].partition("/")[0] not in plurals]
    return msgspec.json.encode({**document, "resources": resources})


@cache
def _document(path: str) -> bytes | None:
    found = _find(path)
    return None if found is None else msgspec.json.encode(found)


def _find(path: str) -> Any:
    match [part for part in path.split("/") if part]:
        case ["version"]:
            return _VERSION
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            groups = [_group(name) for name in _groups()]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", group] if group in _groups():
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}
        case ["api", version]:
            return _resources("", version)
        case ["apis", group, version]:
            return _resources(group, version)
        case ["openapi", "v3"]:
            return {"paths": {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash=1"} for name in _openapi_names()}}
        case ["openapi", "v3", *rest] if "/".join(rest) in _openapi_names():
            return _openapi_v3("/".join(rest))
    return None


def _groups() -> list[str]:
    return list(dict.fromkeys(kind.group for kind in _ALL if kind.group))


def _group(name: str) -> dict[str, Any]:
    versions = list(dict.fromkeys(kind.version for kind in _ALL if kind.group == name))
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resources(group: str, version: str) -> dict[str, Any] | None:
    kinds = [kind for kind in _ALL if kind.group == group and kind.version == version]
    if not kinds:
        return None
    resources = [entry for kind in kinds for entry in _entries(kind)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": resources,
    }


def _entries(kind: Kind) -> list[dict[str, Any]]:
    base = {"namespaced": kind.namespaced, "kind": kind.kind}
    if kind is ACCESS_REVIEWS:
        return [{"name": kind.plural, "singularName": kind.singular, **base, "verbs": ["create"]}]
    entry = {"name": kind.plural, "singularName": kind.singular, **base, "verbs": _VERBS}
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    entries = [entry]
    if kind.status:
        name = f"{kind.plural}/status"
        entries.append({"name": name, "singularName": "", **base, "verbs": ["get", "patch", "update"]})
    if kind.scale:
        scale = {"group": "autoscaling", "version": "v1", "kind": "Scale", "namespaced": kind.namespaced}
        verbs = ["get", "patch", "update"]
        entries.append({"name": f"{kind.plural}/scale", "singularName": "", **scale, "verbs": verbs})
    if kind.plural == "pods":
        entries.append({"name": "pods/log", "singularName": "", **base, "verbs": ["get"]})
    return entries


def _openapi_names() -> list[str]:
    return [_openapi_name(kind) for kind in {(kind.group, kind.version): kind for kind in _ALL}.values()]


def _openapi_name(kind: Kind) -> str:
    return f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"


def _openapi_v3(name: str) -> dict[str, Any]:
    """Paths with the parameters that kubectl looks for (fieldValidation, dryRun); no schemas: types stay free."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for kind in _ALL:
        if _openapi_name(kind) != name or kind is ACCESS_REVIEWS:
            continue
        space = "namespaces/{namespace}/" if kind.namespaced else ""
        gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        parameters = [
            {"name": parameter, "in": "query", "schema": {"type": "string"}}
            for parameter in ("dryRun", "fieldManager", "fieldValidation")
        ]
        operation = {
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-group-version-kind": gvk,
        }
        paths[f"/{name}/{space}{kind.plural}"] = {"post": {**operation, "x-kubernetes-action": "post"}}
        paths[f"/{name}/{space}{kind.plural}/{{name}}"] = {
            "patch": {**operation, "x-kubernetes-action": "patch"},
            "put": {**operation, "x-kubernetes-action": "put"},
        }
        schemas[f"{kind.group or 'core'}.{kind.version}.{kind.kind}"] = {
            "type": "object",
            "x-kubernetes-group-version-kind": [gvk],
            "x-kubernetes-preserve-unknown-fields": True,
        }
    info = {"title": "Postern development cluster", "version": _VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _openapi_v2(accept: str) -> web.Response:
    """kubectl before 1.27 reads types here; a document without definitions makes it leave the checks to the server."""
    if "protobuf" in accept:
        # field 1 (swagger) of openapi.v2.Document, as protobuf
        return web.Response(body=b"\x0a\x032.0", headers={"Content-Type": _OPENAPI_V2_PROTOBUF})
    info = {"title": "Postern development cluster", "version": _VERSION["gitVersion"]}
    body = {"swagger": "2.0", "info": info, "paths": {}, "definitions": {}}
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")
