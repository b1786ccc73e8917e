"""Entries of a pool: what they expand to, how items are written, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.errors import InputError
from fanwise.workloads.modelsearch import Item, parse_items
from fanwise.workloads.modelsearch._items import NEEDS_NONE, TRANSFORMS, Season, parse_item, parse_season


@pytest.mark.parametrize(
    ("entry", "items"),
    [
        ("unemp", ["unemp:LV"]),
        ("unemp:LV", ["unemp:LV"]),
        ("unemp@2", ["unemp:LV@2"]),
        ("unemp:DF", ["unemp:DF(1)"]),
        ("unemp:DF(3)@2", ["unemp:DF(3)@2"]),
        ("unemp:LOG@0", ["unemp:LOG"]),
        ("m1:GR(1,4)@0..1", ["m1:GR(1)", "m1:GR(1)@1", "m1:GR(4)", "m1:GR(4)@1"]),
        ("unemp:LV,DF(1)@0..4", [f"unemp:{t}{f'@{n}' if n else ''}" for t in ("LV", "DF(1)") for n in range(5)]),
        ("x:AVG(4),DEV(4)", ["x:AVG(4)", "x:DEV(4)"]),
        ("x:DLOG,ABSGR(2)@3,1", ["x:DLOG(1)@3", "x:DLOG(1)@1", "x:ABSGR(2)@3", "x:ABSGR(2)@1"]),
        (" a.b_2 : LV , DF(1) @ 0 , 2 ", ["a.b_2:LV", "a.b_2:LV@2", "a.b_2:DF(1)", "a.b_2:DF(1)@2"]),
    ],
)
def test_an_entry_expands_transforms_then_parameters_then_lags(entry: str, items: list[str]) -> None:
    assert [str(item) for item in parse_items(entry)] == items


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("unemp:DIF(1)", "unknown transform DIF; known: LV DF"),
        ("unemp:df(1)", "did you mean DF?"),
        ("unemp:LV(1)", "LV takes no parameter"),
        ("unemp:AVG", "AVG needs the number of rows, such as AVG(4)"),
        ("unemp:DF(0)", "a parameter is a whole number of at least 1"),
        ("unemp:DF(1,,2)", "a parameter is a whole number"),
        ("unemp:DF()", 'cannot read the transforms "DF()"'),
        ("unemp:DF(1", 'cannot read the transforms "DF(1"'),
        ("unemp:LV,", 'cannot read the transforms "LV,"'),
        ("unemp:", 'cannot read the transforms ""'),
        ("unemp@", 'cannot read the lags "@"'),
        ("unemp@-1", 'cannot read the lags "@-1"'),
        ("unemp@1..", 'cannot read the lags "@1.."'),
        ("unemp@4..1", "the lags 4..1 run backwards"),
        ("2x", "expected variable[:transform,…][@lags]"),
        ("", "expected variable[:transform,…][@lags]"),
        ("a b-c", "expected variable[:transform,…][@lags]"),
    ],
)
def test_a_malformed_entry_is_quoted_and_explained(entry: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_items(entry)
    assert str(caught.value).startswith(f'"{entry}"')
    assert says in str(caught.value)


def test_a_target_stands_for_one_item() -> None:
    assert parse_item("cpi:DLOG(1)") == Item("cpi", "DLOG", 1, 0)
    with pytest.raises(InputError, match="expected one item, but it stands for 2"):
        parse_item("cpi:LV,DF(1)")


@pytest.mark.parametrize(
    ("entry", "season", "text"),
    [
        ("season(4)", Season(4, (2, 3, 4)), "season(4)"),
        ("season(12;2,3,10)", Season(12, (2, 3, 10)), "season(12;2,3,10)"),
        ("season(2)", Season(2, (2,)), "season(2)"),
        ("season(4;1,2)", Season(4, (1, 2)), "season(4;1,2)"),
        ("unemp:LV", None, ""),
        ("season", None, ""),
    ],
)
def test_a_season_block_has_a_column_for_each_season_but_the_base(entry: str, season: Season | None, text: str) -> None:
    assert parse_season(entry) == season
    if season is not None:
        assert str(season) == text
        assert season.labels == tuple(f"season({season.period}).{part}" for part in season.chosen)


@pytest.mark.parametrize("entry", ["season(1)", "season(4;5)", "season(4;0)", "season(4;3,2)", "season(4;2,2)"])
def test_a_season_block_that_cannot_be_meant_is_refused(entry: str) -> None:
    with pytest.raises(InputError, match="season"):
        parse_season(entry)


def items() -> st.SearchStrategy[Item]:
    tail = st.text("abcXYZ019_.", max_size=6)
    names = st.builds("".join, st.tuples(st.sampled_from("aZ_"), tail))
    plain = st.builds(Item, names, st.sampled_from(sorted(NEEDS_NONE)), st.none(), st.integers(0, 99))
    stepped = st.sampled_from([t for t in TRANSFORMS if t not in NEEDS_NONE])
    return plain | st.builds(Item, names, stepped, st.integers(1, 99), st.integers(0, 99))


@given(items())
def test_the_canonical_text_of_an_item_stands_for_it_alone(item: Item) -> None:
    assert parse_items(str(item)) == (item,)


@given(items())
def test_lag_0_and_only_lag_0_is_not_written(item: Item) -> None:
    assert ("@" in str(item)) == (item.lag != 0)
