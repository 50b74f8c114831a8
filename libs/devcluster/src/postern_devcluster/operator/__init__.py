"""The operator half of the development cluster: runs every CloudNativePG Cluster as PostgreSQL processes here."""

from postern_devcluster.operator.options import OperatorOptions
from postern_devcluster.operator.run import run_operator

__all__ = ["OperatorOptions", "run_operator"]
