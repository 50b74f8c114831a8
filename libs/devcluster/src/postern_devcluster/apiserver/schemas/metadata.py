"""ObjectMeta, and the members that every object has."""

from collections.abc import Mapping
from typing import Any

from postern_devcluster.apiserver.schema import BOOLEAN, INTEGER, STRING, Node, keyed, mapping, struct, unique

METADATA = struct(
    {
        "name": STRING,
        "generateName": STRING,
        "namespace": STRING,
        "selfLink": STRING,
        "uid": STRING,
        "resourceVersion": STRING,
        "generation": INTEGER,
        "creationTimestamp": STRING,
        "deletionTimestamp": STRING,
        "deletionGracePeriodSeconds": INTEGER,
        "labels": mapping(),
        "annotations": mapping(),
        "ownerReferences": keyed(
            struct(
                {
                    "apiVersion": STRING,
                    "kind": STRING,
                    "name": STRING,
                    "uid": STRING,
                    "controller": BOOLEAN,
                    "blockOwnerDeletion": BOOLEAN,
                },
                required=("apiVersion", "kind", "name", "uid"),
                atomic=True,
            ),
            "uid",
        ),
        "finalizers": unique(),
        "managedFields": [],
    }
)


def with_metadata(members: Mapping[str, Any], *, required: tuple[str, ...] = ()) -> Node:
    """A closed struct of a whole object."""
    return struct({"apiVersion": STRING, "kind": STRING, "metadata": METADATA, **members}, required=required)
