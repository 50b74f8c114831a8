"""Typed merge: an applied value laid over a live one, and fields taken out again.

Separate from ownership: these functions know schemas and values, not managers. Nothing is changed in place.
"""

from typing import Any

from postern_devcluster.apiserver.apply.paths import Path, elements, is_granular, item_element
from postern_devcluster.apiserver.schema import ANY, Node


def merge(live: Any, applied: Any, node: Node) -> Any:
    """The live value with everything that ``applied`` says."""
    if not (is_granular(applied, node) and is_granular(live, node)):
        return applied
    if isinstance(applied, dict):
        merged = dict(live)
        for name, value in applied.items():
            merged[name] = merge(live[name], value, node.child(name) or ANY) if name in live else value
        return merged
    return _merge_items(live, applied, node)


def _merge_items(live: list[Any], applied: list[Any], node: Node) -> list[Any]:
    incoming = {item_element(item, node): item for item in applied}
    merged = []
    for item in live:
        element = item_element(item, node)
        if element in incoming:
            merged.append(merge(item, incoming.pop(element), node.item))
        else:
            merged.append(item)
    return [*merged, *incoming.values()]


Tree = dict[str, "Tree | None"]
"""Paths to remove: None marks the end of one."""


def remove(value: Any, paths: set[Path], node: Node) -> Any:
    """The value without these paths; a container that this empties goes too (its parent's member is left out)."""
    tree: Tree = {}
    for path in sorted(paths, key=len):
        level = tree
        for element in path[:-1]:
            below = level.get(element)
            if element in level and below is None:
                break  # an ancestor goes as a whole
            level = level.setdefault(element, {})  # type: ignore[assignment]
        else:
            level[path[-1]] = None
    return _remove(value, tree, node)


def _remove(value: Any, tree: Tree, node: Node) -> Any:
    if not is_granular(value, node):
        return value
    kept = []
    for element, member, child, _ in elements(value, node):
        if element not in tree:
            kept.append((element, member))
            continue
        below = tree[element]
        if below is None:
            continue
        left = _remove(member, below, child)
        if left or not member:
            kept.append((element, left))
    if isinstance(value, dict):
        return {element.partition(":")[2]: member for element, member in kept}
    return [member for _, member in kept]
