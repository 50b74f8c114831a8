"""What a request asks: its address split into kind, namespace, name and subresource, its verb, query and body."""

from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from postern_devcluster.apiserver import protobuf
from postern_devcluster.apiserver.kinds import ACCESS_REVIEWS, BY_RESOURCE, Kind
from postern_devcluster.apiserver.reads import ListQuery, Selection
from postern_devcluster.apiserver.selectors import exact_name, field_selector, label_selector
from postern_devcluster.apiserver.status import bad_request, cause, invalid, path_not_found, unsupported_media_type
from postern_devcluster.apiserver.watching import WatchQuery
from postern_devcluster.apiserver.writes import Target, WriteOptions

_OBJECT_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "HEAD": "get"}
_COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection", "HEAD": "list"}
_REVIEWS = {("authorization.k8s.io", "v1", ACCESS_REVIEWS.plural): ACCESS_REVIEWS}


def parse_target(path: str) -> Target:
    """The address of a resource. Raises 404 for what is not served."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise path_not_found()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and not (group == "" and rest[2] in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    address = (group, version, rest[0])
    kind = BY_RESOURCE.get(address) or _REVIEWS.get(address)
    if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
        raise path_not_found()
    target = Target(kind, namespace, rest[1] if len(rest) > 1 else "", rest[2] if len(rest) > 2 else "")
    if target.subresource and not has_subresource(kind, target.subresource):
        raise path_not_found()
    if target.name and kind.namespaced and not namespace:
        raise path_not_found()
    return target


def has_subresource(kind: Kind, subresource: str) -> bool:
    """Whether a kind serves this subresource."""
    if subresource == "status":
        return kind.status
    if subresource == "scale":
        return bool(kind.scale)
    return (subresource, kind.plural) in (("log", "pods"), ("finalize", "namespaces")) and not kind.group


def verb_of(method: str, target: Target, query: Mapping[str, str]) -> str:
    """The verb that rights are about; empty for a method that the address does not take."""
    if target.name:
        return _OBJECT_VERBS.get(method, "")
    verb = _COLLECTION_VERBS.get(method, "")
    if verb == "list" and is_true(query.get("watch", "")):
        return "watch"
    return verb


def is_true(text: str) -> bool:
    """A boolean of a query."""
    return text in ("1", "t", "T", "true", "True", "TRUE")


def parse_body(raw: bytes, content_type: str, accepted: tuple[str, ...]) -> Any:
    """Decode a body. Raises 415 for another format and 400 for one that does not parse."""
    media = content_type.partition(";")[0].strip().lower()
    if media not in accepted:
        raise unsupported_media_type(accepted)
    if media == protobuf.MEDIA_TYPE:
        return protobuf.decode(raw)
    try:
        if media in ("application/yaml", "application/apply-patch+yaml") and not raw.lstrip().startswith(b"{"):
            return yaml.safe_load(raw)
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise bad_request(f"error decoding the body: {error}") from None


def selection_of(target: Target, query: Mapping[str, str]) -> Selection:
    """What a list or watch selects. Raises 400 for selectors that do not parse."""
    labels = query.get("labelSelector", "")
    fields = query.get("fieldSelector", "")
    selection = Selection(target.kind, target.namespace, target.name or exact_name(fields))
    by_labels = label_selector(labels) if labels else None
    by_fields = field_selector(fields, target.kind) if fields else None
    if by_labels and by_fields:
        both = (by_labels, by_fields)
        return Selection(target.kind, target.namespace, selection.name, lambda body: all(each(body) for each in both))
    predicate = by_labels or by_fields
    return Selection(target.kind, target.namespace, selection.name, predicate) if predicate else selection


def list_query(query: Mapping[str, str]) -> ListQuery:
    """The parameters of a list. Raises 400."""
    limit = query.get("limit", "0") or "0"
    if not limit.lstrip("-").isdigit():
        raise bad_request(f'unable to decode "limit": {limit!r}')
    return ListQuery(
        limit=max(0, int(limit)),
        continue_token=query.get("continue", ""),
        resource_version=query.get("resourceVersion", ""),
        match=query.get("resourceVersionMatch", ""),
    )


def watch_query(kind: Kind, query: Mapping[str, str], version: int) -> WatchQuery:
    """The parameters of a watch. Raises 422 for streaming lists, as servers without them do."""
    if "sendInitialEvents" in query:
        text = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
        raise invalid(kind, "", [cause("FieldValueForbidden", text, "sendInitialEvents")])
    seconds = query.get("timeoutSeconds", "")
    if seconds and not seconds.isdigit():
        raise bad_request(f'unable to decode "timeoutSeconds": {seconds!r}')
    return WatchQuery(
        version=version,
        bookmarks=is_true(query.get("allowWatchBookmarks", "")),
        timeout_seconds=float(seconds or 0),
    )


def write_options(query: Mapping[str, str], user_agent: str, *, apply: bool) -> WriteOptions:
    """The parameters of a write. Raises 400 for values that the real server refuses."""
    dry_run = query.get("dryRun", "")
    if dry_run not in ("", "All"):
        raise bad_request(f'dryRun: Unsupported value: "{dry_run}": supported values: "All"')
    validation = query.get("fieldValidation", "") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        raise bad_request(f'fieldValidation: Unsupported value: "{validation}"')
    manager = query.get("fieldManager", "")
    if not manager and not apply:
        manager = user_agent.partition("/")[0] or "unknown"
    return WriteOptions(
        manager=manager, dry_run=dry_run == "All", force=is_true(query.get("force", "")), field_validation=validation
    )
