"""Kubernetes quantities as numbers: sizes are compared, and ``1000m`` is the same as ``1``."""

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?")
_FACTORS = {
    "": Decimal(1), "m": Decimal("0.001"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}  # fmt: skip


def parse_quantity(text: str) -> Decimal:
    """``500m``, ``10Gi`` or ``1.5Ti`` as a number. Raises ``ValueError`` for anything else."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no quantity")
    return Decimal(match.group(1)) * _FACTORS[match.group(2) or ""]


def same_quantity(one: object, other: object) -> bool:
    """Whether both are quantities of the same amount: the operator's webhook writes them in its own way."""
    try:
        return parse_quantity(str(one)) == parse_quantity(str(other))
    except ValueError:
        return False
