"""Kubernetes quantities, compared by value: ``500m`` is ``0.5``, ``1024Mi`` is ``1Gi``.

Grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from decimal import Decimal, InvalidOperation

_SUFFIXES = {
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    "m": Decimal("0.001"),
    "u": Decimal("0.000001"),
    "n": Decimal("0.000000001"),
}


def parse_quantity(text: str) -> Decimal:
    """Value of a quantity. Raises ``ValueError`` for what is none."""
    for width in (2, 1):
        factor = _SUFFIXES.get(text[-width:])
        if factor is not None:
            text = text[:-width]
            break
    else:
        factor = Decimal(1)
    try:
        return Decimal(text) * factor
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no quantity") from error


def same_quantity(one: str, other: str) -> bool:
    """Whether both say the same amount; text that is no quantity equals only itself."""
    if one == other:
        return True
    try:
        return parse_quantity(one) == parse_quantity(other)
    except ValueError:
        return False


def less_quantity(one: str, other: str) -> bool:
    """Whether ``one`` is less than ``other``; False where either is no quantity."""
    try:
        return parse_quantity(one) < parse_quantity(other)
    except ValueError:
        return False
