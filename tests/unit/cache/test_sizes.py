"""Sizes, ages and lifetimes as people write them."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.cache._sizes import parse_age, parse_size, parse_ttl, show_bytes, show_limit
from fanwise.errors import UsageError

SIZES = {
    "0": 0,
    "64MiB": 64 << 20,
    "1.5 KiB": 1536,
    "500MB": 500 * 10**6,
    "2GiB": 2 << 30,
    "1GB": 10**9,
    "3kB": 3000,
    "7B": 7,
    ".5kB": 500,
    12: 12,
}


@pytest.mark.parametrize("written", SIZES)
def test_a_size_is_a_number_with_a_unit(written: str | int) -> None:
    assert parse_size(written, "memory") == SIZES[written]


@pytest.mark.parametrize("written", ["12XB", "", "MB", "-5MB", "1e3", "5 mb", "1,5MB", -1, 1.5, True, None])
def test_anything_else_is_refused_with_what_is_expected(written: object) -> None:
    with pytest.raises(UsageError, match=r"--max-size .*: expected a number with B, KiB, .* such as 500MB") as caught:
        parse_size(written, "--max-size")
    assert repr(written) in str(caught.value)


def test_an_age_has_a_unit() -> None:
    assert [parse_age(text, "x") for text in ("90s", "2m", "1.5h", "30d", "1w")] == [
        90,
        120,
        5400,
        30 * 86400,
        7 * 86400,
    ]
    for text in ("30", "d", "-1d", "1y"):
        with pytest.raises(UsageError, match=r"--older-than .*: expected a number with s, m, h, d or w"):
            parse_age(text, "--older-than")


def test_a_lifetime_is_above_zero() -> None:
    assert parse_ttl(None) == math.inf
    assert parse_ttl(1) == 1.0
    assert parse_ttl(timedelta(minutes=1)) == 60.0
    for bad in (0, -1, float("nan"), timedelta(0), "1", True):
        with pytest.raises(UsageError, match="ttl"):
            parse_ttl(bad)  # type: ignore[arg-type]


@given(st.integers(0, 10**12))
def test_bytes_are_shown_in_decimal_units(size: int) -> None:
    number, unit = show_bytes(size).split()
    factor = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}[unit]
    assert abs(float(number) * factor - size) <= 0.05 * factor + 0.5


def test_limits_are_shown_as_they_are_given() -> None:
    assert [show_limit(n) for n in (2 << 30, 64 << 20, 500 * 10**6, 1536)] == [
        "2.0 GiB",
        "64.0 MiB",
        "500.0 MB",
        "1.5 KiB",
    ]
    assert show_bytes(18_900_000) == "18.9 MB"
