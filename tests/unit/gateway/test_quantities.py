"""Quantities are exact, and what is none is refused."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_gateway.domain.quantities import (
    parse_bytes,
    parse_millicores,
    parse_postgres_memory,
    parse_postgres_time,
    parse_quantity,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1Gi", 2**30),
        ("0.1Gi", Fraction(2**30, 10)),
        ("1.5Ti", 3 * 2**39),
        ("20G", 20 * 10**9),
        ("500m", Fraction(1, 2)),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("12", 12),
        (".5", Fraction(1, 2)),
        ("100k", 100_000),
    ],
)
def test_a_quantity_has_its_exact_value(text: str, value: Fraction) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text", ["", "Gi", "1gi", "1 Gi", "-1Gi", "+1Gi", "1Gib", "1e", "0x10", "١Gi", "1Gi\n", "1" * 30]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quantity|suffix"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["0", "0Gi", "0.3", "100m", "10Ei"])
def test_volumes_are_whole_positive_bytes_that_fit(text: str) -> None:
    with pytest.raises(ValueError, match="bytes"):
        parse_bytes(text)


@given(st.integers(1, 2**62))
def test_bytes_survive_their_notation(size: int) -> None:
    assert parse_bytes(str(size)) == size


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    for parse in (parse_quantity, parse_bytes, parse_millicores):
        try:
            parse(text)
        except ValueError:
            continue


def test_cpu_counts_thousandths() -> None:
    assert (parse_millicores("250m"), parse_millicores("2"), parse_millicores("0.5")) == (250, 2000, 500)


def test_postgres_settings_count_their_own_units() -> None:
    assert parse_postgres_memory("128MB", base_unit=8192) == 2**27
    assert parse_postgres_memory("16384", base_unit=8192) == 2**27
    assert parse_postgres_memory("-1", base_unit=1024) == -1
    assert parse_postgres_time("5min", base_unit="ms") == 300_000
    assert parse_postgres_time("30", base_unit="s") == 30_000
    with pytest.raises(ValueError, match="units"):
        parse_postgres_memory("1GiB", base_unit=1)
