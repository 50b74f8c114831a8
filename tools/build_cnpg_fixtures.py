"""Reduces recordings of a real CloudNativePG to the fixtures in ``tests/fixtures/cnpg``.

Usage: ``POSTERN_CNPG_DATA=<folder with histories/> python tools/build_cnpg_fixtures.py [story …]``

A recording holds whole objects; a fixture holds the members that the watcher reads, as a JSON merge patch (RFC 7396)
against the line before about the same object. What Postern would have written is added: labels, and for every change
of the spec or of an action annotation a generation with its operation and goal; before a Cluster goes, the generation
whose goal is ``deleted``; before a switchover, the one that asks for it.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

KINDS = {"clusters": "cluster", "pods": "pod", "pvcs": "pvc", "events": "event"}
ACTIONS = ("cnpg.io/hibernation", "kubectl.kubernetes.io/restartedAt", "cnpg.io/reloadedAt")
LABELS = ("cnpg.io/cluster", "cnpg.io/podRole", "cnpg.io/jobRole", "cnpg.io/pvcRole")
TARGET = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "cnpg"
DELETION_LEAD = 0.02
"""Seconds between the apply that says ``deleted`` and the delete that follows it."""

Object = dict[str, Any]


def main() -> None:
    """Build the named stories, or all."""
    data = os.environ.get("POSTERN_CNPG_DATA")
    if not data:
        sys.exit("POSTERN_CNPG_DATA must name the folder that holds histories/")
    histories = Path(data) / "histories"
    TARGET.mkdir(parents=True, exist_ok=True)
    for story in sys.argv[1:] or sorted(folder.name for folder in histories.iterdir()):
        lines = [json.dumps(line, separators=(",", ":")) for line in build(histories / story)]
        (TARGET / f"{story}.jsonl").write_text("\n".join(lines) + "\n")
        print(f"{story}: {len(lines)} lines")


def build(folder: Path) -> Iterator[Object]:
    """The lines: a start, then ``{"t": seconds, "mark": …}`` or ``{"t", "kind", "type", "key", "patch"}``."""
    author = Author(folder.name)
    known: dict[tuple[str, str], Object] = {}
    rows = recording(folder)
    yield {"start": rows[0][0]}
    seen = ((round(t - rows[0][0], 3), kind, row) for t, kind, row in rows)
    for t, kind, recorded in author.annotate(seen):
        if kind == "mark":
            yield {"t": t, "mark": recorded["mark"]}
            continue
        reduced = REDUCE[kind](recorded["object"])
        meta = reduced["metadata"]
        key = (kind, f"{meta['namespace']}/{meta['name']}")
        before = known.pop(key, {})
        if recorded["type"] != "DELETED":
            known[key] = reduced
            if recorded["type"] == "MODIFIED" and without_version(before) == without_version(reduced):
                continue
        yield {"t": t, "kind": kind, "type": recorded["type"], "key": key[1], "patch": difference(before, reduced)}


def recording(folder: Path) -> list[tuple[float, str, Object]]:
    """Everything that was seen, in order, with the time in seconds since the epoch."""
    rows = []
    for file, kind in ({"marks": "mark"} | KINDS).items():
        path = folder / f"{file}.jsonl"
        for line in path.read_text().splitlines() if path.exists() else ():
            row = json.loads(line)
            rows.append((moment(row["t"]), kind, row))
    rows.sort(key=lambda row: row[0])
    return [row for row in rows if row[1] != "event" or row[2]["object"].get("type") == "Warning"]


def moment(text: str) -> float:
    """Seconds since the epoch; the recordings have up to nine digits of a second."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text)).timestamp()


class Author:
    """Writes what Postern would have written into a story's Clusters."""

    def __init__(self, story: str) -> None:
        self._story = story
        self._signatures: dict[str, object] = {}
        self._generations: dict[str, int] = {}
        self._annotations: dict[str, dict[str, str]] = {}
        self._latest: dict[str, Object] = {}

    def annotate(self, rows: Iterator[tuple[float, str, Object]]) -> Iterator[tuple[float, str, Object]]:
        """The rows with ours in their places."""
        for t, kind, row in rows:
            if kind != "cluster":
                yield t, kind, row
                continue
            item = row["object"]
            identity = f"{item['metadata']['namespace']}/{item['metadata']['name']}/{item['metadata']['uid']}"
            for ahead in self._applies_before(identity, row):
                yield round(t - DELETION_LEAD, 3), kind, {"type": "MODIFIED", "object": ahead}
            self._follow_spec(identity, item)
            self._write(identity, item)
            self._latest[identity] = item
            yield t, kind, row

    def _applies_before(self, identity: str, row: Object) -> Iterator[Object]:
        before = self._latest.get(identity)
        if before is None:
            return
        if row["type"] == "DELETED":
            yield self._apply(identity, before, "deleted")
        phase, was = (o.get("status", {}).get("phase") for o in (row["object"], before))
        if phase == "Switchover in progress" and was != phase:
            yield self._apply(identity, before, f"ready;primary!={before['status']['currentPrimary']}")

    def _apply(self, identity: str, before: Object, goal: str) -> Object:
        self._raise(identity, goal)
        ahead: Object = json.loads(json.dumps(before))
        self._write(identity, ahead)
        return ahead

    def _follow_spec(self, identity: str, item: Object) -> None:
        meta = item["metadata"]
        annotations = meta.get("annotations") or {}
        signature = (meta["generation"], *(annotations.get(name) for name in ACTIONS))
        if self._signatures.get(identity) != signature:
            self._signatures[identity] = signature
            self._raise(identity, "hibernated" if annotations.get(ACTIONS[0]) == "on" else "ready")

    def _raise(self, identity: str, goal: str) -> None:
        generation = self._generations[identity] = self._generations.get(identity, 0) + 1
        operation = uuid5(NAMESPACE_URL, f"{self._story}/{identity}/{generation}")
        self._annotations[identity] = {
            "postern.dev/generation": str(generation),
            "postern.dev/operation-id": str(operation),
            "postern.dev/goal": goal,
        }

    def _write(self, identity: str, item: Object) -> None:
        meta = item["metadata"]
        meta["labels"] = {
            "postern.dev/installation": "0123abcd",
            "postern.dev/project": meta["namespace"],
            "postern.dev/project-id": str(uuid5(NAMESPACE_URL, meta["namespace"])),
            "postern.dev/database": meta["name"],
            "postern.dev/database-id": str(uuid5(NAMESPACE_URL, f"{self._story}/{identity}")),
        }
        meta["annotations"] = {**(meta.get("annotations") or {}), **self._annotations[identity]}


