"""What the operator is told when it starts."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """``kubeconfig``: which API server; ``state_dir``: where its data and addresses are kept."""

    kubeconfig: Path | None
    state_dir: Path
    run_postgres: bool = True
    """False: no processes at all; objects and statuses move as if there were some (benchmarks)."""
    postgres_bin: Path | None = None
    """Directory of PostgreSQL programs; None: every major version below /usr/lib/postgresql."""
    keep_running: bool = False
    """Leave the PostgreSQL processes running when the operator stops; the next one takes them over."""
    address_registry: Path | None = None
    """Where this host keeps which state directory uses which loopback addresses; None: the usual place."""
