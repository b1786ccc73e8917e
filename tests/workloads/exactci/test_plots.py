"""Plots: well-formed, the same bytes each time, text as text, nothing that is not there."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.exactci import coverage
from fanwise.workloads.exactci._adjust import adjust
from fanwise.workloads.exactci._forest import PLOT, Line, draw, labels, make_axis
from fanwise.workloads.exactci._panels import Scale, _apart, draw_coverage

SVG = "{http://www.w3.org/2000/svg}"
LINES = [
    Line("Aronson <1948>", "wald", 0.39, 0.09, 1.37, 262),
    Line("zero & none", "wald", 0.0, 0.0, 2.0, 10),
    Line("no end", "wald", math.inf, 0.5, math.inf, 40),
    Line("nothing", "wald", math.nan, 0.0, math.inf, 0),
    Line("far off", "wald", 1e9, 1e8, 1e12, 99),
]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_each_row_has_its_label_and_its_numbers() -> None:
    svg = draw(LINES, alpha=0.05, methods=["wald"])
    assert "Aronson <1948>" in texts(svg)
    assert "0.39 [0.09, 1.37]" in texts(svg)
    assert "– [0, inf]" in texts(svg)
    assert draw(LINES, alpha=0.05, methods=["wald"]) == svg


def test_ends_beyond_the_axis_have_arrows_and_estimates_squares() -> None:
    root = ET.fromstring(draw(LINES, alpha=0.05, methods=["wald"]))
    assert len(list(root.iter(f"{SVG}path"))) == 6
    assert len(list(root.iter(f"{SVG}rect"))) == 1 + 4
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title") is not None
    assert root.find(f"{SVG}desc") is not None


def test_squares_grow_with_the_root_of_the_total() -> None:
    root = ET.fromstring(
        draw([Line("x", "wald", 1, 0.5, 2, 400), Line("y", "wald", 1, 0.5, 2, 100)], alpha=0.1, methods=["wald"])
    )
    first, second = [float(rect.get("width")) for rect in root.iter(f"{SVG}rect")][1:]
    assert first == 2 * second


def test_several_methods_are_named_in_each_row() -> None:
    lines = [Line("x", method, 1.0, 0.5, 2.0, 5) for method in ("midp", "blaker")]
    assert "1 [0.5, 2] blaker" in texts(draw(lines, alpha=0.05, methods=["midp", "blaker"]))


def test_control_characters_and_long_labels_do_no_harm() -> None:
    svg = draw([Line("a\x00b\x1b" + "y" * 100, "wald", 1.0, 0.5, 2.0, 5)], alpha=0.05, methods=["wald"])
    assert any(text.startswith("a b y") and text.endswith("…") for text in texts(svg))


def test_a_plot_of_nothing_is_a_plot() -> None:
    assert texts(draw([], alpha=0.05, methods=["wald"]))


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=5))
def test_the_axis_holds_one_and_every_end(values: list[float]) -> None:
    axis = make_axis([Line("", "", v, v / 2, v * 2, 1) for v in values], 100.0)
    assert axis.low < 0.0 < axis.high
    for value in (0.0, 1.0, math.inf, *values):
        assert 100.0 <= axis.at(value) <= 100.0 + PLOT
    assert len(axis.ticks()) >= 1


def test_labels_are_the_first_column_that_is_not_numeric() -> None:
    columns, rows = ["trial", "author", "a"], [["1", "Aronson", "4"], ["", "Hart", "5"]]
    assert labels(columns, rows, None) == ["Aronson", "Hart"]
    assert labels(columns, rows, "a") == ["4", "5"]
    assert labels(["a"], [["1"], ["nan"]], None) == ["1", "2"]


@pytest.mark.parametrize(("points", "log"), [(3, True), (12, True), (3, False), (1, False)])
def test_coverage_is_drawn_as_lines_or_as_a_map(points: int, log: bool) -> None:
    p2 = [0.05 + 0.9 * i / points for i in range(points)]
    last = {"odds_ratio": [0.1 * 1.5**i for i in range(points)]} if log else {"p1": p2}
    done = coverage(4, 5, p2=p2, methods=["conditional", "wald"], progress="none", **last)
    svg = draw_coverage(done, log=log)
    root = ET.fromstring(svg)
    assert draw_coverage(done, log=log) == svg
    assert {"conditional", "wald"} <= set(texts(svg))
    assert len(list(root.iter(f"{SVG}polyline"))) == (0 if points > 8 else 2 * points)
    assert len(list(root.iter(f"{SVG}rect"))) == 1 + (2 * points**2 if points > 8 else 0)


def test_a_scale_has_round_ticks() -> None:
    assert Scale(0.9, 1.0, 0, 1).ticks() == pytest.approx([0.9, 0.925, 0.95, 0.975, 1.0])
    assert Scale(0.1, 10.0, 0, 1, log=True).ticks() == pytest.approx([0.1, 1.0, 10.0])
    assert Scale(2.0, 5.0, 0, 1, log=True).ticks() == [2.0, 5.0]
    assert Scale(0.5, 0.5, 0, 1).ticks() == [0.5]


def test_adjusted_p_values_are_those_of_r() -> None:
    """R 4.3: p.adjust(c(.01, .02, .03, .04, .5), "BH") and "bonferroni"; NA is left out."""
    import numpy as np

    p = np.array([0.01, 0.5, np.nan, 0.04, 0.02, 0.03])
    np.testing.assert_allclose(adjust(p, "bh"), [0.05, 0.5, np.nan, 0.05, 0.05, 0.05])
    np.testing.assert_allclose(adjust(p, "bonferroni"), [0.05, 1.0, np.nan, 0.2, 0.1, 0.15])
    assert adjust(np.array([]), "bh").size == 0


@given(st.lists(st.floats(0, 300), max_size=12))
def test_names_of_lines_do_not_lie_on_each_other(places: list[float]) -> None:
    moved = _apart(places, 11.0)
    assert all(new >= old for new, old in zip(moved, places))
    assert all(second - first >= 11.0 - 1e-9 for first, second in zip(sorted(moved), sorted(moved)[1:]))
