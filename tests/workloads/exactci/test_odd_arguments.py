"""Arguments of every kind: numbers of any type are read, everything else is refused in fanwise's own words."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fanwise.errors import InputError, UsageError
from fanwise.workloads.exactci import Status, coverage, interval, intervals

THREE = interval(3, 2, 3, 4)


@pytest.mark.parametrize(
    "three",
    [3, 3.0, "3", b"3", " 3 ", "3e0", np.int8(3), np.uint64(3), np.float32(3), Decimal(3), Fraction(3), np.array(3)],
    ids=repr,
)
def test_a_count_may_have_any_type_that_says_a_whole_number(three: Any) -> None:
    assert interval(three, 2, 3, 4) == THREE
    assert intervals([[three, 2, 3, 4]], progress="none")[0] == THREE


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (None, Status.MISSING), (float("nan"), Status.MISSING), ("NA", Status.MISSING), ("x", Status.NOT_A_NUMBER),
        (float("inf"), Status.NOT_A_NUMBER), (b"x", Status.NOT_A_NUMBER), (-1, Status.NEGATIVE),
        (3.5, Status.NOT_INTEGER), (Decimal("3.5"), Status.NOT_INTEGER), (10**9 + 1, Status.TOO_LARGE),
        (10**30, Status.TOO_LARGE), (1e300, Status.TOO_LARGE),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_count_has_its_status_and_is_refused_alone(value: Any, status: Status) -> None:
    table = [1, 2, value, 4]
    done = intervals(np.array([table, [3, 2, 3, 4]], object), progress="none")
    assert done.status.tolist() == [status, Status.OK]
    assert np.isnan([done.lower[0], done.upper[0], done.p_value[0], done.estimate[0], done.odds_ratio[0]]).all()
    assert done[1] == THREE
    with pytest.raises(InputError, match=r"cell c is .*; expected a whole number from 0 to 1,000,000,000"):
        interval(*table)
    with pytest.raises(InputError, match="row 1: cell c is"):
        intervals([[1, 2, 3, 4], table], strict=True, progress="none")


@pytest.mark.parametrize(
    "tables",
    [
        [[1, 2, 3]], [1, 2, 3, 4], [[1, 2, 3, 4], [1, 2, 3]], [[[1], 2, 3, 4]], np.zeros((2, 2, 2)), None, "abc", {"a": 1},
        np.array([[1, 2, 3, 4]], "M8[s]"), [[1j, 2, 3, 4]], iter([[1, 2, 3, 4]]),
    ],
    ids=lambda tables: type(tables).__name__,
)  # fmt: skip
def test_what_is_no_n_by_4_of_numbers_is_a_usage_error(tables: Any) -> None:
    with pytest.raises(UsageError, match="tables "):
        intervals(tables, progress="none")


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.float16, np.float64, object, "U3"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_layout_and_type_of_an_array_do_not_matter(kind: Any, order: Any) -> None:
    plain = np.array([[3, 1, 1, 3], [12, 5, 8, 10], [0, 5, 4, 6]])
    wanted = intervals(plain, progress="none")
    for tables in (np.array(plain, kind, order=order), plain.astype(kind)[::-1][::-1], np.repeat(plain, 2, 0)[::2]):
        found = intervals(tables, progress="none")
        for name in ("lower", "upper", "p_value", "estimate", "odds_ratio", "status"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


def test_a_masked_count_is_missing() -> None:
    tables = np.ma.masked_array([[1, 2, 3, 4], [3, 2, 3, 4]], mask=[[0, 0, 1, 0], [0, 0, 0, 0]])
    done = intervals(tables, progress="none")
    assert done.status.tolist() == [Status.MISSING, Status.OK]
    assert done[1] == THREE


def test_the_tables_given_are_not_changed() -> None:
    tables = np.array([[1.0, 2.0, -3.0, 4.0], [3.0, 2.0, 3.0, 4.0]])
    before = tables.copy()
    intervals(tables, progress="none")
    np.testing.assert_array_equal(tables, before)


@pytest.mark.parametrize(
    "alpha", [0, 1, -0.1, 2, float("nan"), "0.05", None, np.array([0.1, 0.2]), 1e-300, 1j, [0.05]], ids=repr
)
def test_a_level_that_is_none_is_refused(alpha: Any) -> None:
    with pytest.raises(UsageError, match="alpha is"):
        interval(1, 2, 3, 4, alpha=alpha)


@pytest.mark.parametrize("alpha", [np.float64(0.05), Fraction(1, 20), Decimal("0.05"), np.array(0.05)], ids=repr)
def test_a_level_may_have_any_type_of_number(alpha: Any) -> None:
    assert interval(3, 2, 3, 4, alpha=alpha) == THREE


@pytest.mark.parametrize("word", [None, 5, "", "Conditional", "exact", ["midp"]], ids=repr)
def test_an_unknown_method_or_alternative_is_named_with_those_there_are(word: Any) -> None:
    with pytest.raises(UsageError, match=r"is unknown; .*allowed: conditional, midp, blaker"):
        interval(1, 2, 3, 4, method=word)
    with pytest.raises(UsageError, match=r"is unknown; .*allowed: two-sided, less, greater"):
        interval(1, 2, 3, 4, alternative=word)


POINT: dict[str, Any] = {"n1": 3, "n2": 4, "p2": 0.2, "p1": 0.3}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n1": float("nan")}, "n1 is nan; a row total"),
        ({"n1": "a"}, "n1 is 'a'; a row total"),
        ({"n1": None}, "n1 is None; a row total"),
        ({"n2": 2.5}, "n2 is 2.5; a row total"),
        ({"n2": 0}, "n2 is 0; a row total"),
        ({"n2": float("inf")}, "n2 is inf; a row total"),
        ({"n1": 10**6, "n2": 10**6}, "at most 4,000,000"),
        ({"p2": "x"}, "p2 is 'x'; expected a number or a sequence"),
        ({"p2": []}, r"p2 has the shape \(0,\); expected"),
        ({"p2": [[0.1]]}, r"p2 has the shape \(1, 1\); expected"),
        ({"p2": 1.0}, "p2 holds 1.0; expected values above 0 and below 1.0"),
        ({"p1": 0.0}, "p1 holds 0.0; expected values above 0"),
        ({"p1": None}, "give exactly one of p1 and odds_ratio"),
        ({"odds_ratio": 2.0}, "give exactly one of p1 and odds_ratio"),
        ({"p1": None, "odds_ratio": -1}, "odds_ratio holds -1.0"),
        ({"methods": ["wild"]}, "method 'wild' is unknown"),
        ({"alpha": 0}, "alpha is 0"),
    ],
    ids=str,
)
def test_a_coverage_study_that_cannot_be_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        coverage(**POINT | change, progress="none")


def test_a_method_named_twice_or_alone_is_studied_once() -> None:
    once = coverage(**POINT, methods=("wald",), progress="none")
    for methods in (["wald", "wald"], "wald"):
        again = coverage(**POINT, methods=methods, progress="none")
        assert list(again.covered) == ["wald"]
        np.testing.assert_array_equal(again.covered["wald"], once.covered["wald"])
