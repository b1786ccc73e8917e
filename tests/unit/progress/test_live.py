"""When progress shows what: the part that every kind shares."""

from __future__ import annotations

import math

import pytest
from tests.runs import report_of, serial_run

from fanwise.progress._live import Live
from fanwise.records import run_events as told


class Seen:
    """A view that remembers what it was to show, every half second from the first on."""

    def __init__(self, fails=None):
        self.shown = []
        self.ends = []
        self.drops = 0
        self.fails = fails

    def next_due(self, at):
        return max(1.0, at + 0.5)

    def show(self, shown):
        self.shown.append(shown)
        if self.fails == "show":
            raise BrokenPipeError

    def close(self, end):
        self.ends.append(end)
        if self.fails == "close":
            raise ValueError("I/O operation on closed file")

    def drop(self):
        self.drops += 1


def tell(live, happened, total=4, label="score"):
    live.start(total, label)
    for event in happened:
        live.on(event)
    live.finish(report_of(happened))


def test_a_view_is_shown_when_it_is_due_and_closed_at_the_end():
    view = Seen()
    tell(Live(view), serial_run(items=20, each=0.2), total=20)
    assert [round(shown.elapsed, 3) for shown in view.shown] == [1.0, 1.6, 2.2, 2.8, 3.4, 4.0]
    assert [shown.done for shown in view.shown] == [5, 8, 11, 14, 17, 20]
    (end,) = view.ends
    assert (end.label, end.total, end.settled, end.wall) == ("score", 20, 20, pytest.approx(4.0))


def test_ticks_show_what_events_do_not():
    view = Seen()
    live = Live(view)
    live.start(3, "f")
    for at in (0.5, 1.0, 1.2, 1.5):
        live.tick(at)
    assert [shown.elapsed for shown in view.shown] == [1.0, 1.5]


def test_the_label_given_first_wins():
    view = Seen()
    tell(Live(view, "Scanning"), serial_run(each=1.0))
    assert {shown.label for shown in view.shown} == {"Scanning"}
    assert view.ends[0].label == "Scanning"


def test_a_short_run_is_closed_without_a_word_unless_it_is_a_command():
    brief, command = Seen(), Seen()
    tell(Live(brief), serial_run(each=0.1))
    tell(Live(command, brief=False), serial_run(each=0.1))
    assert brief.shown == command.shown == []
    assert brief.ends == [None]
    assert command.ends[0].total == 4


def test_a_short_run_does_not_fill_in_its_report():
    view = Seen()
    live = Live(view)
    happened = serial_run(items=3, each=1e-4)
    live.start(3, "f")
    for event in happened:
        live.on(event)
    report = report_of(happened)
    live.finish(report)
    assert object.__getattribute__(report, "_make") is not None


@pytest.mark.parametrize("where", ["show", "close"])
def test_a_view_that_is_broken_is_dropped_once(where):
    view = Seen(fails=where)
    live = Live(view, brief=False)
    tell(live, serial_run(each=1.0))
    tell(live, serial_run(each=1.0))
    live.tick(99.0)
    assert view.drops == 1
    assert len(view.shown) <= 4
    assert live._due == math.inf


def test_other_errors_are_not_hidden():
    class Wrong(Seen):
        def show(self, shown):
            raise TypeError("a defect")

    with pytest.raises(TypeError):
        tell(Live(Wrong()), serial_run(each=1.0))


def test_parts_share_one_closing_line():
    view = Seen()
    live = Live(view, "study", parts=3)
    for label in ("read", "sweep", "draw"):
        tell(live, serial_run(each=0.5), label=label)
    assert [shown.label for shown in view.shown[::3]] == ["study 1/3 · read", "study 2/3 · sweep", "study 3/3 · draw"]
    assert [shown.part.before_s for shown in view.shown[::3]] == [0.0, 2.0, 4.0]
    (end,) = view.ends
    assert (end.label, end.total, end.wall, end.ended) == ("study", 12, pytest.approx(6.0), "done")


def test_parts_without_a_label_are_called_by_the_function():
    view = Seen()
    live = Live(view, parts=2)
    tell(live, serial_run(each=0.5), label="score")
    tell(live, serial_run(each=0.5), label="score")
    assert view.shown[0].label == "score 1/2"
    assert view.ends[0].label == "score"


def test_short_parts_that_are_long_together_have_a_closing_line():
    view = Seen()
    live = Live(view, "study", parts=3)
    for _ in range(3):
        tell(live, serial_run(each=0.15))
    assert view.ends[0].wall == pytest.approx(1.8)


def test_a_part_that_does_not_end_well_is_the_last():
    view = Seen()
    live = Live(view, "study", parts=3)
    tell(live, serial_run(each=1.0))
    tell(live, [*serial_run(each=1.0)[:-2], told.RunEnded(3.0, "error")])
    (end,) = view.ends
    assert (end.settled, end.total, end.ended) == (7, 8, "error")


def test_a_used_object_can_show_another_run():
    view = Seen()
    live = Live(view)
    for _ in range(2):
        tell(live, serial_run(each=1.0))
    assert [end.total for end in view.ends] == [4, 4]
