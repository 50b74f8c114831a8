"""Kubernetes quantities as numbers: only compared here, never written back: what was given stays as given."""

from fractions import Fraction

_FACTORS = {
    "": Fraction(1), "m": Fraction(1, 1000), "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9),
    "T": Fraction(10**12), "P": Fraction(10**15), "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30),
    "Ti": Fraction(2**40), "Pi": Fraction(2**50),
}  # fmt: skip


def parse_quantity(text: str | float) -> Fraction:
    """Return the value of a quantity. Raises ValueError for what is none."""
    raw = str(text).strip()
    digits = raw.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    factor = _FACTORS.get(raw[len(digits) :])
    if factor is None:
        raise ValueError(f"not a quantity: {raw!r}")
    return Fraction(digits) * factor
