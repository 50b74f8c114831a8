"""What is missing of a source is known exactly, in whatever order its messages come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_audit.domain.gaps import Gap, Progress, advance


@pytest.mark.parametrize(
    ("before", "arrived", "after"),
    [
        (Progress(), [1, 2, 3], Progress(3)),
        (Progress(), [3], Progress(3, (Gap(1, 2),))),
        (Progress(3), [4, 4, 4], Progress(4)),
        (Progress(3), [2, 3], Progress(3)),
        (Progress(1), [5, 3], Progress(5, (Gap(2, 2), Gap(4, 4)))),
        (Progress(9, (Gap(2, 6),)), [4], Progress(9, (Gap(2, 3), Gap(5, 6)))),
        (Progress(9, (Gap(2, 6),)), [2], Progress(9, (Gap(3, 6),))),
        (Progress(9, (Gap(2, 6),)), [6], Progress(9, (Gap(2, 5),))),
        (Progress(9, (Gap(2, 2),)), [2], Progress(9)),
        (Progress(), [2**62], Progress(2**62, (Gap(1, 2**62 - 1),))),
    ],
)
def test_cases(before: Progress, arrived: list[int], after: Progress) -> None:
    assert advance(before, arrived) == after


@given(st.lists(st.lists(st.integers(1, 40), max_size=10), max_size=10))
def test_missing_is_what_never_came(batches: list[list[int]]) -> None:
    progress = Progress()
    for batch in batches:
        progress = advance(progress, batch)
    came = {number for batch in batches for number in batch}
    missing = {number for gap in progress.gaps for number in range(gap.first, gap.last + 1)}
    assert missing == set(range(1, max(came, default=0) + 1)) - came
    assert progress.missing == len(missing)
