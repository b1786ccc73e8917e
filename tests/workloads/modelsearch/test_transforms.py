"""Values of items and season columns, against the formulas written out and against pandas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fanwise.workloads.modelsearch import Item
from fanwise.workloads.modelsearch._items import Season, parse_item
from fanwise.workloads.modelsearch._transforms import season_columns, undefined, values

NAN = np.nan
X = np.array([2.0, 4.0, 8.0, 6.0, 3.0])


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("x:LV", [2, 4, 8, 6, 3]),
        ("x:LV@2", [NAN, NAN, 2, 4, 8]),
        ("x:DF(1)", [NAN, 2, 4, -2, -3]),
        ("x:DF(2)@1", [NAN, NAN, NAN, 6, 2]),
        ("x:GR(1)", [NAN, 1, 1, -0.25, -0.5]),
        ("x:ABSGR(1)", [NAN, 1, 1, 0.25, 0.5]),
        ("x:LOG", np.log(X)),
        ("x:DLOG(2)", [NAN, NAN, np.log(8) - np.log(2), np.log(6) - np.log(4), np.log(3) - np.log(8)]),
        ("x:AVG(3)", [NAN, NAN, 14 / 3, 6, 17 / 3]),
        ("x:AVG(1)", [2, 4, 8, 6, 3]),
        ("x:DEV(3)", [NAN, NAN, 8 - 14 / 3, 0, 3 - 17 / 3]),
        ("x:LV@9", [NAN] * 5),
        ("x:DF(9)", [NAN] * 5),
    ],
)
def test_a_transform_is_its_formula(entry: str, expected: list[float]) -> None:
    np.testing.assert_allclose(values(parse_item(entry), X), expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("entry", "source", "expected", "lost"),
    [
        ("x:LOG", [1.0, 0.0, -1.0], [0.0, NAN, NAN], 2),
        ("x:DLOG(1)", [1.0, 0.0, 2.0], [NAN, NAN, NAN], 2),
        ("x:GR(1)", [0.0, 1.0, 2.0], [NAN, NAN, 1.0], 1),
        ("x:GR(1)", [0.0, 0.0, 2.0], [NAN, NAN, NAN], 2),
        ("x:GR(1)@1", [0.0, 1.0, 2.0], [NAN, NAN, NAN], 1),
        ("x:DF(1)", [1e308, -1e308, 0.0], [NAN, NAN, 1e308], 0),
        ("x:LV", [1.0, NAN, 2.0], [1.0, NAN, 2.0], 0),
        ("x:AVG(2)", [1.0, NAN, 2.0], [NAN, NAN, NAN], 0),
    ],
)
def test_what_is_not_defined_is_missing_and_counted(
    entry: str, source: list[float], expected: list[float], lost: int
) -> None:
    column = np.array(source)
    np.testing.assert_array_equal(values(parse_item(entry), column), expected)
    assert undefined(parse_item(entry), column) == lost


def test_a_transform_does_not_touch_its_source() -> None:
    source = X.copy()
    source.setflags(write=False)
    for name in ("LV", "DF", "GR", "ABSGR", "LOG", "DLOG", "AVG", "DEV"):
        values(Item("x", name, None if name in {"LV", "LOG"} else 2, 1), source)
    np.testing.assert_array_equal(source, X)


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e6, 1e6)), st.integers(1, 6), st.integers(0, 4))
def test_transforms_agree_with_pandas(source: np.ndarray, step: int, lag: int) -> None:
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(source)
    expected = {
        "DF": series - series.shift(step),
        "GR": series / series.shift(step) - 1,
        "AVG": series.rolling(step).apply(np.mean, raw=True),
        "DEV": series - series.rolling(step).apply(np.mean, raw=True),
    }
    for name, theirs in expected.items():
        ours = values(Item("x", name, step, lag), source)
        theirs = theirs.replace([np.inf, -np.inf], np.nan).shift(lag).to_numpy()
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-6)


@given(hnp.arrays(np.float64, 12, elements=st.floats(0.1, 1e3)), st.integers(0, 5))
def test_a_lag_moves_an_item_and_changes_nothing_else(source: np.ndarray, lag: int) -> None:
    now, late = values(Item("x", "DLOG", 2, 0), source), values(Item("x", "DLOG", 2, lag), source)
    np.testing.assert_array_equal(late[lag:], now[: len(now) - lag])
    assert np.isnan(late[:lag]).all()


def test_seasons_of_dates_follow_the_calendar_also_across_gaps() -> None:
    months = np.array([3, 4, 6, 12, 1])
    quarters = season_columns(Season(4, (2, 3, 4)), months, np.arange(5))
    np.testing.assert_array_equal(quarters, [[0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0]])
    chosen = season_columns(Season(12, (3, 12)), months, np.arange(5))
    np.testing.assert_array_equal(chosen, [[1, 0, 0, 0, 0], [0, 0, 0, 1, 0]])


def test_seasons_of_whole_numbers_count_from_the_first_row() -> None:
    np.testing.assert_array_equal(
        season_columns(Season(3, (2, 3)), None, np.array([7, 8, 10, 12])), [[0, 1, 0, 0], [0, 0, 0, 1]]
    )


def test_a_period_that_does_not_divide_the_year_counts_rows() -> None:
    columns = season_columns(Season(5, (2, 5)), np.array([1, 2, 3, 4, 5, 6, 7]), np.arange(7))
    np.testing.assert_array_equal(columns, [[0, 1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0, 0]])
