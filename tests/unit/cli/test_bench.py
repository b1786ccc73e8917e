"""The benchmark compares results before times, takes turns, and says what it did not measure."""

from __future__ import annotations

import io
import json
import math
import re
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.cli import bench as command
from fanwise.cli import main
from fanwise.cli._bench import contestants, rounds, seat, views
from fanwise.cli._bench.contestants import LOOP, OURS, PEERS, Contestant, chosen
from fanwise.cli._bench.figures import figures, ratio, times
from fanwise.cli._bench.gates import Gate, broken, matcher, read_gates
from fanwise.cli._bench.grid import GRIDS, Cell, Work, read_grid
from fanwise.cli._bench.rounds import Measured, measure
from fanwise.cli._bench.seat import Answer, play
from fanwise.errors import InputError, UsageError

CELL = Cell(4, 1e-5)


class Scripted:
    """A seat that answers as told."""

    def __init__(self, name: str, *answers: Answer) -> None:
        self.name = name
        self._answers = list(answers)
        self.turns: list[Cell] = []

    def run(self, cell: Cell) -> Answer:
        self.turns.append(cell)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


PEER_VERSIONS = {"joblib": "1", "mpire": "2", "ray": None}
GOOD = Answer(0.5, "d")


class TestGrid:
    def test_those_that_come_along_are_small_and_full(self) -> None:
        assert read_grid("small") == GRIDS["small"]
        assert len({cell.name for cell in GRIDS["full"]}) == len(GRIDS["full"])

    def test_a_file_has_a_list_for_each_axis(self, tmp_path: Path) -> None:
        path = tmp_path / "g.toml"
        path.write_text("items = [1, 20]\ncost_s = [0.001]\nresult_bytes = [1000]\n")
        assert read_grid(str(path)) == (Cell(1, 0.001, 0, 1000), Cell(20, 0.001, 0, 1000))
        assert Cell(20, 0.001, 0, 1000).name == "20 items of 1.0 ms, 1.0 kB out"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("items = [1", "is not TOML"),
            ("items = [1]\ncolour = 3", "unknown key 'colour'"),
            ("items = [0]\ncost_s = [1]", "items is [0]; expected a list of whole numbers of at least 1"),
            ("items = [1]", "cost_s is None; expected a list of numbers of seconds"),
            ("items = [1.5]\ncost_s = [1]", "items is [1.5]"),
            ("items = [true]\ncost_s = [1]", "items is [True]"),
        ],
    )
    def test_a_bad_file_is_named_with_what_is_wrong(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "g.toml").write_text(text)
        with pytest.raises(InputError) as caught:
            read_grid(str(tmp_path / "g.toml"))
        assert message in str(caught.value)

    def test_other_names_are_refused(self) -> None:
        with pytest.raises(UsageError, match=r"expected small, full or a \.toml file"):
            read_grid("large")
        with pytest.raises(InputError, match="no such file"):
            read_grid("none.toml")

    def test_work_returns_what_can_be_compared(self) -> None:
        assert Work(0.0, 2)((3, b"xy")) == (11, b"\0\0")
        assert Cell(2, 0.1, 3).inputs() == [(0, b"\0\0\0"), (1, b"\0\0\0")]


class TestContestants:
    def test_the_loop_and_fanwise_always_take_part(self) -> None:
        assert [each.name for each in chosen("none", forced=False)] == [LOOP, OURS]
        assert [each.name for each in chosen("none", forced=True)] == [LOOP, OURS, "fanwise thread", "fanwise process"]
        assert [each.name for each in chosen("auto", forced=False)] == [LOOP, OURS, *PEERS]
        with pytest.raises(UsageError, match="--peers celery: expected auto, none or some of"):
            chosen("joblib,celery", forced=False)

    def test_what_is_not_installed_has_no_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contestants, "find_spec", lambda name: None)
        assert chosen("joblib", forced=False)[-1].version is None

    @pytest.mark.process
    @pytest.mark.parametrize("name", [LOOP, OURS, "concurrent.futures", "multiprocessing.Pool"])
    def test_each_gives_what_the_loop_gives(self, name: str) -> None:
        items = Cell(5, 0.0, 2).inputs()
        with contestants.seated(name).open(2) as run:
            assert list(run(Work(0.0, 1), items)) == [Work(0.0, 1)(item) for item in items]


