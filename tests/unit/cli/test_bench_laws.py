"""Laws of the benchmark's parts: grids and gates from files, figures from seconds, pages that any browser can show."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pages import read_page

from fanwise.cli._bench import seat, views
from fanwise.cli._bench.contestants import LOOP, OURS, PEERS, Contestant, chosen
from fanwise.cli._bench.figures import figures, times
from fanwise.cli._bench.gates import Gate, broken, matcher, read_gates
from fanwise.cli._bench.grid import Cell, Work, read_grid
from fanwise.cli._bench.rounds import Measured
from fanwise.cli._bench.seat import play
from fanwise.errors import FanwiseError, InputError, UsageError

SECONDS = st.floats(1e-6, 100.0)
CELLS = st.builds(
    Cell, st.integers(1, 10**6), st.floats(0, 10), st.sampled_from([0, 1 << 10, 1 << 20]), st.sampled_from([0, 1000])
)


@st.composite
def found(draw: st.DrawFn) -> Any:
    """Figures of one cell in which all were right."""
    rounds = draw(st.integers(1, 5))
    names = [LOOP, OURS, *draw(st.lists(st.sampled_from(sorted(PEERS)), unique=True, max_size=3))]
    lists = st.lists(SECONDS, min_size=rounds, max_size=rounds)
    return figures(Measured(draw(CELLS), {name: draw(lists) for name in names}))


class TestGrids:
    @given(
        items=st.lists(st.integers(1, 10**6), min_size=1, max_size=4, unique=True),
        costs=st.lists(st.integers(0, 999).map(lambda n: n / 1e6), min_size=1, max_size=4, unique=True),
        payloads=st.lists(st.integers(0, 10**6), max_size=3, unique=True),
    )
    def test_a_file_gives_every_combination_once(
        self, items: list[int], costs: list[float], payloads: list[int], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "grid.toml"
        text = f"items = {items}\ncost_s = {[f'{cost:f}' for cost in costs]}\n".replace("'", "")
        path.write_text(text + (f"payload_bytes = {payloads}\n" if payloads else ""))
        cells = read_grid(str(path))
        assert len(set(cells)) == len(cells) == len(items) * len(costs) * max(1, len(payloads))
        assert {cell.items for cell in cells} == set(items)
        assert {cell.payload_bytes for cell in cells} == set(payloads or [0])

    @pytest.mark.parametrize(
        "line",
        [
            "items = []",
            "items = 5",
            "items = [0]",
            "items = [-1]",
            "items = [1.5]",
            "items = [true]",
            'items = ["3"]',
            "items = [1000000000]",
            "items = [2]\ncost_s = [nan]",
            "items = [2]\ncost_s = [inf]",
            "items = [2]\ncost_s = [-0.1]",
            "items = [2]\ncost_s = [[1]]",
            "items = [2]\ncost_s = [1]\nresult_bytes = [0.5]",
            "items = [2]\ncost_s = [1]\nresult = [5]",
        ],
    )
    def test_what_is_no_grid_names_the_file_and_the_axis(self, line: str, tmp_path: Path) -> None:
        path = tmp_path / "grid.toml"
        path.write_text(line if "cost_s" in line else f"{line}\ncost_s = [0.1]")
        with pytest.raises(InputError, match=r"grid\.toml: (items|cost_s|result_bytes|unknown key)"):
            read_grid(str(path))

    @given(CELLS)
    def test_a_cell_is_named_after_what_is_in_it(self, cell: Cell) -> None:
        assert cell.name.startswith(f"{cell.items:,} item")
        assert (" in" in cell.name) is (cell.payload_bytes > 0)
        assert (" out" in cell.name) is (cell.result_bytes > 0)

    @given(st.integers(0, 50), st.integers(0, 100), st.integers(0, 100))
    def test_the_work_of_an_item_tells_items_and_payloads_apart(self, items: int, there: int, back: int) -> None:
        results = [Work(0.0, back)(item) for item in Cell(items, 0.0, there, back).inputs()]
        assert len({number for number, _ in results}) == items
        assert {len(data) for _, data in results} <= {back}


class TestGates:
    @given(CELLS, st.sampled_from(["items", "cost", "payload", "result"]), st.integers(0, 2000))
    def test_below_equal_and_above_exclude_each_other(self, cell: Cell, axis: str, limit: int) -> None:
        assert sum(matcher(f"{axis}{sign}{limit}")(cell) for sign in "<=>") == 1
        assert matcher(f"{axis}<={limit}")(cell) is not matcher(f"{axis}>{limit}")(cell)

    @given(CELLS, st.lists(st.sampled_from(["items>=100", "cost<1ms", "payload=0", "result>0kB"]), min_size=1))
    def test_terms_that_are_joined_must_all_hold(self, cell: Cell, terms: list[str]) -> None:
        assert matcher(" and ".join(terms))(cell) is all(matcher(term)(cell) for term in terms)
        assert matcher("all")(cell)

    @pytest.mark.parametrize(
        ("text", "same"),
        [
            ("cost=1ms", "cost=1000us"),
            ("cost=1s", "cost=1000ms"),
            ("cost=5µs", "cost=5us"),
            ("result=1MB", "result=1000kB"),
        ],
    )
    def test_units_are_exact(self, text: str, same: str) -> None:
        cell = Cell(1, {"cost=1ms": 1e-3, "cost=1s": 1.0, "cost=5µs": 5e-6}.get(text, 0.0), 0, 10**6)
        assert matcher(text)(cell)
        assert matcher(same)(cell)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "cost",
            "cost<",
            "cost<1h",
            "cost<-1",
            "cost!=1",
            "price<1",
            "cost<1ms or items>1",
            "cost<1ms and",
            "cost<1e999",
            "items<1,000",
        ],
    )
    def test_what_describes_no_cells_is_refused_with_an_example(self, text: str) -> None:
        with pytest.raises(InputError, match=r'expected "all" or terms such as "cost<1ms and items>=100"'):
            matcher(text)

    @pytest.mark.parametrize(
        "gate",
        [
            'cells = 5\nmetric = "vs_loop"\nmax = 1',
            'cells = ["all"]\nmetric = "vs_loop"\nmax = 1',
            'cells = "all"\nmetric = ["vs_loop"]\nmax = 1',
            'cells = "all"\nmetric = "vs_loop"\nmax = "1"',
            'cells = "all"\nmetric = "vs_loop"\nmax = 1\nslack_s = "0.1"',
            'cells = "all"\nmetric = "vs_loop"\nmax = 1\nslack = 0.1',
            'cells = "all"\nmetric = "vs_loop"\nmax = [1]',
            'metric = "vs_loop"\nmax = 1',
            'cells = "cost<1e999"\nmetric = "vs_loop"\nmax = 1',
        ],
    )
    def test_a_gate_of_the_wrong_kind_is_named_by_its_number(self, gate: str, tmp_path: Path) -> None:
        path = tmp_path / "gates.toml"
        path.write_text(f'[[gate]]\ncells = "all"\nmetric = "vs_loop"\nmax = 1.5\n[[gate]]\n{gate}\n')
        with pytest.raises(InputError, match=r"gates\.toml, gate 2: "):
            read_gates(path)

    @pytest.mark.parametrize("text", ["gate = [1]", "gate = 3", 'gate = "all"', "[gate]\nmax = 1", "gate = []", "\xff"])
    def test_what_is_no_list_of_gates_is_an_input_error(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "gates.toml").write_bytes(text.encode("latin-1"))
        with pytest.raises(InputError, match=r"gates\.toml"):
            read_gates(tmp_path / "gates.toml")

    @settings(max_examples=40)
    @given(found(), st.floats(0.01, 10))
    def test_a_gate_says_something_exactly_if_the_median_is_above_it(self, cell: Any, limit: float) -> None:
        said = broken([Gate("all", "vs_loop", limit)], [cell])
        assert bool(said) is (cell.vs_loop[OURS].median > limit)
        assert all(line.startswith(cell.cell.name) for line in said)

    @settings(max_examples=40)
    @given(found())
    def test_slack_forgives_what_takes_no_longer_than_it(self, cell: Any) -> None:
        assert broken([Gate("all", "vs_loop", 0.0, slack_s=max(1e-9, cell.extra_s))], [cell]) == []


class TestFigures:
    @given(st.lists(SECONDS, min_size=1, max_size=9))
    def test_the_least_time_is_no_more_than_the_median(self, seconds: list[float]) -> None:
        told = times(seconds)
        assert min(seconds) == told.min_s <= told.median_s <= max(seconds)
        assert told.iqr_s <= max(seconds) - min(seconds) + 1e-12

    @settings(max_examples=40)
    @given(found())
    def test_the_best_is_a_peer_and_none_without_peers(self, cell: Any) -> None:
        peers = set(cell.times) & set(PEERS)
        assert cell.best in peers if peers else cell.best is None
        assert (cell.vs_best is None) is not bool(peers)
        assert set(cell.vs_loop) == set(cell.times) - {LOOP}


class TestViews:
    SEATS: Sequence[Contestant] = (
        *chosen("none", forced=False),
        *(Contestant(name, "1", nullcontext) for name in sorted(PEERS)),
    )

    @settings(max_examples=25)
    @given(st.lists(found(), max_size=4), st.text(st.characters(codec="utf-8"), max_size=20))
    def test_a_page_nests_shows_every_cell_and_asks_for_nothing(self, cells: list[Any], host: str) -> None:
        for cell in cells:
            cell.out.update(dict.fromkeys(set(PEERS) - set(cell.times), "failed (<b>x</b>)"))
        page = read_page(views.page(cells, self.SEATS, host))
        assert (page.faults, page.requests) == ([], [])
        assert page.tags.count("tr") == 1 + len(cells)
        assert "<b>x</b>" not in page.text

    @settings(max_examples=25)
    @given(st.lists(found(), min_size=1, max_size=4))
    def test_lines_of_the_table_are_equally_long(self, cells: list[Any]) -> None:
        lines = views.table(cells, chosen("none", forced=False)).splitlines()
        assert len({len(line) for line in lines}) == 1
        assert len(lines) == 1 + len(cells)

    @given(st.floats(0, 1e6), st.floats(0, 1e6))
    def test_a_stronger_colour_means_a_stronger_difference(self, first: float, second: float) -> None:
        def light(ratio: float) -> int:
            return int(views.colour(ratio).split()[2].rstrip("%)"))

        low, high = sorted((first, second))
        if low >= 1.0:
            assert light(high) <= light(low)
        elif high <= 1.0:
            assert light(low) <= light(high)


class TestSeat:
    @settings(max_examples=4)  # garbage is collected before each run
    @given(st.integers(0, 20), st.integers(0, 30), st.integers(0, 30))
    def test_equal_results_have_equal_digests_whoever_runs_them(self, items: int, there: int, back: int) -> None:
        cell = Cell(items, 0.0, there, back)
        by_map = play(lambda fn, inputs: list(map(fn, inputs)), cell)
        by_loop = play(lambda fn, inputs: [fn(item) for item in inputs], cell)
        assert by_map.digest == by_loop.digest
        reversed_order = play(lambda fn, inputs: [fn(item) for item in reversed(inputs)], cell)
        assert (reversed_order.digest == by_loop.digest) is (items < 2)

    def test_every_line_has_its_answer(self) -> None:
        cells = io.StringIO("".join(f"[{n}, 0.0, 0, 0]\n" for n in (1, 2, 3)))
        answers = io.StringIO()
        seat.serve(lambda fn, items: [fn(item) for item in items], cells, answers)
        told = [json.loads(line) for line in answers.getvalue().splitlines()]
        assert len({answer["digest"] for answer in told}) == 3
        assert {answer["failed"] for answer in told} == {""}


@pytest.mark.parametrize("names", ["tqdm", "joblib,tqdm", "auto,joblib", "", "Joblib", "joblib,,dask"])
def test_an_unknown_peer_is_refused_with_all_the_known(names: str) -> None:
    with pytest.raises(UsageError, match=r"expected auto, none or some of concurrent\.futures, .*ray"):
        chosen(names, forced=False)


@pytest.mark.parametrize("text", ["huge", "small ", "", "grid.json", "SMALL"])
def test_a_grid_that_is_neither_known_nor_a_file_is_refused(text: str) -> None:
    with pytest.raises(FanwiseError, match=r"expected small, full or a \.toml file"):
        read_grid(text)
