"""Quantities are compared by what they say."""

import pytest

from postern_watcher.domain.quantities import less_quantity, parse_quantity, same_quantity


@pytest.mark.parametrize(
    ("one", "other"),
    [("500m", "0.5"), ("1024Mi", "1Gi"), ("1e3", "1k"), ("2", "2000m"), ("1G", "1000M"), ("same", "same")],
)
def test_two_spellings_of_one_amount_are_equal(one: str, other: str) -> None:
    assert same_quantity(one, other)


@pytest.mark.parametrize(("less", "more"), [("1Gi", "2Gi"), ("1G", "1Gi"), ("999m", "1"), ("512Mi", "1Gi")])
def test_amounts_are_ordered(less: str, more: str) -> None:
    assert less_quantity(less, more)
    assert not less_quantity(more, less)
    assert not same_quantity(less, more)


@pytest.mark.parametrize("text", ["", "Gi", "1Zi", "one", "1 Gi Gi"])
def test_what_is_no_quantity_is_refused_and_equals_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(text)
    assert not same_quantity(text, "1")
    assert not less_quantity(text, "1")