class Peer:
    """Stands for a library that is not installed: runs what it is given here, and notes what is called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            self.called.append(name)
            return self

        return call

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.called.append("closed")

    def __call__(self, tasks: Any) -> list[Any]:
        return [task() for task in tasks]

    def delayed(self, fn: Any) -> Any:
        return lambda item: partial(fn, item)

    def map(self, fn: Any, items: Any, **_: Any) -> list[Any]:
        return [fn(*item) if self.unpacks else fn(item) for item in items]

    unpacks = False

    def gather(self, results: Any) -> list[Any]:
        return list(results)

    def remote(self, fn: Any) -> Any:
        return SimpleNamespace(remote=fn)

    def get(self, results: Any) -> list[Any]:
        return list(results)


@pytest.mark.parametrize(
    ("name", "closing"), [("joblib", "shutdown"), ("mpire", "closed"), ("dask", "closed"), ("ray", "shutdown")]
)
def test_a_peer_is_opened_used_and_closed(name: str, closing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Peer()
    library.unpacks = name == "mpire"  # which takes a tuple for arguments
    monkeypatch.setattr(contestants, "import_module", lambda _: library)
    items = Cell(3, 0.0).inputs()
    with contestants.seated(name).open(2) as run:
        assert run(Work(0.0, 1), items) == [Work(0.0, 1)(item) for item in items]
    assert library.called[-1] == closing


class TestRounds:
    def test_all_take_turns_forwards_and_backwards(self) -> None:
        order: list[str] = []
        seats = [Scripted(name, GOOD) for name in (LOOP, "b", "c")]
        for each in seats:
            each.run = lambda cell, name=each.name: order.append(name) or GOOD  # type: ignore[method-assign]
        found = measure(CELL, seats, 2)
        assert order[3:] == [LOOP, "b", "c", "c", "b", LOOP]
        assert found.seconds == {LOOP: [0.5, 0.5], "b": [0.5, 0.5], "c": [0.5, 0.5]}

    def test_a_wrong_result_is_not_timed(self) -> None:
        found = measure(CELL, [Scripted(LOOP, GOOD), Scripted("b", Answer(0.1, "other"))], 3)
        assert found.out == {"b": "wrong"}
        assert set(found.seconds) == {LOOP}

    def test_who_fails_is_out_at_once_or_later(self) -> None:
        early, late = (
            Scripted("early", Answer(0.0, "", "ValueError: x")),
            Scripted("late", GOOD, Answer(0.0, "", "gone")),
        )
        found = measure(CELL, [Scripted(LOOP, GOOD), early, late], 3)
        assert found.out == {"early": "failed (ValueError: x)", "late": "failed (gone)"}
        assert len(early.turns) == 1
        assert set(found.seconds) == {LOOP}

    def test_a_seat_answers_line_by_line(self) -> None:
        answers = io.StringIO()
        seat.serve(lambda fn, items: [fn(item) for item in items], io.StringIO("[2, 0.0, 0, 0]\n"), answers)
        assert json.loads(answers.getvalue())["failed"] == ""

    def test_what_a_contestant_raises_is_its_answer(self) -> None:
        def refuse(fn: object, items: object) -> list[object]:
            raise RuntimeError("no workers")

        assert play(refuse, CELL).failed == "RuntimeError: no workers"
        same = [play(lambda fn, items: [fn(item) for item in items], CELL).digest for _ in range(2)]
        assert same[0] == same[1] != play(lambda fn, items: [(0, b"")], CELL).digest

    @pytest.mark.process
    def test_a_seat_that_ends_says_so(self) -> None:
        absent = Contestant("no such contestant", "1", lambda workers: nullcontext())
        with rounds.seats([absent, Contestant("absent", None, absent.open)], 1) as (only,):
            assert only.run(CELL).failed == "its process ended"
            assert only.run(CELL).failed == "its process ended"


class TestFigures:
    def test_ratios_are_taken_within_rounds(self) -> None:
        found = figures(Measured(CELL, {LOOP: [1.0, 2.0], OURS: [0.5, 1.0], "joblib": [2.0, 1.0], "mpire": [3.0, 3.0]}))
        assert found.vs_loop[OURS].median == 0.5
        assert found.vs_best is not None
        assert found.vs_best.median == pytest.approx((0.25 + 1.0) / 2)
        assert found.best == "joblib"
        assert found.extra_s == pytest.approx(-0.75)

    def test_without_peers_or_without_us_there_is_no_best(self) -> None:
        assert figures(Measured(CELL, {LOOP: [1.0], OURS: [0.5]})).vs_best is None
        alone = figures(Measured(CELL, {LOOP: [1.0]}, {OURS: "wrong"}))
        assert (alone.vs_best, alone.extra_s) == (None, math.inf)

    def test_one_round_has_no_spread(self) -> None:
        assert times([2.0]) == times([2.0, 2.0])

    @given(st.lists(st.tuples(st.floats(0.01, 10), st.floats(0.01, 10)), min_size=1, max_size=8))
    def test_the_interval_holds_the_median_and_is_the_same_twice(self, pairs: list[tuple[float, float]]) -> None:
        above, below = zip(*pairs, strict=True)
        found = ratio(above, below)
        quotients = [a / b for a, b in pairs]
        assert min(quotients) <= found.low <= found.high <= max(quotients)
        assert min(quotients) <= found.median <= max(quotients)
        assert found == ratio(above, below)


class TestGates:
    FOUND = (figures(Measured(Cell(100, 1e-4), {LOOP: [1.0, 1.0], OURS: [1.2, 1.2]})),)

    @pytest.mark.parametrize(
        ("text", "holds"),
        [
            ("all", True),
            ("cost<1ms", True),
            ("cost >= 1ms", False),
            ("items=100 and cost<=100us", True),
            ("payload>1kB", False),
        ],
    )
    def test_cells_are_described_in_words(self, text: str, holds: bool) -> None:
        assert matcher(text)(Cell(100, 1e-4)) is holds

    @pytest.mark.parametrize(
        ("gate", "said"),
        [
            (Gate("all", "vs_loop", 1.3), []),
            (Gate("all", "vs_loop", 1.05, slack_s=0.3), []),
            (Gate("all", "vs_loop", 1.05), ["100 items of 100 µs: vs_loop is 1.20 (1.20–1.20), allowed 1.05."]),
            (Gate("all", "vs_best", 1.05), ["100 items of 100 µs: vs_best is not measured, allowed 1.05."]),
            (Gate("items>5000", "vs_loop", 1.0), ["gate 'items>5000': the grid has no such cell."]),
        ],
    )
    def test_one_that_does_not_hold_is_a_sentence(self, gate: Gate, said: list[str]) -> None:
        assert broken([gate], self.FOUND) == said

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("gate", "is not TOML"),
            ("x = 1", "has no \\[\\[gate\\]\\]"),
            ('[[gate]]\ncells = "all"\nmetric = "vs_loop"', "gate 1: .*missing"),
            ('[[gate]]\ncells = "cheap"\nmetric = "vs_loop"\nmax = 1', 'gate 1: cells = "cheap"; expected'),
            ('[[gate]]\ncells = "all"\nmetric = "speed"\nmax = 1', "gate 1: expected metric = one of vs_loop, vs_best"),
        ],
    )
    def test_a_bad_file_is_named_with_what_is_wrong(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "g.toml").write_text(text)
        with pytest.raises(InputError, match=message):
            read_gates(tmp_path / "g.toml")

    def test_a_file_that_is_not_there(self) -> None:
        with pytest.raises(InputError, match=r"cannot read none\.toml: no such file"):
            read_gates(Path("none.toml"))


class TestViews:
    def test_every_contestant_is_in_every_line(self) -> None:
        found = [figures(Measured(CELL, {LOOP: [1.0], OURS: [0.5]}, {"joblib": "wrong", "mpire": "failed (x y)"}))]
        seats = [*chosen("none", forced=False), *(Contestant(n, v, nullcontext) for n, v in PEER_VERSIONS.items())]
        words = re.split(r"  +", views.table(found, seats).splitlines()[1])
        assert words == ["4 items of 10 µs", "1.0 s", "0.50", "wrong", "failed", "not installed"]

    def test_the_picture_has_a_number_in_each_cell(self) -> None:
        found = [figures(Measured(Cell(n, c), {LOOP: [1.0], OURS: [n * c]})) for n in (1, 10) for c in (0.1, 0.01)]
        found.append(figures(Measured(Cell(7, 7.0, 5), {LOOP: [1.0], OURS: [77.0]})))
        picture = views.heat_map(found)
        assert picture.count("<rect") == 5
        assert "77" not in picture
        assert 'role="img"' in picture

    @given(st.floats(0.01, 100))
    def test_colours_are_of_two_hues(self, value: float) -> None:
        assert views.colour(value).startswith("hsl(150" if value <= 1 else "hsl(10")

    def test_the_page_is_one_file(self) -> None:
        text = views.page([figures(Measured(CELL, {LOOP: [1.0], OURS: [0.5]}))], chosen("none", forced=False), "<host>")
        assert "&lt;host&gt;" in text
        assert "<script" not in text
        assert "src=" not in text


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Seats in this process, so that the command itself is tried in milliseconds."""
    monkeypatch.chdir(tmp_path)
    Path("g.toml").write_text("items = [2]\ncost_s = [0.0]\n")

    def here(found: list[Contestant], workers: int) -> object:
        loop = found[0].open(workers)
        made = [
            SimpleNamespace(name=each.name, run=lambda cell: play(loop.__enter__(), cell))
            for each in found
            if each.version
        ]
        return nullcontext(made)

    monkeypatch.setattr(command, "seats", here)
    return tmp_path


