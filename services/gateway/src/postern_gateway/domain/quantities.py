"""Exact quantities: Kubernetes' notation for storage, cpu and memory, PostgreSQL's for parameters.

Separate because a float would let ``0.1Gi`` compare wrongly; everything here is integer or fraction arithmetic.
"""

import re
from fractions import Fraction

_NUMBER = re.compile(
    r"(?P<number>[0-9]{1,19}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?P<suffix>[a-zA-Z]{0,2}|[eE][+-]?[0-9]{1,2})"
)
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_POSTGRES_MEMORY = {"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_POSTGRES_TIME = {
    "us": Fraction(1, 1000),
    "ms": Fraction(1),
    "s": Fraction(1000),
    "min": Fraction(60_000),
    "h": Fraction(3_600_000),
    "d": Fraction(86_400_000),
}
_INTEGER_WITH_UNIT = re.compile(r"([+-]?[0-9]{1,15})\s?([a-zA-Z]{0,3})")
MAX_BYTES = 2**63 - 1


def parse_quantity(text: str) -> Fraction:
    """The exact value of a Kubernetes quantity (``500m``, ``20Gi``, ``1e3``). Raises ``ValueError``."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a quantity")
    number, suffix = Fraction(match["number"]), match["suffix"]
    if suffix in _BINARY:
        return number * (1 << _BINARY[suffix])
    if suffix in _DECIMAL:
        return number * _power_of_ten(_DECIMAL[suffix])
    if suffix[0] in "eE" and len(suffix) > 1 and suffix[1:].lstrip("+-").isdigit():
        return number * _power_of_ten(int(suffix[1:]))
    raise ValueError(f"{text[:40]!r} has an unknown suffix")


def _power_of_ten(exponent: int) -> Fraction:
    return Fraction(10**exponent) if exponent >= 0 else Fraction(1, 10**-exponent)


def parse_bytes(text: str) -> int:
    """A Kubernetes quantity as whole bytes. Raises ``ValueError`` for fractions, zero and what a bigint cannot hold."""
    value = parse_quantity(text)
    if value.denominator != 1 or not 0 < value <= MAX_BYTES:
        raise ValueError(f"{text[:40]!r} is not a positive whole number of bytes")
    return value.numerator


def parse_millicores(text: str) -> int:
    """A cpu quantity in thousandths of a core. Raises ``ValueError`` below one thousandth, as Kubernetes does."""
    value = parse_quantity(text) * 1000
    if value.denominator != 1 or value <= 0:
        raise ValueError(f"{text[:40]!r} is finer than 1m")
    return value.numerator


def parse_postgres_memory(text: str, *, base_unit: int) -> int:
    """A PostgreSQL memory setting in bytes; a bare number counts ``base_unit`` bytes. Raises ``ValueError``."""
    match = _INTEGER_WITH_UNIT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a memory size")
    number, unit = int(match[1]), match[2]
    if not unit:
        return number if number < 0 else number * base_unit
    if unit not in _POSTGRES_MEMORY:
        raise ValueError(f"{text[:40]!r}: units are B, kB, MB, GB and TB")
    return number * _POSTGRES_MEMORY[unit]


def parse_postgres_time(text: str, *, base_unit: str) -> Fraction:
    """A PostgreSQL time setting in milliseconds; a bare number counts ``base_unit``. Raises ``ValueError``."""
    match = _INTEGER_WITH_UNIT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a duration")
    number, unit = int(match[1]), match[2]
    if not unit and number <= 0:
        return Fraction(number)
    if (unit or base_unit) not in _POSTGRES_TIME:
        raise ValueError(f"{text[:40]!r}: units are us, ms, s, min, h and d")
    return number * _POSTGRES_TIME[unit or base_unit]
