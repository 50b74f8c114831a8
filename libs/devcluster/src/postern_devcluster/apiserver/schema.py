"""Schema nodes: what merging, ownership and validation need to know of a field, and a compact way to write them down.

Separate from the schemas themselves (``schemas``) and from those who walk them (``apply``, ``validation``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal

Type = Literal["any", "struct", "map", "list", "string", "integer", "number", "boolean", "quantity"]

NO_DEFAULT: Final = object()
_NO_FIELDS: Mapping[str, "Node"] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Node:
    """One field. ``any`` is what the real server deduces without a schema: maps merge, lists are replaced."""

    type: Type
    fields: Mapping[str, "Node"] = field(default_factory=lambda: _NO_FIELDS)
    items: "Node | None" = None
    """Of a map: its values. Of a list: its items."""
    atomic: bool = False
    """Owned and replaced as a whole."""
    keys: tuple[str, ...] = ()
    """Of a list: the members that identify an item (list-type map)."""
    unique: bool = False
    """Of a list: a set of scalars."""
    open: bool = False
    """Of a struct: unknown members are kept as ``any``."""
    required: tuple[str, ...] = ()
    default: Any = NO_DEFAULT
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    min_length: int = 0

    def child(self, name: str) -> "Node | None":
        """The node of a member; None where the schema does not declare it."""
        if self.type == "struct":
            known = self.fields.get(name)
            return known if known is not None or not self.open else ANY
        if self.type == "map":
            return self.items
        return ANY if self.type == "any" else None

    @property
    def item(self) -> "Node":
        """The node of a list's items."""
        return self.items or ANY


ANY = Node("any")
STRING = Node("string")
INTEGER = Node("integer")
BOOLEAN = Node("boolean")
QUANTITY = Node("quantity")
"""An integer or a string such as ``512Mi``."""

Spec = Node | Mapping[str, Any] | list[Any]


def node(spec: Spec) -> Node:
    """Build a node: a dict is a closed struct, ``[item]`` an atomic list, a node itself."""
    if isinstance(spec, Node):
        return spec
    if isinstance(spec, list):
        return Node("list", items=node(spec[0]) if spec else ANY, atomic=True)
    return Node("struct", fields={name: node(each) for name, each in spec.items()})


def struct(members: Mapping[str, Any], *, required: tuple[str, ...] = (), atomic: bool = False) -> Node:
    """A closed struct: an undeclared member is a fault."""
    return replace(node(members), required=required, atomic=atomic)


def open_struct(members: Mapping[str, Any]) -> Node:
    """A struct of which only some members are described; the others are taken as they come."""
    return replace(node(members), open=True)


def mapping(values: Spec = STRING, *, atomic: bool = False) -> Node:
    """A map with free names."""
    return Node("map", items=node(values), atomic=atomic)


def keyed(items: Spec, *keys: str) -> Node:
    """A list whose items are identified by members."""
    return Node("list", items=node(items), keys=keys)


def unique(items: Spec = STRING) -> Node:
    """A set of scalars."""
    return Node("list", items=node(items), unique=True)


def string(*, default: Any = NO_DEFAULT, choices: tuple[str, ...] = (), pattern: str = "", min_length: int = 0) -> Node:
    """A string with its bounds."""
    compiled = re.compile(pattern) if pattern else None
    return Node("string", default=default, choices=choices, pattern=compiled, min_length=min_length)


def integer(*, default: Any = NO_DEFAULT, minimum: int | None = None, maximum: int | None = None) -> Node:
    """An integer with its bounds."""
    return Node("integer", default=default, minimum=minimum, maximum=maximum)


def boolean(*, default: Any = NO_DEFAULT) -> Node:
    """A boolean."""
    return Node("boolean", default=default)
