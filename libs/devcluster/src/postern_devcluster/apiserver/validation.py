"""Structural validation against a schema: undeclared fields, wrong types, bounds, and defaults.

Separate from admission (what an operator's webhook refuses) because the real server does them at different points.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from postern_devcluster.apiserver.schema import ANY, NO_DEFAULT, Node
from postern_devcluster.apiserver.status import Object, cause

_QUANTITY = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?\d+))?$")


@dataclass(slots=True)
class Faults:
    """What is wrong with a value, by the three ways in which the real server reports it."""

    undeclared: list[str] = field(default_factory=list)
    """Paths of unknown members, without a leading dot."""
    mistyped: list[tuple[str, str, Any]] = field(default_factory=list)
    """(path, expected type, value)."""
    causes: list[Object] = field(default_factory=list)
    """Bounds, as ``details.causes``."""


def find_faults(value: Any, node: Node) -> Faults:
    """Walk a value along its schema."""
    faults = Faults()
    _walk(value, node, "", faults)
    return faults


def _walk(value: Any, node: Node, path: str, faults: Faults) -> None:
    if node.type == "any" or value is None:
        return
    if not _fits(value, node):
        faults.mistyped.append((path, _type_name(node), value))
        return
    if isinstance(value, dict):
        _walk_members(value, node, path, faults)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _walk(item, node.item, f"{path}[{index}]", faults)
    else:
        _check_bounds(value, node, path, faults)


def _walk_members(value: Object, node: Node, path: str, faults: Faults) -> None:
    for name, member in value.items():
        below = f"{path}.{name}" if path else name
        child = node.child(name)
        if child is None:
            faults.undeclared.append(below)
        else:
            _walk(member, child, below, faults)
    for name in node.required:
        if value.get(name) is None:
            below = f"{path}.{name}" if path else name
            faults.causes.append(cause("FieldValueRequired", "Required value", below))


def _fits(value: Any, node: Node) -> bool:
    match node.type:
        case "struct" | "map":
            return isinstance(value, dict)
        case "list":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case _:
            return isinstance(value, int | str) and not isinstance(value, bool)


def _type_name(node: Node) -> str:
    return {"struct": "object", "map": "object", "list": "array", "quantity": "integer or string"}.get(
        node.type, node.type
    )


def _check_bounds(value: Any, node: Node, path: str, faults: Faults) -> None:
    shown = msgspec.json.encode(value).decode()
    if node.minimum is not None and value < node.minimum:
        text = f"Invalid value: {shown}: {path} in body should be greater than or equal to {node.minimum}"
        faults.causes.append(cause("FieldValueInvalid", text, path))
    if node.maximum is not None and value > node.maximum:
        text = f"Invalid value: {shown}: {path} in body should be less than or equal to {node.maximum}"
        faults.causes.append(cause("FieldValueInvalid", text, path))
    if node.choices and value not in node.choices:
        listed = ", ".join(f'"{choice}"' for choice in node.choices)
        text = f"Unsupported value: {shown}: supported values: {listed}"
        faults.causes.append(cause("FieldValueNotSupported", text, path))
    if node.pattern is not None and not node.pattern.search(value):
        text = f"Invalid value: {shown}: {path} in body should match '{node.pattern.pattern}'"
        faults.causes.append(cause("FieldValueInvalid", text, path))
    if node.min_length and len(value) < node.min_length:
        text = f"Invalid value: {shown}: {path} in body should be at least {node.min_length} chars long"
        faults.causes.append(cause("FieldValueInvalid", text, path))


def prune(value: Any, node: Node) -> Any:
    """The value without undeclared members."""
    if node.type == "any":
        return value
    if isinstance(value, dict):
        return {name: prune(member, child) for name, member in value.items() if (child := node.child(name)) is not None}
    if isinstance(value, list):
        return [prune(item, node.item) for item in value]
    return value


def with_defaults(value: Any, node: Node) -> Any:
    """The value with declared defaults filled in, inside members that are there."""
    if isinstance(value, dict) and node.type in ("struct", "map"):
        filled = {name: with_defaults(member, node.child(name) or ANY) for name, member in value.items()}
        for name, child in node.fields.items():
            if child.default is not NO_DEFAULT and name not in filled:
                filled[name] = child.default
        return filled
    if isinstance(value, list) and node.type == "list":
        return [with_defaults(item, node.item) for item in value]
    return value


def without_nulls(value: Any) -> Any:
    """The value without null members: the real server drops them where a field is not nullable."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def is_quantity(text: str) -> bool:
    """Whether a text is a Kubernetes quantity."""
    return _QUANTITY.match(text) is not None


_UNITS = {"": 1.0, "k": 1e3, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_UNITS |= {unit: 1000.0**power for power, unit in enumerate("MGTPE", start=2)}
_UNITS |= {f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", start=1)}


def quantity(text: str | int) -> float:
    """A quantity as a number. Raises ``ValueError`` for anything else."""
    match = _QUANTITY.match(str(text))
    if match is None:
        raise ValueError(f"not a quantity: {text!r}")
    unit = match.group(3) or ""
    if unit[-1:].isdigit():  # an exponent
        return float(str(text))
    return float(str(text).removesuffix(unit)) * _UNITS[unit]