@pytest.mark.slow
def test_the_command_writes_what_was_asked_for(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "--grid", "g.toml", "--repeat", "2", "--json", "b.json", "--html", "b.html", "--svg", "b.svg"]
    assert main(words) == 0
    assert "2 items of 0 s" in capsys.readouterr().out
    found = json.loads(Path("b.json").read_text())
    assert found["schema"] == "fanwise.bench/1"
    assert set(found["cells"][0]["results"]) == {LOOP, OURS, *PEERS}
    assert all(r == "not installed" or len(r) == 2 for r in found["cells"][0]["results"].values())
    assert Path("b.svg").read_text().startswith("<svg")
    assert Path("b.html").read_text("utf-8").startswith("<!doctype html>")


def test_stdout_holds_json_alone(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--peers", "none", "--repeat", "1", "--grid", "g.toml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["workers"] >= 1


def test_a_gate_that_holds_and_one_that_cannot(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("gates.toml").write_text('[[gate]]\ncells = "all"\nmetric = "vs_loop"\nmax = 1e9\n')
    words = ["bench", "--peers", "none", "--grid", "g.toml", "--gate", "gates.toml"]
    assert main(words) == 0
    Path("gates.toml").write_text('[[gate]]\ncells = "all"\nmetric = "vs_loop"\nmax = 0.0\n')
    assert main(words) == 3
    assert "fanwise bench: 2 items of 0 s: vs_loop is " in capsys.readouterr().err


def test_a_busy_machine_is_mentioned(
    quick: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command.os, "getloadavg", lambda: (1e3, 1e3, 1e3))
    assert main(["bench", "--peers", "none", "--grid", "g.toml", "--repeat", "1"]) == 0
    assert "timings will mislead" in capsys.readouterr().err


@pytest.mark.process
@pytest.mark.slow
def test_real_seats_measure_the_standard_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("g.toml").write_text("items = [20]\ncost_s = [0.001]\nresult_bytes = [0, 1000]\n")
    peers = "concurrent.futures,multiprocessing.Pool,joblib"
    assert main(["bench", "--grid", "g.toml", "--peers", peers, "--repeat", "2", "-p", "2", "--json", "b.json"]) == 0
    for cell in json.loads(Path("b.json").read_text())["cells"]:
        assert all(len(samples) == 2 for samples in cell["results"].values())
