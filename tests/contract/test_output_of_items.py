"""What items print, log and warn reaches the caller's own streams, loggers and filters, in item order, whole."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from typing import Any

import pytest

import fanwise
from fanwise._api import _planning
from fanwise.engine._plan import FanOut
from fanwise.engine._sentences import decide

pytestmark = pytest.mark.process

PLACES: list[dict[str, Any]] = [
    {"backend": "process", "workers": 2},
    {"backend": "process", "workers": 2, "chunk_size": 1},
    {"backend": "process", "workers": 3, "chunk_size": 4},
]
in_processes = pytest.mark.parametrize("place", PLACES, ids=lambda place: "-".join(map(str, place.values())))


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan shares all items between one worker and the calling process."""
    plan = FanOut(2, 5e-3, 1.0, 0.0, (decide("serial.asked", {}),), caller_s=10.0)
    monkeypatch.setattr(_planning.Advice, "at_once", lambda _: plan)
    monkeypatch.setenv("FANWISE_START_METHOD", "fork")  # a fork server takes longer to start than all items
    warnings.filterwarnings("ignore", message="workers are forked as requested")


@pytest.fixture(params=[*PLACES, {}], ids=lambda place: "-".join(map(str, place.values())) or "beside a worker")
def place(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where items run."""
    if not request.param:
        request.getfixturevalue("beside")
    return request.param


def prints(item: int) -> int:
    print(f"item {item} begins")
    print(f"item {item} complains", file=sys.stderr)
    print(f"item {item} ends")
    return item


def prints_half_a_line(item: int) -> int:
    sys.stdout.write(f"<{item}>")
    return item


def prints_late_first(item: int) -> int:
    """The first items take longest, so that later ones are done before them."""
    threading.Event().wait(0.02 if item < 2 else 0)
    print(item)
    return item


def writes_past_python(item: int) -> int:
    os.write(1, f"raw {item}\n".encode())
    return item


def logs(item: int) -> int:
    logging.getLogger("app.model").warning("item %d: %s", item, "fitted")
    return item


def logs_an_exception(item: int) -> int:
    try:
        raise ValueError(f"inner {item}")
    except ValueError:
        logging.getLogger("app").exception("caught in %d", item)
    return item


def warns(item: int) -> int:
    warnings.warn("old model", DeprecationWarning, stacklevel=1)
    warnings.warn(f"item {item}", UserWarning, stacklevel=1)
    return item


def prints_and_fails(item: int) -> int:
    print(f"about to run {item}")
    if item == 3:
        raise ValueError("bad 3")
    return item


def prints_much(item: int) -> int:
    for line in range(300):
        print(f"{item}:{line}:" + "x" * 100)
    return item


class TestPrinting:
    def test_lines_come_in_item_order(self, place: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
        fanwise.map(prints, range(8), **place)
        out, err = capsys.readouterr()
        assert out == "".join(f"item {i} begins\nitem {i} ends\n" for i in range(8))
        assert err == "".join(f"item {i} complains\n" for i in range(8))

    def test_the_order_is_that_of_items_and_not_of_time(
        self, place: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        fanwise.map(prints_late_first, range(12), **place)
        assert capsys.readouterr().out == "".join(f"{i}\n" for i in range(12))

    def test_text_without_line_ends_is_kept(self, place: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
        fanwise.map(prints_half_a_line, range(5), **place)
        assert capsys.readouterr().out == "<0><1><2><3><4>"

    def test_long_output_arrives_whole(self, place: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
        fanwise.map(prints_much, range(4), **place)
        lines = capsys.readouterr().out.splitlines()
        assert lines == [f"{item}:{line}:" + "x" * 100 for item in range(4) for line in range(300)]

    @in_processes
    def test_what_is_written_past_python_arrives_in_whole_lines(
        self, place: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        fanwise.map(writes_past_python, range(6), **place)
        assert sorted(capsys.readouterr().out.splitlines()) == [f"raw {i}" for i in range(6)]

    def test_an_outcome_has_what_its_item_printed(
        self, place: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = fanwise.run(prints, range(3), **place)
        assert [outcome.output for outcome in run.outcomes] == [
            f"item {i} begins\nitem {i} complains\nitem {i} ends\n" for i in range(3)
        ]

    def test_a_failing_item_ends_what_is_heard_where_the_loop_would_have_ended(
        self, place: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(ValueError, match="bad 3"):
            fanwise.map(prints_and_fails, range(9), **place)
        assert capsys.readouterr().out == "".join(f"about to run {i}\n" for i in range(4))

    def test_a_stream_speaks_as_it_yields(self, place: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
        for item in fanwise.stream(prints_late_first, range(6), **place):
            print(f"got {item}")
        out = capsys.readouterr().out.splitlines()
        assert [line for line in out if not line.startswith("got")] == [str(i) for i in range(6)]
        assert all(out.index(str(i)) < out.index(f"got {i}") for i in range(6))


class TestLogging:
    def test_records_reach_the_callers_handlers_once(
        self, place: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        fanwise.map(logs, range(5), **place)
        found = [(r.name, r.levelname, r.message, r.fanwise_item) for r in caplog.records if r.name == "app.model"]
        assert found == [("app.model", "WARNING", f"item {i}: fitted", i) for i in range(5)]

    def test_tracebacks_of_records_are_kept(self, place: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
        fanwise.map(logs_an_exception, range(2), **place)
        assert caplog.text.count("ValueError: inner 0") == 1
        assert caplog.text.count("ValueError: inner 1") == 1

    def test_levels_of_the_caller_apply(self, place: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.ERROR):
            fanwise.map(logs, range(3), **place)
        assert not [r for r in caplog.records if r.name == "app.model"]


def test_warnings_go_through_the_callers_filters(place: dict[str, Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fanwise.map(warns, range(4), **place)
    texts = [str(w.message) for w in caught if w.category in {UserWarning, DeprecationWarning}]
    assert [text for text in texts if text.startswith("item")] == [f"item {i}" for i in range(4)]
    assert texts.count("old model") == 4


def test_the_report_tells_what_workers_warned_of() -> None:
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", UserWarning)
        report = fanwise.run(warns, range(4), backend="process", workers=2).report
    assert report.warnings == ("DeprecationWarning: old model",)


def pid_of(item: int) -> int:
    threading.Event().wait(0.005)
    return os.getpid()


@pytest.mark.usefixtures("beside")
def test_beside_a_worker_both_run_items() -> None:
    pids = fanwise.map(pid_of, range(12))
    assert len(set(pids)) == 2
    assert os.getpid() in pids


def interrupts(item: int) -> int:
    print(f"item {item} begins")
    threading.Event().wait(0.005)
    if os.getpid() == CALLER and item > 4:
        raise KeyboardInterrupt
    return item


CALLER = os.getpid()


@pytest.mark.usefixtures("beside")
def test_what_an_interrupted_item_had_printed_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(fanwise.RunInterrupted) as caught:
        fanwise.map(interrupts, range(40))
    done = {outcome.index for outcome in caught.value.run.outcomes}
    begun = {int(line.split()[1]) for line in capsys.readouterr().out.splitlines()}
    assert len(begun - done) == 1


@pytest.mark.parametrize("place", [{"workers": 1}, {"backend": "serial"}, {}])
def test_items_in_this_process_print_for_themselves(place: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    fanwise.map(prints, range(2), **place)
    assert capsys.readouterr().out == "item 0 begins\nitem 0 ends\nitem 1 begins\nitem 1 ends\n"


def test_a_closed_output_does_not_end_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert fanwise.map(prints_half_a_line, range(6), backend="process", workers=2) == list(range(6))


def reads_input(_: int) -> str:
    return input()


def test_workers_have_no_standard_input() -> None:
    run = fanwise.run(reads_input, [1], backend="process", workers=1)
    assert isinstance(run.outcomes[0].error, EOFError)
