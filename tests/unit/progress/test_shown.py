"""A progress object opens its view when the run starts, where the run is, and nothing about it ends a run."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from tests.runs import report_of

from fanwise import progress
from fanwise.errors import FanwiseWarning, UsageError, UsageValueError
from fanwise.progress._auto import Shown
from fanwise.progress._choose import NAMES
from fanwise.progress._none import Nothing
from fanwise.progress._notebook import NotebookView, in_notebook
from fanwise.progress._tally import Snapshot
from fanwise.progress._words import Closing
from fanwise.records import run_events as told
from fanwise.typing import Progress

LONG = [
    told.RunStarted(0.0, 2, "score"),
    told.ChunkDone(12.0, 0, 0, 1, ok=1, busy=12.0),
    told.ChunkDone(24.0, 0, 1, 1, ok=1, busy=12.0),
    told.RunEnded(24.0, "done"),
]


def play(shown: Progress, events: list[Any] = LONG, label: str = "score") -> None:
    shown.start(2, label)
    for event in events:
        shown.on(event)
    shown.finish(report_of(events))


class TestOpening:
    def test_nothing_is_written_before_the_run_starts(self) -> None:
        stream = io.StringIO()
        progress.plain("study", stream=stream)
        assert stream.getvalue() == ""

    def test_stderr_is_that_of_the_moment_the_run_starts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shown = progress.plain("study", environ={})
        late = io.StringIO()
        monkeypatch.setattr(sys, "stderr", late)
        play(shown)
        assert late.getvalue().count("fanwise: study: ") == 3

    def test_the_environment_is_read_when_the_run_starts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = io.StringIO()
        shown = progress.auto("study", stream=stream)
        monkeypatch.setenv("FANWISE_PROGRESS", "json")
        play(shown)
        assert json.loads(stream.getvalue().splitlines()[-1])["event"] == "end"

    def test_an_object_shows_one_run_after_the_other(self) -> None:
        stream = io.StringIO()
        shown = progress.plain(stream=stream, environ={})
        play(shown, label="first")
        play(shown, label="second")
        closing = [line for line in stream.getvalue().splitlines() if "items in" in line]
        assert [line.split(": ")[1] for line in closing] == ["first", "second"]

    @pytest.mark.parametrize("call", ["on", "tick", "finish"])
    def test_what_comes_before_the_start_is_passed_over(self, call: str) -> None:
        stream = io.StringIO()
        argument = {"on": LONG[1], "tick": 99.0, "finish": report_of(LONG)}[call]
        getattr(Shown("plain", None, 1, command=True, stream=stream, clock=None, environ={}), call)(argument)
        assert stream.getvalue() == ""

    def test_an_unknown_name_in_the_environment_is_a_warning_and_silence(self) -> None:
        stream = io.StringIO()
        with pytest.warns(FanwiseWarning, match="FANWISE_PROGRESS is 'loud'.*no progress is shown"):
            play(progress.auto(stream=stream, environ={"FANWISE_PROGRESS": "loud"}))
        assert stream.getvalue() == ""


class TestKinds:
    @pytest.mark.parametrize("name", NAMES)
    def test_each_name_has_an_object_of_the_protocol(self, name: str) -> None:
        shown = progress.by_name(name, "study")
        assert isinstance(shown, Progress)
        assert isinstance(shown, Nothing) is (name == "none")

    @pytest.mark.parametrize(("name", "near"), [("plian", "plain"), ("jsn", "json"), ("Rich", "rich")])
    def test_a_mistyped_name_is_met_with_all_and_the_nearest(self, name: str, near: str) -> None:
        with pytest.raises(UsageError, match=f"auto, rich, plain, none, json. Did you mean '{near}'"):
            progress.by_name(name)

    @pytest.mark.parametrize("name", ["", "0", "tqdm", "AUTO!"])
    def test_a_name_like_no_other_is_a_value_error_too(self, name: str) -> None:
        with pytest.raises(UsageValueError):
            progress.by_name(name)

    @pytest.mark.parametrize(
        ("environ", "command", "first"),
        [
            ({}, True, "fanwise: score: 1 of 2 items (50 %)"),
            ({"FANWISE_PROGRESS": "plain"}, False, "fanwise: score: 1 of 2 items (50 %)"),
            ({"FANWISE_PROGRESS": "auto"}, True, "fanwise: score: 1 of 2 items (50 %)"),
            ({"FANWISE_PROGRESS": "json"}, True, '{"event": "progress"'),
            ({"FANWISE_PROGRESS": "none"}, True, ""),
            ({"FANWISE_LOG": "json"}, True, ""),
            ({"FANWISE_LOG": "json", "FANWISE_PROGRESS": "plain"}, True, "fanwise: score"),
            ({"FANWISE_PROGRESS": "rich"}, False, "fanwise: score: 1 of 2 items (50 %)"),
            ({}, False, ""),
        ],
    )
    def test_a_pipe_gets_what_environment_and_command_ask_for(
        self, environ: dict[str, str], command: bool, first: str
    ) -> None:
        stream = io.StringIO()
        play(progress.auto(stream=stream, environ=environ, command=command))
        assert stream.getvalue().startswith(first)
        assert bool(stream.getvalue()) is bool(first)

    def test_the_last_object_of_json_counts_as_the_report_does(self) -> None:
        stream = io.StringIO()
        failed = [*LONG[:2], told.ItemFailed(24.0, 1, "ValueError", "bad"), told.RunEnded(24.0, "error")]
        play(progress.json(stream=stream, environ={}), failed)
        last = json.loads(stream.getvalue().splitlines()[-1])
        assert last == {
            "event": "end",
            "label": "score",
            "total": 2,
            "done": 2,
            "failed": 1,
            "lost": 0,
            "cached": 0,
            "workers": 1,
            "elapsed_s": 24.0,
            "ended": "error",
        }

    def test_nothing_has_no_place_for_anything(self) -> None:
        shown = progress.none("study")
        play(shown)
        assert not hasattr(shown, "__dict__")

    def test_a_module_has_only_the_names_it_says(self) -> None:
        with pytest.raises(AttributeError, match="no attribute 'Bar'"):
            _ = progress.Bar
        assert all(getattr(progress, name) is not None for name in progress.__all__)


class Display:
    """IPython's ``display`` as far as it is used: remembers what stands under the cell."""

    def __init__(self) -> None:
        self.cells: list[list[str]] = []

    def __call__(self, *objs: Any, **options: Any) -> Any:
        assert options == {"raw": True, "display_id": True}
        lines = [objs[0]["text/plain"]]
        self.cells.append(lines)
        return SimpleNamespace(update=lambda obj, raw: lines.append(obj["text/plain"]))


