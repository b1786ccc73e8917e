"""The moving line: what it says at which width."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.progress._eta import Remaining
from fanwise.progress._line import bar_line, clipped, width
from fanwise.progress._tally import Snapshot
from fanwise.progress._terminal import painted


def snapshot(**changes):
    usual = {"label": "search", "total": 2_000, "done": 1_220, "failed": 0, "lost": 0, "cached": 0, "workers": 2}
    return Snapshot(**usual | {"rate": 312.0, "elapsed": 4.0, "eta": Remaining(3.0, "0:03")} | changes)


def without_bar(line):
    return " ".join("".join(c for c in line if c not in "━╸─").split())


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (100, "search 61 % 1,220/2,000 312 item/s 2 workers ETA 0:03"),
        (80, "search 61 % 1,220/2,000 312 item/s 2 workers ETA 0:03"),
        (60, "search 61 % 1,220/2,000 312 item/s ETA 0:03"),
        (50, "search 61 % 1,220/2,000 ETA 0:03"),
        (40, "61 % 1,220/2,000 ETA 0:03"),
        (30, "61 % 1,220/2,000 ETA 0:03"),
        (23, "61 % ETA 0:03"),
        (20, "61 % ETA 0:03"),
    ],
)
def test_workers_rate_label_and_bar_are_left_out_in_this_order(columns, said):
    line = bar_line(snapshot(), columns)
    assert without_bar(line) == said
    assert ("━" in line) == (columns >= 40)


def test_the_line_of_the_documentation():
    line = bar_line(snapshot(), 78)
    assert line == f"search  {'━' * 10}{'─' * 7}  61 %  1,220/2,000  312 item/s  2 workers  ETA 0:03"
    assert width(line) == 77


def test_ascii_has_brackets():
    assert bar_line(snapshot(), 80, utf8=False).startswith("search  [##########-------]  61 %")


def test_an_unknown_total_has_neither_share_nor_time_left():
    line = bar_line(snapshot(total=None, eta=None, elapsed=62.0), 80)
    assert line == "search  1,220 items  312 item/s  2 workers  1:02"
    assert bar_line(snapshot(total=None, eta=None), 20) == "1,220 0:04"


def test_failures_are_said_and_painted():
    line = bar_line(snapshot(failed=3, lost=1), 120, painted)
    assert "\x1b[31m3 failed, 1 lost\x1b[0m" in line
    assert "\x1b[32m" in line
    assert "╺" not in line


def test_the_share_is_rounded_down_and_full_only_at_the_end():
    assert "99 %" in bar_line(snapshot(done=1_999), 80)
    assert "─" in bar_line(snapshot(done=1_999), 80) or "╸" in bar_line(snapshot(done=1_999), 80)
    assert "100 %" in bar_line(snapshot(done=2_000), 80)
    assert "100 %" in bar_line(snapshot(done=0, total=0), 80)


def test_the_last_items_say_that_they_run():
    late = Remaining(0.0, "finishing: 2 items running, oldest 12 s", finishing=True)
    assert bar_line(snapshot(eta=late), 120).endswith("finishing: 2 items running, oldest 12 s")
    assert bar_line(snapshot(eta=late), 80).endswith("  finishing")
    assert bar_line(snapshot(eta=late), 20) == "61 % finishing"


def test_before_the_time_left_is_known_nothing_stands_in_its_place():
    assert bar_line(snapshot(eta=None, rate=0.0, done=0, workers=0), 80).endswith("0 %  0/2,000")
    assert bar_line(snapshot(eta=None), 20) == "61 %"


def test_labels_cannot_move_the_cursor_and_wide_characters_count_twice():
    assert clipped("a\x1b[2Jb\nc", 30) == "a [2Jb c"
    assert clipped("日本語のラベル", 8) == "日本語…"
    assert width("日本e\u0301") == 5
    assert clipped("abcdef", 4) == "abc…"


@settings(max_examples=200)
@given(
    st.builds(
        snapshot,
        label=st.text(max_size=50),
        total=st.none() | st.integers(0, 10**9),
        done=st.integers(0, 10**9),
        failed=st.integers(0, 10**6),
        rate=st.floats(0.0, 1e7),
        eta=st.none() | st.builds(Remaining, st.just(1.0), st.sampled_from(["0:03", "3 h 05"])),
    ),
    st.integers(1, 250),
    st.booleans(),
)
def test_the_line_never_fills_the_last_column(shown: Snapshot, columns: int, utf8: bool) -> None:
    line = bar_line(shown, columns, utf8=utf8)
    assert width(line) <= max(0, columns - 1)
    assert line.isprintable()
    assert utf8 or line.isascii()
