"""The schemas of the kinds, written down compactly for what Postern and the operator half use."""

from postern_devcluster.apiserver.kinds import BY_NAME, CNPG, Kind
from postern_devcluster.apiserver.schema import ANY, Node, open_struct
from postern_devcluster.apiserver.schemas import builtin, cluster
from postern_devcluster.apiserver.schemas.metadata import METADATA, with_metadata

_DECLARED: dict[str, Node] = {
    f"clusters.{CNPG}": with_metadata({"spec": cluster.SPEC, "status": cluster.STATUS}, required=("spec",)),
    **{resource: with_metadata(members) for resource, members in builtin.CLOSED.items()},
}
_OPEN: dict[str, Node] = {
    resource: open_struct({"metadata": METADATA, **members}) for resource, members in builtin.OPEN.items()
}
_PLAIN = open_struct({"metadata": METADATA, "status": open_struct({"conditions": builtin.CONDITIONS})})

SCHEMAS: dict[str, Node] = {resource: _DECLARED.get(resource) or _OPEN.get(resource) or _PLAIN for resource in BY_NAME}


def schema_of(kind: Kind) -> Node:
    """The schema of a kind; open where it is not written down."""
    return SCHEMAS.get(kind.resource, ANY)
