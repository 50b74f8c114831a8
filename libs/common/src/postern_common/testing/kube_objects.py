"""Field ownership and merging of the in-memory API server: server-side apply and merge patch on plain dictionaries.

Separate from the server because it is pure. Lists are atomic here; the kinds that Postern writes own their lists whole.
"""

import copy
from collections.abc import Mapping
from typing import Any

Path = tuple[str, ...]

UNOWNED: frozenset[Path] = frozenset(
    ("metadata", name)
    for name in ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
) | {("apiVersion",), ("kind",)}


def leaves(value: object, path: Path = ()) -> dict[Path, Any]:
    """Every leaf of nested maps; lists and empty maps are leaves."""
    if isinstance(value, Mapping) and (value or not path):
        found: dict[Path, Any] = {}
        for key, inner in value.items():
            found.update(leaves(inner, (*path, key)))
        return found
    return {path: value}


def merge(base: Any, patch: Any) -> Any:
    """RFC 7386: maps merge, ``None`` removes, everything else replaces."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(base) if isinstance(base, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def remove(value: dict[str, Any], path: Path) -> None:
    """Take a leaf away, and the maps that it leaves empty."""
    inner = value.get(path[0])
    if len(path) == 1:
        value.pop(path[0], None)
    elif isinstance(inner, dict):
        remove(inner, path[1:])
        if not inner:
            value.pop(path[0])


def at(value: object, path: Path) -> object:
    """The value at a path, None where there is none."""
    for part in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


class Ownership:
    """Which manager owns which fields of one object."""

    def __init__(self) -> None:
        self._owned: dict[str, set[Path]] = {}

    def conflicts(self, manager: str, live: Mapping[str, Any], applied: Mapping[Path, Any]) -> list[tuple[str, Path]]:
        """Fields that another manager owns with another value."""
        return [
            (other, path)
            for other, paths in self._owned.items()
            if other != manager
            for path in sorted(paths & applied.keys())
            if at(live, path) != applied[path]
        ]

    def take(self, manager: str, live: dict[str, Any], applied: Mapping[Path, Any], *, force: bool) -> None:
        """Let ``manager`` own exactly ``applied``; what it owned alone until now is removed from ``live``."""
        before = self._owned.get(manager, set())
        if force:
            for other, path in self.conflicts(manager, live, applied):
                self._owned[other].discard(path)
        self._owned[manager] = set(applied)
        for path in before - applied.keys():
            if not any(path in paths for paths in self._owned.values()):
                remove(live, path)

    def note_update(self, manager: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """A plain write: its changed fields belong to ``manager`` (an updater's entry, apart from its applies)."""
        old, new = leaves(before), leaves(after)
        changed = {path for path, value in new.items() if path not in UNOWNED and old.get(path, ...) != value}
        for other, paths in self._owned.items():
            if other != f"update:{manager}":
                paths.difference_update(changed)
        self._owned.setdefault(f"update:{manager}", set()).update(changed)

    def managers(self) -> list[str]:
        """Who owns anything."""
        return sorted(name for name, paths in self._owned.items() if paths)
