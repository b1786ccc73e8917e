"""Laws of the moving line and of numbers in words: it never wraps, says less as it narrows, and never claims too much."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise._format import clock, count, duration, percent, plural, rate, size
from fanwise.progress._eta import Remaining
from fanwise.progress._line import bar_line, bar_lines, clipped, width
from fanwise.progress._tally import Part, Snapshot
from fanwise.progress._terminal import painted
from fanwise.progress._words import Closing, closing_line, plain_line

ESCAPES = re.compile(r"\x1b\[[0-9]+m")
COUNTS = st.integers(0, 10**7)


@st.composite
def snapshots(draw: st.DrawFn, part: bool = False) -> Snapshot:
    """A moment of some run; counts fit together, the total may be unknown."""
    done = draw(COUNTS)
    failed = draw(st.integers(0, done))
    lost = draw(st.integers(0, done - failed))
    total = draw(st.none() | st.integers(done, done + 10**7))
    seconds = draw(st.floats(0, 1e6))
    eta = draw(st.none() | st.just(Remaining(seconds, clock(seconds))))
    if draw(st.booleans()) and eta is not None:
        eta = Remaining(0.0, "finishing: 2 items running, oldest 31 s", finishing=True)
    label = draw(st.text(max_size=50))
    parts = draw(st.integers(1, 9))
    inner = Part(draw(st.text(max_size=20)), label, draw(st.integers(1, parts)), parts, draw(st.floats(0, 1e5)))
    return Snapshot(
        label=label,
        total=total,
        done=done,
        failed=failed,
        lost=lost,
        cached=draw(st.integers(0, done - failed - lost)),
        workers=draw(st.integers(0, 400)),
        rate=draw(st.floats(0, 1e6)),
        elapsed=draw(st.floats(0, 1e6)),
        eta=eta,
        part=inner if part else None,
    )


COLUMNS = st.integers(1, 200)


@given(st.text(), st.integers(0, 60), st.booleans())
def test_clipped_text_fits_and_is_printable(text: str, most: int, utf8: bool) -> None:
    said = clipped(text, most, utf8=utf8)
    assert width(said) <= most
    assert said.isprintable()
    assert utf8 or said.isascii()


@given(st.text(), st.integers(0, 60))
def test_clipping_twice_changes_nothing_and_what_fits_is_kept(text: str, most: int) -> None:
    once = clipped(text, most)
    assert clipped(once, most) == once
    if text.isprintable() and width(text) <= most:
        assert once == text.encode("utf-8", "replace").decode()


@given(st.text(), st.text())
def test_widths_add_up(first: str, second: str) -> None:
    assert width(first + second) == width(first) + width(second)
    assert 0 <= width(first) <= 2 * len(first)


@given(snapshots(part=True), st.integers(2, 200), st.booleans())
def test_neither_line_of_a_part_reaches_the_last_column(shown: Snapshot, columns: int, utf8: bool) -> None:
    lines = bar_lines(shown, columns, utf8=utf8)
    assert len(lines) == 2
    assert all(width(line) < columns for line in lines)


@given(snapshots(), COLUMNS)
def test_one_run_has_one_line(shown: Snapshot, columns: int) -> None:
    assert bar_lines(shown, columns) == [bar_line(shown, columns)]


@given(snapshots(), COLUMNS, st.booleans())
def test_colour_adds_nothing_but_codes(shown: Snapshot, columns: int, utf8: bool) -> None:
    plain = bar_line(shown, columns, utf8=utf8)
    coloured = bar_line(shown, columns, painted, utf8=utf8)
    bare = ESCAPES.sub("", coloured)
    assert width(bare) == width(plain)
    assert re.sub("[─━╸]", "", bare) == re.sub("[─━╸]", "", plain)


@given(snapshots(), st.integers(24, 120))
def test_failures_are_never_left_out_where_a_line_fits(shown: Snapshot, columns: int) -> None:
    line = bar_line(shown, columns)
    words = [f"{n:,} {word}" for n, word in ((shown.failed, "failed"), (shown.lost, "lost")) if n]
    if shown.total is not None and len(line) > 24 and not shown.eta:
        shortest = f"{percent(shown.done, shown.total)} %"
        assert line == shortest or all(word in line for word in words)


@given(snapshots(), COLUMNS)
def test_only_a_run_that_is_done_says_a_hundred_percent(shown: Snapshot, columns: int) -> None:
    bare = bar_line(Snapshot(**{n: getattr(shown, n) for n in Snapshot.__slots__} | {"label": ""}), columns)
    if shown.total is not None and shown.done < shown.total:
        assert "100 %" not in bare


@given(snapshots())
def test_a_sentence_names_what_went_wrong_and_no_zero(shown: Snapshot) -> None:
    said = plain_line(shown).rpartition(": ")[2]
    assert ("failed" in said) is (shown.failed > 0)
    assert ("lost" in said) is (shown.lost > 0)
    assert ("worker" in said) is (shown.workers > 0)
    if shown.total is None:
        assert "%" not in said


@st.composite
def endings(draw: st.DrawFn) -> Closing:
    total = draw(COUNTS)
    missing = draw(st.integers(0, total))
    return Closing(
        label="study",
        total=total,
        missing=missing,
        failed=draw(st.integers(0, 3)),
        lost=draw(st.integers(0, 3)),
        cached=draw(st.integers(0, 3)),
        resumed=draw(st.integers(0, 3)),
        workers=draw(st.integers(0, 64)),
        wall=draw(st.floats(0, 1e6)),
        serial_estimate=draw(st.floats(0, 1e8)),
        ended=draw(st.sampled_from(["done", "error", "interrupted", "deadline"])),
    )


@given(endings())
def test_a_closing_line_claims_a_speed_up_only_of_several_workers_that_did_something(end: Closing) -> None:
    said = closing_line(end)
    claimed = end.workers > 1 and end.settled > 0 and end.wall > 0
    assert ("one process (estimated)" in said) is claimed
    assert said.startswith("study: ")


@given(endings())
def test_a_closing_line_says_what_is_missing_and_why(end: Closing) -> None:
    said = closing_line(end)
    assert (f"{end.settled:,} of {end.total:,} item" in said) is (end.missing > 0)
    assert ("(" in said.partition(", ")[0]) is (end.ended != "done") or end.total > 999


@given(st.floats(0, 1e9))
def test_a_duration_is_a_number_and_a_unit(seconds: float) -> None:
    said = duration(seconds)
    assert re.fullmatch(r"[\d.,]+ (ns|µs|ms|s|h \d\d|min \d\d s|d \d+ h)", said), said


@given(st.floats(1e-9, 99.0))
def test_a_duration_is_right_within_five_percent(seconds: float) -> None:
    number, unit = duration(seconds).split(" ")
    told = float(number) * {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}[unit]
    assert abs(told - seconds) <= 0.05 * seconds


@given(st.floats(0, 1e7), st.floats(0, 1e7))
def test_a_longer_time_is_never_shown_as_a_shorter_one_on_the_clock(first: float, second: float) -> None:
    def seconds(said: str) -> int:
        if ":" in said:
            minutes, rest = said.split(":")
            return 60 * int(minutes) + int(rest)
        number, unit, rest = [*said.replace(" h", "").split(" "), ""][:3] if "d" in said else ["", "", ""]
        if unit:
            return 86_400 * int(number) + 3_600 * int(rest)
        hours, minutes = said.split(" h ")
        return 3_600 * int(hours) + 60 * int(minutes)

    low, high = sorted((first, second))
    assert seconds(clock(low)) <= seconds(clock(high))


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_share_is_a_hundred_only_when_all_is_done(done: int, total: int) -> None:
    share = percent(done, total)
    assert 0 <= share <= 100
    assert (share == 100) is (done >= total)


@given(st.integers(0, 10**12))
def test_counts_can_be_read_back(number: int) -> None:
    assert int(count(number).replace(",", "")) == number
    assert plural(number, "item").endswith("item") is (number == 1)


@settings(max_examples=50)
@given(st.floats(0, 1e9))
def test_rates_and_sizes_have_a_unit_and_at_most_three_digits_behind_the_first(value: float) -> None:
    assert re.fullmatch(r"[\d.,]+ item/(s|min|h)", rate(value))
    assert re.fullmatch(r"[\d.,]+ (B|kB|MB|GB|TB)", size(value))