def reduce_cluster(item: Object) -> Object:
    """The members of a Cluster that are read."""
    meta, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    annotations = {
        name: value for name, value in meta["annotations"].items() if name in ACTIONS or name.startswith("postern.dev/")
    }
    return {
        "metadata": {
            **pick(meta, "name", "namespace", "uid", "resourceVersion", "generation", "deletionTimestamp", "labels"),
            "annotations": annotations,
        },
        "spec": {
            **pick(spec, "instances", "imageName", "resources"),
            "storage": pick(spec["storage"], "size"),
            "postgresql": {"digest": digest(spec.get("postgresql"))},
        },
        "status": {
            **pick(
                status, "phase", "phaseReason", "instances", "readyInstances", "currentPrimary", "targetPrimary",
                "image", "resizingPVC",
            ),
            "instancesStatus": pick(status.get("instancesStatus") or {}, "healthy"),
            "pgDataImageInfo": pick(status.get("pgDataImageInfo") or {}, "majorVersion"),
            "conditions": [pick(c, "type", "status", "reason") for c in status.get("conditions") or () if wanted(c)],
        },
    }  # fmt: skip


def reduce_pod(item: Object) -> Object:
    """The members of a pod that are read."""
    status = item.get("status") or {}
    reduced = owned(item)
    reduced["metadata"]["ownerReferences"] = [pick(o, "kind") for o in item["metadata"].get("ownerReferences") or ()]
    reduced["spec"] = {"containers": [pick(c, "name", "image", "resources") for c in item["spec"]["containers"]]}
    reduced["status"] = {
        **pick(status, "phase"),
        "conditions": [
            pick(c, "type", "status", "reason", "message", "lastTransitionTime")
            for c in status.get("conditions") or ()
            if c["type"] in ("Ready", "PodScheduled")
        ],
    }
    for member in ("initContainerStatuses", "containerStatuses"):
        reduced["status"][member] = [reduce_container(c) for c in status.get(member) or ()]
    return reduced


def reduce_container(status: Object) -> Object:
    """The members of a container's status that are read."""
    reduced = pick(status, "name", "ready", "restartCount")
    for member in ("state", "lastState"):
        reduced[member] = {
            name: pick(what, "reason", "message", "exitCode")
            for name, what in (status.get(member) or {}).items()
            if name in ("waiting", "terminated")
        }
    return reduced


def reduce_pvc(item: Object) -> Object:
    """The members of a PersistentVolumeClaim that are read."""
    reduced = owned(item)
    reduced["spec"] = pick(item["spec"], "resources", "storageClassName")
    reduced["status"] = pick(item.get("status") or {}, "phase", "capacity")
    return reduced


def reduce_event(item: Object) -> Object:
    """The members of a Warning that are read."""
    involved = item.get("involvedObject") or item.get("regarding") or {}
    return {
        "metadata": pick(item["metadata"], "name", "namespace", "resourceVersion"),
        "involvedObject": pick(involved, "kind", "name", "namespace"),
        **pick(item, "type", "reason", "message", "lastTimestamp", "eventTime"),
    }


REDUCE = {"cluster": reduce_cluster, "pod": reduce_pod, "pvc": reduce_pvc, "event": reduce_event}


def owned(item: Object) -> Object:
    """Metadata of an object that belongs to a Cluster."""
    meta = item["metadata"]
    return {
        "metadata": {
            **pick(meta, "name", "namespace", "uid", "resourceVersion", "deletionTimestamp"),
            "labels": {name: value for name, value in (meta.get("labels") or {}).items() if name in LABELS},
            "annotations": {n: v for n, v in (meta.get("annotations") or {}).items() if n in ACTIONS},
        }
    }


def pick(item: Object, *names: str) -> Object:
    """The named members that are there and not null."""
    return {name: item[name] for name in names if item.get(name) is not None}


def wanted(condition: Object) -> bool:
    """Only hibernation is read from the conditions."""
    return bool(condition["type"] == "cnpg.io/hibernation")


def digest(value: object) -> str:
    """A stand-in for a part that is only compared."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def without_version(item: Object) -> Object:
    """The object but for its resourceVersion."""
    return {**item, "metadata": {k: v for k, v in item.get("metadata", {}).items() if k != "resourceVersion"}}


def difference(before: Object, after: Object) -> Object:
    """The JSON merge patch that makes ``after`` of ``before``."""
    patch: Object = {name: None for name in before if name not in after}
    for name, value in after.items():
        if isinstance(value, dict) and isinstance(before.get(name), dict):
            if value != before[name]:
                patch[name] = difference(before[name], value)
        elif name not in before or before[name] != value:
            patch[name] = value
    return patch


if __name__ == "__main__":
    main()
