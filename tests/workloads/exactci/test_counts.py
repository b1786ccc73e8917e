"""What is a count, in text, in objects, in arrays."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.errors import UsageError
from fanwise.workloads.exactci import Status
from fanwise.workloads.exactci._counts import LARGEST, count_of_text, read_counts
from fanwise.workloads.exactci._delimited import _digits


@pytest.mark.parametrize(
    ("text", "value", "status"),
    [
        ("12", 12, Status.OK),
        (" 12 ", 12, Status.OK),
        ("12.0", 12, Status.OK),
        ("1e3", 1000, Status.OK),
        ("+5", 5, Status.OK),
        ("007", 7, Status.OK),
        (".5e1", 5, Status.OK),
        ("-0", 0, Status.OK),
        ("1e9", 10**9, Status.OK),
        ("", 0, Status.MISSING),
        ("  ", 0, Status.MISSING),
        ("NA", 0, Status.MISSING),
        ("NaN", 0, Status.MISSING),
        ("null", 0, Status.MISSING),
        ("None", 0, Status.MISSING),
        ("12,5", 0, Status.NOT_A_NUMBER),
        ("x", 0, Status.NOT_A_NUMBER),
        ("inf", 0, Status.NOT_A_NUMBER),
        ("1_000", 0, Status.NOT_A_NUMBER),
        ("１２", 0, Status.NOT_A_NUMBER),
        ("0x10", 0, Status.NOT_A_NUMBER),
        ("1e99999999999", 0, Status.NOT_A_NUMBER),
        ("-1", 0, Status.NEGATIVE),
        ("-0.5", 0, Status.NEGATIVE),
        ("12.5", 0, Status.NOT_INTEGER),
        ("1e-400", 0, Status.NOT_INTEGER),
        ("1000000000.5", 0, Status.NOT_INTEGER),
        ("1000000001", 0, Status.TOO_LARGE),
        ("1e400", 0, Status.TOO_LARGE),
        ("1e999999999", 0, Status.TOO_LARGE),
    ],
)
def test_text_is_a_count_or_says_what_it_is(text: str, value: int, status: Status) -> None:
    assert count_of_text(text) == (value, status)


@given(st.lists(st.text("0123456789 .-xe", max_size=12), min_size=1, max_size=30))
def test_reading_digits_all_at_once_is_reading_them_one_by_one(words: list[str]) -> None:
    data = ",".join(words).encode()
    right = np.cumsum([len(word) + 1 for word in words]) - 1
    left = right - [len(word) for word in words]
    values, plain = _digits(data, left, right)
    for word, value, is_plain in zip(words, values.tolist(), plain.tolist()):
        assert is_plain == (word.isdecimal() and len(word) <= 10 and int(word) <= LARGEST)
        if is_plain:
            assert (value, Status.OK) == count_of_text(word)


@given(st.lists(st.tuples(*[st.integers(-3, 2 * LARGEST)] * 4), max_size=8))
def test_the_type_of_the_array_does_not_matter(rows: list[tuple[int, ...]]) -> None:
    straight = read_counts(np.array(rows, np.int64).reshape(-1, 4))
    for other in (np.array(rows, float).reshape(-1, 4), np.array(rows, object).reshape(-1, 4), rows):
        for one, two in zip(read_counts(other), straight):
            np.testing.assert_array_equal(one, two)


def test_each_row_has_the_status_of_its_first_bad_cell() -> None:
    rows = [
        [1, 2, 3, 4],
        [1, None, "x", 3],
        [1.5, 2, -1, 0],
        [0, 0, 3, 4],
        [1, 2, 3, float("inf")],
        [Decimal(2), "3", 0, 1],
    ]
    counts, status = read_counts(rows)
    assert status.tolist() == [0, Status.MISSING, Status.NOT_INTEGER, Status.EMPTY_MARGIN, Status.NOT_A_NUMBER, 0]
    assert counts.tolist() == [[1, 2, 3, 4], [0] * 4, [0] * 4, [0, 0, 3, 4], [0] * 4, [2, 3, 0, 1]]


def test_floats_are_missing_when_nan_and_no_numbers_when_infinite() -> None:
    _, status = read_counts(
        np.array([[1, 2, 3, np.nan], [np.inf, 1, 1, 1], [1, 2, 3, 0.5], [-0.0, 1, 1, 1], [1, 1, 1, 2e9]])
    )
    assert status.tolist() == [Status.MISSING, Status.NOT_A_NUMBER, Status.NOT_INTEGER, Status.OK, Status.TOO_LARGE]


def test_no_rows_are_rows_too() -> None:
    for nothing in ([], np.zeros((0, 4)), np.zeros((0, 4), np.int64)):
        counts, status = read_counts(nothing)
        assert counts.shape == (0, 4)
        assert status.shape == (0,)


@pytest.mark.parametrize(
    "wrong", [[1, 2, 3, 4], [[1, 2, 3]], [[], []], np.zeros((0, 3)), np.zeros((2, 2, 4)), np.zeros((2, 4), complex)]
)
def test_another_shape_or_kind_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match="expected"):
        read_counts(wrong)


def test_the_callers_array_is_left_alone() -> None:
    mine = np.array([[1, 2, -3, 4]], np.int64)
    read_counts(mine)
    assert mine.tolist() == [[1, 2, -3, 4]]
