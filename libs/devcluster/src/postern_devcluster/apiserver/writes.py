"""Create, update, patch and apply: the one path that every write takes.

Order as in the real server: type and names, concurrency, ownership, defaults, structure, admission, generation, store.
Deleting is in ``deletion``; what a kind adds is in ``lifecycle``.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from postern_devcluster.apiserver import patches
from postern_devcluster.apiserver.apply import ownership
from postern_devcluster.apiserver.defaults import decoded
from postern_devcluster.apiserver.history import Stored
from postern_devcluster.apiserver.kinds import NAMESPACES, Kind
from postern_devcluster.apiserver.lifecycle import Lifecycle
from postern_devcluster.apiserver.objects import (
    check_type,
    generated_name,
    is_deleting,
    metadata_causes,
    shaped,
    timestamp,
)
from postern_devcluster.apiserver.schemas import schema_of
from postern_devcluster.apiserver.status import (
    ApiError,
    Object,
    already_exists,
    bad_request,
    cause,
    conflict,
    invalid,
    namespace_terminating,
    not_found,
    unsupported_media_type,
)
from postern_devcluster.apiserver.store import ObjectStore
from postern_devcluster.apiserver.validation import find_faults, prune, with_defaults, without_nulls

_SERVER_OWNED = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
    "managedFields",
    "selfLink",
)

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
PATCH_TYPES = (JSON, MERGE, STRATEGIC, APPLY)


@dataclass(frozen=True, slots=True)
class Target:
    """What a request addresses."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(slots=True)