def moment(done: int, elapsed: float) -> Snapshot:
    return Snapshot("study", 4, done, 0, 0, 0, 0, 1.0, elapsed, None)


END = Closing("study", 4, 0, 0, 0, 0, 0, 1, 4.0, 4.0, "done")


class TestNotebook:
    def test_one_line_is_replaced_and_a_second_run_has_its_own(self) -> None:
        display = Display()
        view = NotebookView(display)
        for _ in range(2):
            view.show(moment(1, 1.0))
            view.show(moment(3, 3.0))
            view.close(END)
        assert [len(lines) for lines in display.cells] == [3, 3]
        assert display.cells[0][-1] == "study: 4 items in 4.0 s, 1.0 item/s"

    def test_lines_hold_no_escape_code(self) -> None:
        display = Display()
        NotebookView(display).show(moment(1, 1.0))
        assert display.cells[0][0].isprintable()
        assert "25 %" in display.cells[0][0]

    def test_the_first_line_comes_after_a_second_then_two_each_second(self) -> None:
        view = NotebookView(Display())
        assert [view.next_due(at) for at in (0.0, 0.7, 3.0)] == [1.0, 1.2, 3.5]
        view.show(moment(1, 1.0))
        assert [view.next_due(at) for at in (0.0, 1.0)] == [0.5, 1.5]

    def test_a_short_run_and_a_broken_display_leave_nothing(self) -> None:
        display = Display()
        view = NotebookView(display)
        view.close(None)
        view.drop()
        assert display.cells == []

    @pytest.mark.parametrize(
        ("shell", "notebook"), [("ZMQInteractiveShell", True), ("TerminalInteractiveShell", False), ("NoneType", False)]
    )
    def test_only_a_shell_with_a_front_end_is_a_notebook(
        self, shell: str, notebook: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = type(shell, (), {})()
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: made))
        assert in_notebook() is notebook

    def test_without_ipython_there_is_none_and_it_is_not_imported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "IPython", raising=False)
        assert not in_notebook()
        assert "IPython" not in sys.modules
