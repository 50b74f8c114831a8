"""Which of a source's messages have not arrived (semantics 28).

The relay counts what it sends to the ledger per source and shard without a gap, so a number that never came is a
message that is missing. Pure set arithmetic over ranges; storage keeps the ranges.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Numbers ``first`` to ``last`` inclusive have not arrived."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many messages are missing."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Progress:
    """What arrived of one source and shard: everything up to ``highest`` but the gaps. Counting starts at 1."""

    highest: int = 0
    gaps: tuple[Gap, ...] = ()

    @property
    def missing(self) -> int:
        """How many messages up to ``highest`` have not arrived."""
        return sum(gap.size for gap in self.gaps)


def advance(progress: Progress, arrived: Iterable[int]) -> Progress:
    """Progress after ``arrived``, in any order and with repetitions: skips open gaps, late arrivals close them."""
    highest = progress.highest
    gaps = list(progress.gaps)
    for number in sorted(arrived):
        if number > highest:
            if number > highest + 1:
                gaps.append(Gap(highest + 1, number - 1))
            highest = number
        else:
            gaps = [part for gap in gaps for part in _without(gap, number)]
    return Progress(highest, tuple(gaps))


def _without(gap: Gap, number: int) -> tuple[Gap, ...]:
    if not gap.first <= number <= gap.last:
        return (gap,)
    before, after = Gap(gap.first, number - 1), Gap(number + 1, gap.last)
    return tuple(part for part in (before, after) if part.size > 0)
