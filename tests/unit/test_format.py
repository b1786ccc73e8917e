from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise import _format


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 s"),
        (5e-9, "5.0 ns"),
        (8.4e-7, "0.84 µs"),
        (0.00084, "840 µs"),
        (0.0021, "2.1 ms"),
        (0.026, "26 ms"),
        (0.0994, "99 ms"),
        (0.37, "0.37 s"),
        (0.996, "1.0 s"),
        (6.4, "6.4 s"),
        (61.0, "61 s"),
        (100.0, "1 min 40 s"),
        (200.0, "3 min 20 s"),
        (3_599.0, "59 min 59 s"),
        (11_100.0, "3 h 05"),
    ],
)
def test_durations(seconds, said):
    assert _format.duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3.0, "0:00"),
        (2.6, "0:03"),
        (760.0, "12:40"),
        (3_599.7, "1 h 00"),
        (11_100.0, "3 h 05"),
        (86_399.0, "23 h 59"),
        (187_200.0, "2 d 4 h"),
    ],
)
def test_clocks(seconds, said):
    assert _format.clock(seconds) == said


@pytest.mark.parametrize(
    ("per_second", "said"),
    [
        (12_345.6, "12,346 item/s"),
        (312.4, "312 item/s"),
        (4.24, "4.2 item/s"),
        (0.999, "1.0 item/s"),
        (0.5, "0.50 item/s"),
        (0.01, "0.60 item/min"),
        (0.001, "3.6 item/h"),
        (0.0, "0 item/s"),
    ],
)
def test_rates(per_second, said):
    assert _format.rate(per_second) == said


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 B"), (999, "999 B"), (180e6, "180 MB"), (1.9e9, "1.9 GB"), (3.2e15, "3,200 TB")]
)
def test_sizes(number, said):
    assert _format.size(number) == said


def test_counts_and_words():
    assert _format.count(1_220_000) == "1,220,000"
    assert _format.plural(1, "item") == "1 item"
    assert _format.plural(2_000, "item") == "2,000 items"
    assert _format.plural(0, "worker") == "0 workers"
    assert _format.notable(cached=41, failed=3) == ["41 from cache", "3 failed"]
    assert _format.notable() == []


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_share_is_full_only_when_all_is_done(done: int, total: int) -> None:
    share = _format.percent(done, total)
    assert 0 <= share <= 100
    assert (share == 100) == (done >= total)
