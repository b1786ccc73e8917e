"""What progress says in sentences."""

from __future__ import annotations

import pytest
from tests.runs import fanned_out, report_of
from tests.unit.progress.test_line import snapshot

from fanwise.progress._eta import Remaining
from fanwise.progress._words import Closing, closing_line, plain_line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"failed": 3}, "search: 1,220 of 2,000 items (61 %), 312 item/s, about 0:03 left, 2 workers, 3 failed"),
        ({"eta": None, "workers": 0}, "search: 1,220 of 2,000 items (61 %), 312 item/s"),
        (
            {"workers": 1, "lost": 2},
            "search: 1,220 of 2,000 items (61 %), 312 item/s, about 0:03 left, 1 worker, 2 lost",
        ),
        ({"total": None, "eta": None}, "search: 1,220 items, 312 item/s, 0:04 so far, 2 workers"),
        ({"done": 1_999}, "search: 1,999 of 2,000 items (99 %), 312 item/s, about 0:03 left, 2 workers"),
        ({"done": 1, "total": 1}, "search: 1 of 1 item (100 %), 312 item/s, about 0:03 left, 2 workers"),
        (
            {"eta": Remaining(0.0, "finishing: 2 items running, oldest 12 s", finishing=True)},
            "search: 1,220 of 2,000 items (61 %), 312 item/s, finishing: 2 items running, oldest 12 s, 2 workers",
        ),
        (
            {"eta": Remaining(11_100.0, "3 h 05")},
            "search: 1,220 of 2,000 items (61 %), 312 item/s, about 3 h 05 left, 2 workers",
        ),
    ],
)
def test_a_plain_line_is_a_whole_sentence(changes, said):
    assert plain_line(snapshot(**changes)) == said


def closing(**changes):
    usual = {
        "label": "search",
        "total": 2_000,
        "missing": 0,
        "failed": 0,
        "lost": 0,
        "cached": 0,
        "resumed": 0,
        "workers": 2,
        "wall": 6.4,
        "serial_estimate": 12.352,
        "ended": "done",
    }
    return closing_line(Closing(**usual | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "search: 2,000 items in 6.4 s, 312 item/s, 2 workers, 1.93x one process (estimated)"),
        (
            {"cached": 41, "failed": 3, "workers": 1},
            "search: 2,000 items in 6.4 s, 312 item/s; 41 from cache, 3 failed",
        ),
        ({"workers": 1}, "search: 2,000 items in 6.4 s, 312 item/s"),
        (
            {"missing": 780, "ended": "interrupted", "workers": 1},
            "search: 1,220 of 2,000 items in 6.4 s (interrupted), 191 item/s",
        ),
        ({"missing": 2_000, "ended": "error"}, "search: 0 of 2,000 items in 6.4 s (stopped by an error), 2 workers"),
        ({"ended": "deadline", "workers": 1}, "search: 2,000 items in 6.4 s (stopped early), 312 item/s"),
        ({"wall": 0.0, "total": 1}, "search: 1 item in 0 s, 2 workers"),
        ({"wall": 7_500.0, "workers": 1}, "search: 2,000 items in 2 h 05, 0.27 item/s"),
        (
            {"resumed": 7, "lost": 1, "workers": 1},
            "search: 2,000 items in 6.4 s, 312 item/s; 7 from the journal, 1 lost",
        ),
    ],
)
def test_the_closing_line_says_what_became_of_the_run(changes, said):
    assert closing(**changes) == said


def test_several_reports_close_as_one():
    first, second = report_of(fanned_out()), report_of(fanned_out()[:-2])
    end = Closing.of("study", [first, second])
    assert (end.total, end.workers, end.ended) == (24, 2, "done")
    assert end.wall == pytest.approx(2.42)
    assert end.serial_estimate == pytest.approx(2 * 1.68)
