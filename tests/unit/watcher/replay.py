"""Replays a recorded history through decoding, sightings, derivation and records, with the recording's own clock."""

import json
from pathlib import Path
from typing import Any

from postern_common.kube.watch import ChangeType
from postern_watcher.domain.derivation import derive_state
from postern_watcher.domain.drift import find_drift
from postern_watcher.domain.facts import PodFacts, VolumeFacts
from postern_watcher.domain.record import Record, Transition, advance
from postern_watcher.observers.sinks import ClusterSink, OwnedSink, WarningSink
from postern_watcher.services.sightings import Sightings
from postern_watcher.storage.rows import is_tombstone
from postern_watcher.storage.wire import decode_cluster, decode_pod, decode_volume, decode_warning

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "cnpg"


class Replay:
    """One story told to an empty watcher. ``transitions`` then holds what it would have announced, by database."""

    def __init__(self) -> None:
        self.now = 0.0
        self.start = 0.0
        self.transitions: dict[str, list[tuple[float, Transition]]] = {}
        self.drifts: list[str] = []
        self._sightings = Sightings(self._look, lambda: self.now)
        self._due: dict[str, float] = {}
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}
        sink = self._sightings
        self._sinks: dict[str, tuple[Any, Any]] = {
            "cluster": (decode_cluster, ClusterSink(sink, lambda: None)),
            "pod": (decode_pod, OwnedSink(sink, PodFacts, lambda: None)),
            "pvc": (decode_volume, OwnedSink(sink, VolumeFacts, lambda: None)),
            "event": (decode_warning, WarningSink(sink)),
        }

    async def tell(self, story: str) -> "Replay":
        """The whole story, timers included."""
        lines = [json.loads(line) for line in (FIXTURES / f"{story}.jsonl").read_text().splitlines()]
        self.start = lines[0]["start"]
        for line in lines[1:]:
            self._pass_time(self.start + line["t"])
            if "mark" not in line:
                await self._show(line)
        self._pass_time(self.now + 120)
        return self

    async def _show(self, line: dict[str, Any]) -> None:
        key = (line["kind"], line["key"])
        item = merge(self._objects.pop(key, {}), line["patch"])
        if line["type"] != "DELETED":
            self._objects[key] = item
        decode, sink = self._sinks[line["kind"]]
        facts = decode(json.dumps(item).encode())
        if line["kind"] in ("pod", "pvc") and not facts.cluster:
            return
        await sink.changed(ChangeType(line["type"]), facts)

    def _pass_time(self, until: float) -> None:
        while self._due and min(self._due.values()) <= until:
            key = min(self._due, key=lambda k: self._due[k])
            self.now = self._due.pop(key)
            self._look(key)
        self.now = until

    def _look(self, key: str) -> None:
        entry = self._sightings.get(key)
        if entry is None or not entry.is_known:
            return
        record: Record | None = entry.record
        observed, recheck_after = derive_state(
            record.observed if record else None,
            self.now,
            entry.cluster,
            tuple(entry.volumes.values()),
            tuple(entry.pods.values()),
            tuple(entry.warnings),
        )
        if recheck_after is None:
            self._due.pop(key, None)
        else:
            assert recheck_after > 0, "a timer in the past would never end"
            self._due[key] = self.now + recheck_after
        step = advance(record, observed, entry.cluster, self.now)
        if (drift := find_drift(record, entry.cluster)) is not None:
            self.drifts.append(f"{key} {drift.what}")
        if step.transition is not None:
            name = f"{step.record.cluster_name}"
            self.transitions.setdefault(name, []).append((self.now - self.start, step.transition))
        entry.record = step.record
        if entry.cluster is None and is_tombstone(step.record):
            self._sightings.drop(key)
        else:
            self._sightings.put(key, entry)

    def told(self, name: str) -> list[str]:
        """``state reason generation/observed`` of every change of state or reason."""
        return [
            f"{t.record.observed.state} {t.record.observed.reason}"
            f" {t.record.observed.generation}/{t.record.observed.observed_generation}"
            for _, t in self.transitions[name]
            if t.changed
        ]


def merge(item: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(item) if isinstance(item, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
