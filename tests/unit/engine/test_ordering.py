"""Results in item order, whatever the order in which they come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fanwise.engine._ordering import Reorder
from fanwise.records.outcomes import Batch, Ok, count_of, first_of


def cut(sizes: list[int], skipped: list[bool]) -> list[tuple[int, int, bool]]:
    """Consecutive ranges (first, count, skipped)."""
    ranges, first = [], 0
    for size, skip in zip(sizes, skipped, strict=True):
        ranges.append((first, size, skip))
        first += size
    return ranges


@st.composite
def arrivals(draw):
    sizes = draw(st.lists(st.integers(1, 5), max_size=30))
    skipped = draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    return draw(st.permutations(cut(sizes, skipped)))


def feed(reorder: Reorder, ranges: list[tuple[int, int, bool]]) -> list[int]:
    told: list[int] = []
    for first, count, skip in ranges:
        ready = reorder.skip(first, count) if skip else reorder.put(Batch(first, range(first, first + count)))
        told += [index for record in ready for index in range(record.first, record.first + len(record))]
    return told


@given(arrivals())
def test_everything_comes_once_and_ascending(ranges):
    reorder = Reorder()
    assert feed(reorder, ranges) == sorted(i for f, n, skip in ranges if not skip for i in range(f, f + n))
    assert len(reorder) == 0
    assert reorder.next == sum(count for _, count, _ in ranges)


@given(arrivals(), st.integers(0, 30))
def test_nothing_is_told_before_its_turn_and_nothing_is_kept_back(ranges, arrived):
    reorder = Reorder()
    here = ranges[:arrived]
    told = feed(reorder, here)
    covered = sorted((first, count) for first, count, _ in here)
    front = 0
    for first, count in covered:
        if first == front:
            front += count
    assert reorder.next == front
    assert told == [i for f, n, skip in sorted(here) if not skip for i in range(f, f + n) if i < front]


@given(arrivals(), st.integers(0, 30))
def test_what_is_drained_is_the_rest_ascending(ranges, arrived):
    reorder = Reorder()
    here = ranges[:arrived]
    told = feed(reorder, here)
    rest = [first_of(record) for record in reorder.drain()]
    assert rest == sorted(rest)
    assert len(told) + sum(n for f, n, skip in here if not skip and f in rest) == sum(
        n for _, n, skip in here if not skip
    )
    assert len(reorder) == 0


def test_single_outcomes_and_batches_mix():
    reorder = Reorder(first=5)
    assert reorder.put(Batch(6, ("g", "h"))) == []
    assert reorder.put(Ok(index=8, value="i")) == []
    assert len(reorder) == 2
    ready = reorder.put(Ok(index=5, value="f"))
    assert [first_of(record) for record in ready] == [5, 6, 8]
    assert sum(map(count_of, ready)) == 4
