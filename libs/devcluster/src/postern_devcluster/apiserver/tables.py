"""Tables for ``kubectl get``: the printer columns of each kind and how a row is made of an object."""

from typing import Any

from postern_devcluster.apiserver.columns import columns_of
from postern_devcluster.apiserver.kinds import Kind
from postern_devcluster.apiserver.status import Object


def build_table(kind: Kind, bodies: list[Object], metadata: Object, *, include: str) -> Object:
    """A ``Table``; ``include`` is what of the object each row carries (None, Metadata, Object)."""
    columns = columns_of(kind)
    definitions = [
        {
            "name": column.name,
            "type": column.type,
            "format": "name" if column.name == "Name" else "",
            "description": column.name,
            "priority": column.priority,
        }
        for column in columns
    ]
    rows = [{"cells": [column.cell(body) for column in columns], "object": _carried(body, include)} for body in bodies]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _carried(body: Object, include: str) -> Any:
    if include == "None":
        return None
    if include == "Object":
        return body
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": body["metadata"]}
