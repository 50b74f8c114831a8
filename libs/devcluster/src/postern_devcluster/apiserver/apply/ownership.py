"""Who owns which field: managedFields, server-side apply with its conflicts, and the bookkeeping of other writes.

Separate from merging values: this module decides, ``merging`` computes. Rules follow structured-merge-diff's updater.
"""

from dataclasses import dataclass, replace
from typing import Any

from postern_devcluster.apiserver.apply.merging import merge, remove
from postern_devcluster.apiserver.apply.paths import (
    Path,
    compare,
    describe,
    field_set,
    from_fields_v1,
    to_fields_v1,
)
from postern_devcluster.apiserver.kinds import Kind
from postern_devcluster.apiserver.schema import Node
from postern_devcluster.apiserver.status import Object, apply_conflict

_OWNED_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")


@dataclass(frozen=True, slots=True)
class Writer:
    """Who makes a write, as managedFields tells writers apart."""

    manager: str
    operation: str
    """``Apply`` or ``Update``."""
    api_version: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    writer: Writer
    time: str
    paths: frozenset[Path]
    fields: Object | None = None
    """FieldsV1 as it was stored; None when the paths changed."""


def owned_part(body: Object, kind: Kind, subresource: str) -> Object:
    """The part of an object whose fields have owners, as far as this (sub)resource may write them."""
    if subresource == "status":
        return {"status": body["status"]} if "status" in body else {}
    part = {name: value for name, value in body.items() if name not in ("apiVersion", "kind", "metadata")}
    if kind.status:
        part.pop("status", None)
    metadata = body.get("metadata", {})
    owned = {name: metadata[name] for name in _OWNED_METADATA if metadata.get(name)}
    return {"metadata": owned, **part} if owned else part


def apply(live: Object, config: Object, *, writer: Writer, kind: Kind, schema: Node, force: bool, now: str) -> Object:
    """The object after an apply of ``config``. Raises 409 where others own what would change."""
    entries = _read(live)
    wanted = owned_part(config, kind, writer.subresource)
    before = owned_part(live, kind, writer.subresource)
    applied = field_set(wanted, schema) if wanted else set()
    last = next((entry.paths for entry in entries if entry.writer == writer), frozenset())
    others = [entry for entry in entries if entry.writer != writer]
    merged = merge(before, wanted, schema)
    changes = compare(before, merged, schema)
    others = _settle_conflicts(others, changes.written, force=force)
    merged = remove(merged, _dropped(last, applied, others), schema)
    gone = compare(before, merged, schema).removed
    kept = [_without(entry, gone) for entry in others]
    mine = _Entry(writer, now, frozenset(applied))
    previous = next((entry for entry in entries if entry.writer == writer), None)
    if previous is not None and previous.paths == mine.paths:
        mine = previous
    position = entries.index(previous) if previous is not None else len(kept)
    kept.insert(min(position, len(kept)), mine)
    return _with_entries(_with_part(live, merged, kind, writer.subresource), kept)


def track_update(before: Object | None, after: Object, *, writer: Writer, kind: Kind, schema: Node, now: str) -> Object:
    """The object after a create, update or patch, with ownership of what that changed moved to its writer."""
    entries = _read(before) if before is not None else []
    old = owned_part(before, kind, writer.subresource) if before is not None else {}
    new = owned_part(after, kind, writer.subresource)
    changes = compare(old, new, schema)
    written, removed = changes.written, changes.removed
    kept: list[_Entry] = []
    mine: _Entry | None = None
    for entry in entries:
        if entry.writer == writer:
            mine = entry
            paths = (entry.paths | written) - removed
            kept.append(entry if paths == entry.paths else _Entry(writer, now, frozenset(paths)))
        else:
            kept.append(_without(entry, written | removed))
    if mine is None and written:
        kept.append(_Entry(writer, now, frozenset(written)))
    return _with_entries(after, kept)


def _settle_conflicts(others: list[_Entry], written: set[Path], *, force: bool) -> list[_Entry]:
    conflicts = [(entry, path) for entry in others for path in sorted(entry.paths & written)]
    if conflicts and not force:
        raise apply_conflict([(_owner(entry), describe(path)) for entry, path in conflicts])
    return [_without(entry, written) for entry in others]


def _owner(entry: _Entry) -> str:
    writer = entry.writer
    text = f'"{writer.manager}"'
    if writer.subresource:
        text += f' with subresource "{writer.subresource}"'
    if writer.operation == "Update":
        text += f" using {writer.api_version}"
        text += f" at {entry.time}" if entry.time else ""
    return text


def _dropped(last: frozenset[Path], applied: set[Path], others: list[_Entry]) -> set[Path]:
    """What this manager applied before, not now, and nobody else owns (nor anything below it)."""
    candidates = last - applied
    if not candidates:
        return set()
    held: set[Path] = set()
    for paths in (applied, *(entry.paths for entry in others)):
        for path in paths:
            held.update(path[:length] for length in range(1, len(path) + 1))
    return {path for path in candidates if path not in held}


def _without(entry: _Entry, paths: set[Path]) -> _Entry:
    left = entry.paths - paths
    return entry if left == entry.paths else replace(entry, paths=left, fields=None)


def _with_part(live: Object, part: Object, kind: Kind, subresource: str) -> Object:
    if subresource == "status":
        rest = {name: value for name, value in live.items() if name != "status"}
        return {**rest, **part}
    metadata = {name: value for name, value in live["metadata"].items() if name not in _OWNED_METADATA}
    metadata.update(part.get("metadata", {}))
    body: Object = {name: live[name] for name in ("apiVersion", "kind") if name in live}
    body["metadata"] = metadata
    body.update({name: value for name, value in part.items() if name != "metadata"})
    if kind.status and "status" in live:
        body["status"] = live["status"]
    return body


def _read(body: Object) -> list[_Entry]:
    entries = []
    for stored in body["metadata"].get("managedFields", ()):
        fields = stored.get("fieldsV1", {})
        writer = Writer(
            stored.get("manager", ""),
            stored.get("operation", "Update"),
            stored.get("apiVersion", ""),
            stored.get("subresource", ""),
        )
        entries.append(_Entry(writer, stored.get("time", ""), frozenset(from_fields_v1(fields)), fields))
    return entries


def _with_entries(body: Object, entries: list[_Entry]) -> Object:
    rendered = [_render(entry) for entry in entries if entry.paths or entry.writer.operation == "Apply"]
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    if rendered:
        metadata["managedFields"] = rendered
    return {**body, "metadata": metadata}


def _render(entry: _Entry) -> Object:
    writer = entry.writer
    fields: Any = entry.fields if entry.fields is not None else to_fields_v1(entry.paths)
    rendered: Object = {
        "manager": writer.manager,
        "operation": writer.operation,
        "apiVersion": writer.api_version,
        "time": entry.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    if writer.subresource:
        rendered["subresource"] = writer.subresource
    return rendered
