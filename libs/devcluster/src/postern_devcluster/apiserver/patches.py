"""Client patches other than apply: merge-patch (RFC 7386), json-patch (RFC 6902), strategic merge.

Pure: a patched copy comes back, the live object is never changed.
"""

import copy
from typing import Any

import jsonpatch
import jsonpointer

from postern_devcluster.apiserver.apply.paths import item_key
from postern_devcluster.apiserver.schema import ANY, Node
from postern_devcluster.apiserver.status import ApiError, Object, bad_request

_DIRECTIVE = "$patch"
_DELETE_SCALARS = "$deleteFromPrimitiveList/"
_SET_ORDER = "$setElementOrder/"
_RETAIN = "$retainKeys"


def merge_patch(live: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(live) if isinstance(live, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def json_patch(live: Object, patch: Any) -> Any:
    """RFC 6902. Raises 400 for a malformed patch and 422 for one that does not fit the object."""
    if not isinstance(patch, list):
        raise bad_request("a json patch must be an array of operations")
    try:
        return jsonpatch.apply_patch(copy.deepcopy(live), patch)
    except jsonpatch.InvalidJsonPatch as error:
        raise bad_request(f"error decoding patch: {error}") from None
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        text = f"the server rejected our request due to an error in our request: {error}"
        raise ApiError(422, "Invalid", text) from None


def strategic_merge(live: Any, patch: Any, schema: Node) -> Any:
    """Merge-patch that merges keyed lists by their keys and understands kubectl's directives."""
    if not isinstance(patch, dict):
        return patch
    if patch.get(_DIRECTIVE) == "replace":
        return {name: value for name, value in patch.items() if name != _DIRECTIVE}
    if patch.get(_DIRECTIVE) == "delete":
        return {}
    merged = dict(live) if isinstance(live, dict) else {}
    for name, value in patch.items():
        if name == _RETAIN:
            merged = {kept: member for kept, member in merged.items() if kept in value}
        elif name.startswith(_DELETE_SCALARS):
            target = name.removeprefix(_DELETE_SCALARS)
            merged[target] = [item for item in merged.get(target, []) if item not in value]
        elif name.startswith(_SET_ORDER):
            continue
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = _strategic_member(merged.get(name), value, schema.child(name) or ANY)
    return merged


def _strategic_member(live: Any, value: Any, schema: Node) -> Any:
    if isinstance(value, dict):
        return strategic_merge(live, value, schema)
    if not isinstance(value, list):
        return value
    if schema.unique:
        known = live if isinstance(live, list) else []
        return [*known, *(item for item in value if item not in known)]
    if schema.keys:
        return _strategic_list(live if isinstance(live, list) else [], value, schema)
    return value


def _strategic_list(live: list[Any], patch: list[Any], schema: Node) -> list[Any]:
    if any(isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" for item in patch):
        return [item for item in patch if not (isinstance(item, dict) and item.get(_DIRECTIVE) == "replace")]
    merged = list(live)
    for item in patch:
        key = item_key(item, schema)
        index = next((at for at, known in enumerate(merged) if item_key(known, schema) == key), None)
        deletes = isinstance(item, dict) and item.get(_DIRECTIVE) == "delete"
        if index is None:
            if not deletes:
                merged.append(item)
        elif deletes:
            del merged[index]
        else:
            merged[index] = strategic_merge(merged[index], item, schema.item)
    return merged
