"""Kubernetes quantities of storage, in bytes. Only what a comparison of sizes needs."""

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?")
_FACTORS = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def parse_bytes(quantity: str) -> int:
    """Bytes of ``10Gi``, ``500M`` or ``1.5Ti``. Raises ``ValueError`` for anything else."""
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        raise ValueError(f"{quantity[:40]!r} is no storage quantity")
    return int(Decimal(match.group(1)) * _FACTORS[match.group(2) or ""])