class WriteOptions:
    """The query of a write; ``warnings`` collects what the answer says in Warning headers."""

    manager: str = "unknown"
    dry_run: bool = False
    force: bool = False
    field_validation: str = "Warn"
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write left behind."""

    object: Object
    created: bool = False
    raw: bytes | None = None
    """The encoded object, where it was stored."""


class ObjectWriter:
    """Writes objects of every kind."""

    def __init__(self, store: ObjectStore, lifecycle: Lifecycle, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._clock = clock

    def create(self, target: Target, given: object, options: WriteOptions) -> Outcome:
        """POST to a collection."""
        body: Object = without_nulls(check_type(given, target.kind))
        metadata = dict(body["metadata"])
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = generated_name(metadata["generateName"])
        if not metadata.get("name"):
            text = "Required value: name or generateName is required"
            raise invalid(target.kind, "", [cause("FieldValueRequired", text, "metadata.name")])
        if metadata.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        target = Target(target.kind, target.namespace, str(metadata["name"]))
        _place(metadata, target)
        body["metadata"] = {name: value for name, value in metadata.items() if name not in _SERVER_OWNED}
        body = decoded(target.kind, self._checked_fields(target, body, options))
        writer = self._writer(target, options, "Update")
        return self._create(target, body, options, writer=writer)

    def update(self, target: Target, given: object, options: WriteOptions) -> Outcome:
        """PUT of an object or its status."""
        before = self._live(target)
        body: Object = without_nulls(check_type(given, target.kind))
        metadata = body["metadata"]
        if metadata.get("name", target.name) != target.name:
            text = f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
            raise bad_request(text)
        _place(metadata := dict(metadata), target)
        body["metadata"] = metadata
        unconditional = not metadata.get("resourceVersion")
        if unconditional and (target.kind.custom or target.kind.plural == "leases"):
            text = "Invalid value: 0: must be specified for an update"
            causes = [cause("FieldValueInvalid", text, "metadata.resourceVersion")]
            raise invalid(target.kind, target.name, causes)
        return self._replace(target, before, body, options)

    def patch(self, target: Target, content_type: str, patch: Any, options: WriteOptions) -> Outcome:
        """PATCH of an object or its status; ``patch`` is the decoded body. An apply may create."""
        if content_type == APPLY:
            return self._apply(target, patch, options)
        before = self._live(target)
        live = before.object
        if content_type == JSON:
            patched = patches.json_patch(live, patch)
        elif not isinstance(patch, dict):
            raise bad_request("the patch must be a JSON object")
        elif content_type == MERGE:
            patched = patches.merge_patch(live, patch)
        elif target.kind.custom:
            raise unsupported_media_type((JSON, MERGE, APPLY))
        else:
            patched = patches.strategic_merge(live, patch, schema_of(target.kind))
        body = without_nulls(check_type(patched, target.kind))
        if body["metadata"].get("name") != target.name:
            raise bad_request("metadata.name cannot be changed by a patch")
        return self._replace(target, before, body, options)

    def _apply(self, target: Target, patch: object, options: WriteOptions) -> Outcome:
        kind = target.kind
        config = without_nulls(check_type(patch, kind))
        if not isinstance(patch, dict) or "apiVersion" not in patch or "kind" not in patch:
            raise bad_request("apply needs apiVersion and kind in the body")
        if options.manager == "":
            text = "Required value: is required for apply patch"
            raise invalid(kind, target.name, [cause("FieldValueRequired", text, "fieldManager")])
        metadata = config["metadata"]
        if metadata.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        if metadata.get("name", target.name) != target.name:
            raise bad_request(f"metadata.name ({metadata['name']}) does not match the name on the URL ({target.name})")
        _place(metadata := dict(metadata), target)
        config["metadata"] = metadata
        self._refuse_untyped(target, config)
        writer = self._writer(target, options, "Apply")
        before = self._store.get(kind, (target.namespace, target.name))
        now = timestamp(self._clock())
        live = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": target.name}}
        if before is None:
            if target.subresource or metadata.get("uid"):
                raise not_found(kind, target.name)
            if kind.namespaced:
                live["metadata"] = {"name": target.name, "namespace": target.namespace}
        else:
            live = before.object
            self._check_preconditions(target, before, metadata)
        after = ownership.apply(
            live, config, writer=writer, kind=kind, schema=schema_of(kind), force=options.force, now=now
        )
        if before is None:
            return self._create(target, after, options, writer=None)
        return self._store_change(target, before, after, options)

    def _create(
        self, target: Target, body: Object, options: WriteOptions, *, writer: ownership.Writer | None
    ) -> Outcome:
        kind = target.kind
        self._check_namespace(target)
        if self._store.get(kind, (target.namespace, target.name)) is not None:
            raise already_exists(kind, target.name)
        if kind.status:
            body = {name: value for name, value in body.items() if name != "status"}
        now = timestamp(self._clock())
        if writer is not None:
            body = ownership.track_update(None, body, writer=writer, kind=kind, schema=schema_of(kind), now=now)
        body = self._admitted(kind, body, None)
        metadata = {**body["metadata"], "uid": str(uuid.uuid4()), "creationTimestamp": now}
        if kind.generation:
            metadata["generation"] = 1
        body = shaped({**body, "metadata": metadata}, kind)
        if options.dry_run:
            return Outcome(body, created=True)
        stored = self._store.put(kind, body)
        return Outcome(stored.object, created=True, raw=stored.raw)

    def _replace(self, target: Target, before: Stored, body: Object, options: WriteOptions) -> Outcome:
        """Everything of an update after the new object is known."""
        kind = target.kind
        live = before.object
        self._check_preconditions(target, before, body["metadata"])
        if target.subresource == "status":
            body = {**live, "status": body.get("status", {})}
        elif kind.status:
            body = {name: value for name, value in body.items() if name != "status"}
            if "status" in live:
                body["status"] = live["status"]
        kept = {name: live["metadata"][name] for name in _SERVER_OWNED if name in live["metadata"]}
        given = {name: value for name, value in body["metadata"].items() if name not in _SERVER_OWNED}
        body = {**body, "metadata": {**given, **kept}}
        body = decoded(target.kind, self._checked_fields(target, body, options))
        writer = self._writer(target, options, "Update")
        now = timestamp(self._clock())
        body = ownership.track_update(live, body, writer=writer, kind=kind, schema=schema_of(kind), now=now)
        return self._store_change(target, before, body, options)

    def _store_change(self, target: Target, before: Stored, body: Object, options: WriteOptions) -> Outcome:
        kind = target.kind
        live = before.object
        if target.subresource != "status":
            body = self._admitted(kind, body, live)
        metadata = dict(body["metadata"])
        if kind.generation and _spec_part(body, kind) != _spec_part(live, kind):
            metadata["generation"] = live["metadata"].get("generation", 0) + 1
        body = shaped({**body, "metadata": metadata}, kind)
        if _same(body, live):
            return Outcome(live, raw=before.raw)
        if options.dry_run:
            return Outcome(body)
        if is_deleting(live) and kind is not NAMESPACES and not _is_held(metadata):
            return Outcome(self._store.remove(kind, body).object)
        stored = self._store.put(kind, body)
        return Outcome(stored.object, raw=stored.raw)

    def _admitted(self, kind: Kind, body: Object, before: Object | None) -> Object:
        schema = schema_of(kind)
        body = self._lifecycle.mutate(kind, with_defaults(body, schema), before)
        causes = [*metadata_causes(body["metadata"], kind), *find_faults(body, schema).causes]
        if causes:
            raise invalid(kind, body["metadata"]["name"], causes)
        self._lifecycle.refuse(kind, body, before)
        return body

    def _live(self, target: Target) -> Stored:
        stored = self._store.get(target.kind, (target.namespace, target.name))
        if stored is None:
            raise not_found(target.kind, target.name)
        return stored

    def _check_namespace(self, target: Target) -> None:
        if not target.kind.namespaced:
            return
        stored = self._store.get(NAMESPACES, ("", target.namespace))
        if stored is None:
            raise not_found(NAMESPACES, target.namespace)
        if is_deleting(stored.object):
            raise namespace_terminating(target.kind, target.name, target.namespace)

    @staticmethod
    def _check_preconditions(target: Target, before: Stored, metadata: Object) -> None:
        live = before.object["metadata"]
        uid = metadata.get("uid")
        if uid and uid != live["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {live['uid']}"
            raise conflict(target.kind, target.name, why)
        version = metadata.get("resourceVersion")
        if version and version != live["resourceVersion"]:
            raise conflict(target.kind, target.name)

    @staticmethod
    def _refuse_untyped(target: Target, config: Object) -> None:
        faults = find_faults(config, schema_of(target.kind))
        texts = [f".{path}: field not declared in schema" for path in faults.undeclared]
        texts += [f".{path}: expected {expected}, got {value!r}" for path, expected, value in faults.mistyped]
        if not texts:
            return
        kind = target.kind
        where = f"{target.namespace}/{target.name}; {kind.api_version}, Kind={kind.kind}"
        listed = texts[0] if len(texts) == 1 else "errors:\n  " + "\n  ".join(texts)
        raise ApiError(500, "", f"failed to create typed patch object ({where}): {listed}")

    @staticmethod
    def _checked_fields(target: Target, body: Object, options: WriteOptions) -> Object:
        """Refuse or drop undeclared members, by ``fieldValidation``; refuse wrong types."""
        kind = target.kind
        faults = find_faults(body, schema_of(kind))
        if faults.mistyped and not kind.custom:
            path, expected, _ = faults.mistyped[0]
            text = f"json: cannot unmarshal into Go struct field {kind.kind}.{path} of type {expected}"
            raise bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {text}')
        if faults.mistyped:
            causes = [
                cause(
                    "FieldValueTypeInvalid",
                    f"Invalid value: {value!r}: {path} in body must be of type {expected}",
                    path,
                )
                for path, expected, value in faults.mistyped
            ]
            raise invalid(kind, target.name, causes)
        if not faults.undeclared:
            return body
        texts = [f'unknown field "{path}"' for path in faults.undeclared]
        if options.field_validation == "Strict":
            listed = ", ".join(texts)
            if kind.custom:
                raise bad_request(f"strict decoding error: {listed}")
            what = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
            raise bad_request(f"{what}: strict decoding error: {listed}")
        if options.field_validation == "Warn":
            options.warnings.extend(texts)
        pruned: Object = prune(body, schema_of(kind))
        return pruned

    @staticmethod
    def _writer(target: Target, options: WriteOptions, operation: str) -> ownership.Writer:
        return ownership.Writer(options.manager, operation, target.kind.api_version, target.subresource)


def _place(metadata: Object, target: Target) -> None:
    """Set or check the namespace. Raises 400 when body and address differ."""
    if not target.kind.namespaced:
        metadata.pop("namespace", None)
        return
    if metadata.get("namespace", target.namespace) != target.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    metadata["namespace"] = target.namespace


def _is_held(metadata: Object) -> bool:
    """Whether something still keeps an object that is being deleted."""
    return bool(metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds"))


def _spec_part(body: Object, kind: Kind) -> Object:
    left_out = ("metadata", "status") if kind.status else ("metadata",)
    return {name: value for name, value in body.items() if name not in left_out}


def _same(body: Object, live: Object) -> bool:
    """Whether a write changes nothing; times in managedFields do not count."""
    if _without_ownership(body) != _without_ownership(live):
        return False
    return _ownership_without_times(body) == _ownership_without_times(live)


def _without_ownership(body: Object) -> Object:
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    return {**body, "metadata": metadata}


def _ownership_without_times(body: Object) -> list[Object]:
    entries = body["metadata"].get("managedFields", ())
    return [{name: value for name, value in entry.items() if name != "time"} for entry in entries]
