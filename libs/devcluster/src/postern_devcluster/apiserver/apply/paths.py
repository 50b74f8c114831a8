"""Field paths: which fields a value has, what changed between two, and their FieldsV1 form.

A path is a tuple of FieldsV1 elements (``f:name``, ``k:{…}``, ``v:…``); sets of them follow the rules of
structured-merge-diff: leaves, items of maps and of keyed lists are members, members of structs are not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from postern_devcluster.apiserver.schema import ANY, NO_DEFAULT, Node
from postern_devcluster.apiserver.status import Object

Path = tuple[str, ...]
_encode = msgspec.json.Encoder(order="sorted").encode
_MISSING: Any = object()


def item_element(item: Any, node: Node) -> str:
    """The path element of an item in a set or keyed list."""
    if node.keys:
        return "k:" + _encode(item_key(item, node)).decode()
    return "v:" + _encode(item).decode()


def item_key(item: Any, node: Node) -> Object:
    """The identifying members of an item; absent ones take the schema's default."""
    key: Object = {}
    for name in node.keys:
        child = node.item.child(name)
        if isinstance(item, dict) and name in item:
            key[name] = item[name]
        elif child is not None and child.default is not NO_DEFAULT:
            key[name] = child.default
    return key


def is_granular(value: Any, node: Node) -> bool:
    """Whether members of the value are owned one by one."""
    if node.atomic:
        return False
    if isinstance(value, dict):
        return node.type in ("struct", "map", "any")
    return isinstance(value, list) and bool(node.keys or node.unique)


def elements(value: Any, node: Node) -> Iterator[tuple[str, Any, Node, bool]]:
    """The members of a granular value: element, value, node, and whether the member itself is in the set."""
    if isinstance(value, dict):
        for name, member in value.items():
            declared = node.type == "struct" and name in node.fields
            yield f"f:{name}", member, node.child(name) or ANY, not declared
    else:
        for item in value:
            yield item_element(item, node), item, node.item, True


def field_set(value: Any, node: Node, path: Path = ()) -> set[Path]:
    """Every path that a value has."""
    found: set[Path] = set()
    _collect(value, node, path, found)
    return found


def _collect(value: Any, node: Node, path: Path, found: set[Path]) -> None:
    if not is_granular(value, node) or not value:
        if path:
            found.add(path)
        return
    for element, member, child, itself in elements(value, node):
        below = (*path, element)
        if itself:
            found.add(below)
        _collect(member, child, below, found)


@dataclass(slots=True)
class Changes:
    """Paths that differ between two values."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)

    @property
    def written(self) -> set[Path]:
        """Paths that somebody set."""
        return self.added | self.modified


def compare(old: Any, new: Any, node: Node) -> Changes:
    """What a change from ``old`` to ``new`` touched."""
    changes = Changes()
    _compare(old, new, node, (), changes)
    return changes


def _compare(old: Any, new: Any, node: Node, path: Path, changes: Changes) -> None:
    if old == new:
        return
    if not (is_granular(old, node) and is_granular(new, node)):
        changes.modified.add(path)
        for whole, into in ((old, changes.removed), (new, changes.added)):
            if is_granular(whole, node):
                _collect(whole, node, path, into)
        return
    before = {element: (member, child) for element, member, child, _ in elements(old, node)}
    for element, member, child, itself in elements(new, node):
        below = (*path, element)
        known, _ = before.pop(element, (_MISSING, None))
        if known is not _MISSING:
            _compare(known, member, child, below, changes)
            continue
        if itself:
            changes.added.add(below)
        _collect(member, child, below, changes.added)
    for element, (member, gone) in before.items():
        below = (*path, element)
        changes.removed.add(below)
        _collect(member, gone, below, changes.removed)


def to_fields_v1(paths: Iterable[Path]) -> Object:
    """The FieldsV1 tree of a set of paths."""
    tree: Object = {}
    for path in sorted(paths):
        level = tree
        for element in path:
            level = level.setdefault(element, {})
        level["."] = {}
    return _without_lonely_dots(tree)


def _without_lonely_dots(tree: Object) -> Object:
    return {element: {} if list(below) == ["."] else _without_lonely_dots(below) for element, below in tree.items()}


def from_fields_v1(tree: Object) -> set[Path]:
    """The set of paths of a FieldsV1 tree."""
    found: set[Path] = set()
    _read(tree, (), found)
    return found


def _read(tree: Object, path: Path, found: set[Path]) -> None:
    for element, below in tree.items():
        if element == ".":
            found.add(path)
        elif below:
            _read(below, (*path, element), found)
        else:
            found.add((*path, element))


def describe(path: Path) -> str:
    """A path as messages show it: ``.spec.containers[name="a"].image``."""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            key = msgspec.json.decode(rest)
            listed = ",".join(f"{name}={_encode(value).decode()}" for name, value in sorted(key.items()))
            text += f"[{listed}]"
        else:
            text += f"[={rest}]"
    return text
