"""Whether an object still is what we wrote: every field of ours compared, fields of others ignored (semantics 37)."""

from collections.abc import Mapping, Sequence
from typing import Any

from postern_provisioner.domain.quantities import same_quantity


def drifted_fields(manifest: Mapping[str, Any], live: Mapping[str, Any], *, limit: int = 5) -> list[str]:
    """Paths (``spec.instances``) of at most ``limit`` fields that the manifest sets and the live object has otherwise.

    Lists are compared as a whole length, element by element: we own every list that we write.
    """
    found: list[str] = []
    _compare(manifest, live, "", found, limit)
    return found


def _compare(wanted: object, actual: object, path: str, found: list[str], limit: int) -> None:
    if len(found) >= limit:
        return
    if wanted in ({}, [], (), "") and actual is None:
        return  # the API server leaves out what is empty
    if isinstance(wanted, Mapping):
        if not isinstance(actual, Mapping):
            found.append(path)
            return
        for key, value in wanted.items():
            _compare(value, actual.get(key), f"{path}.{key}" if path else str(key), found, limit)
    elif isinstance(wanted, Sequence) and not isinstance(wanted, str):
        if not isinstance(actual, Sequence) or isinstance(actual, str) or len(actual) != len(wanted):
            found.append(path)
            return
        for index, (one, other) in enumerate(zip(wanted, actual, strict=True)):
            _compare(one, other, f"{path}[{index}]", found, limit)
    elif wanted != actual and not (_is_quantity(path) and same_quantity(wanted, actual)):
        found.append(path)


def _is_quantity(path: str) -> bool:
    return path.startswith(("spec.resources.", "spec.storage.size"))
