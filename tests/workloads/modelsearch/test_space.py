"""The space of specifications: counting, numbering and walking agree with listing everything."""

from __future__ import annotations

import random
from functools import cache
from itertools import combinations, islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.modelsearch.world import world

from fanwise.errors import InputError
from fanwise.workloads.modelsearch import Item, Space
from fanwise.workloads.modelsearch._config import Config, Data, Group, Search
from fanwise.workloads.modelsearch._space import pool_order


def config_of(groups: list[Group], **search: Any) -> Config:
    data = Data(None, "t", Item("y", "LV", None, 0), (0, 1))
    return Config(None, data, Search(groups=tuple(groups), **search))


def space_of(groups: list[Group], missing: tuple[int, ...] = (), **search: Any) -> Space:
    """A space over the whole pool, less the items at ``missing``."""
    items = tuple(item for at, item in enumerate(pool_order(groups)) if at not in missing)
    return Space(config_of(groups, **search), SimpleNamespace(items=items))


def group(name: str, sizes: list[int], pick: tuple[int, int]) -> Group:
    """A group with variables of so many items."""
    items = [Item(f"{name}{v}", "LV", None, lag) for v, size in enumerate(sizes) for lag in range(size)]
    return Group(name, tuple(items), pick)


def listed(space: Space, groups: list[Group], search: dict[str, int]) -> list[tuple[int, ...]]:
    """Every specification by trying all combinations."""
    home = {item.variable: at for at, group in enumerate(groups) for item in group.items}
    found = []
    for r in range(search["min_terms"], search["max_terms"] + 1):
        for chosen in combinations(range(len(space.items)), r):
            items = [space.items[p] for p in chosen]
            by_group = [sum(home[i.variable] == at for i in items) for at in range(len(groups))]
            by_variable = [sum(i.variable == v for i in items) for v in {i.variable for i in items}]
            cap = search["per_variable"]
            if all(g.pick[0] <= n <= g.pick[1] for g, n in zip(groups, by_group, strict=True)) and (
                not cap or max(by_variable, default=0) <= cap
            ):
                found.append(chosen)
    return found


@st.composite
def spaces(draw: st.DrawFn) -> tuple[Space, list[Group], dict[str, int]]:
    groups = []
    for at in range(draw(st.integers(1, 3))):
        sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
        low = draw(st.integers(0, 2))
        groups.append(group("abc"[at], sizes, (low, draw(st.integers(low, 4)))))
    low = draw(st.integers(0, 3))
    search = {"min_terms": low, "max_terms": draw(st.integers(low, 4)), "per_variable": draw(st.integers(0, 3))}
    total = sum(len(g.items) for g in groups)
    missing = tuple(draw(st.sets(st.integers(0, total - 1), max_size=2)))
    return space_of(groups, missing, **search), groups, search


@given(spaces())
@settings(max_examples=100)
def test_counting_numbering_and_walking_agree_with_listing(drawn: tuple[Space, list[Group], dict[str, int]]) -> None:
    space, groups, search = drawn
    everything = listed(space, groups, search)
    assert space.count() == len(everything)
    assert [space.unrank(i) for i in range(space.count())] == everything
    assert [space.rank(chosen) for chosen in everything] == list(range(len(everything)))
    assert list(space) == everything


@given(spaces(), st.data())
@settings(max_examples=80)
def test_blocks_begin_and_end_anywhere(drawn: tuple[Space, list[Group], dict[str, int]], data: st.DataObject) -> None:
    space, groups, search = drawn
    everything = listed(space, groups, search)
    first = data.draw(st.integers(0, len(everything)))
    stop = data.draw(st.integers(first, len(everything)))
    size = data.draw(st.integers(1, 7))
    blocks = list(space.blocks(first, stop, size))
    assert [tuple(row) for block in blocks for row in block.indices.tolist()] == everything[first:stop]
    assert [i for block in blocks for i in block.ids.tolist()] == list(range(first, stop))
    assert all(len(block) <= size for block in blocks)


@given(spaces(), st.data())
@settings(max_examples=40)
def test_picked_specifications_are_those_asked_for(
    drawn: tuple[Space, list[Group], dict[str, int]], data: st.DataObject
) -> None:
    space, *_ = drawn
    ids = data.draw(st.lists(st.integers(0, space.count() - 1), max_size=6)) if space.count() else []
    found = {
        int(i): tuple(row)
        for block in space.pick(ids)
        for i, row in zip(block.ids, block.indices.tolist(), strict=True)
    }
    assert found == {i: space.unrank(i) for i in ids}


@cache
def large_space(terms: int, cap: int) -> Space:
    groups = [group("a", [4] * 20, (1, 2)), group("b", [7] * 10, (0, 3)), group("c", [1] * 30, (0, 1))]
    return space_of(groups, min_terms=1, max_terms=terms, per_variable=cap)


@given(st.integers(0, 10**9), st.integers(3, 5), st.integers(0, 2))
@settings(max_examples=60)
def test_unrank_and_rank_are_inverse_in_large_spaces(seed: int, terms: int, cap: int) -> None:
    space = large_space(terms, cap)
    i = random.Random(seed).randrange(space.count())
    chosen = space.unrank(i)
    assert space.rank(chosen) == i
    assert list(chosen) == sorted(set(chosen))
    following = next(islice(space.blocks(i + 1, min(i + 2, space.count())), 1), None)
    assert following is None or tuple(following.indices[0]) == space.unrank(i + 1)


def test_counts_beyond_64_bits_are_exact() -> None:
    space = space_of([group("a", [1] * 100, (0, 30))], min_terms=30, max_terms=30)
    import math

    assert space.count() == math.comb(100, 30) > 2**64
    last = space.unrank(space.count() - 1)
    assert last == tuple(range(70, 100))
    assert space.rank(last) == space.count() - 1


def test_items_of_a_variable_never_exceed_the_cap() -> None:
    space = space_of([group("a", [3, 3], (0, 4))], min_terms=0, max_terms=4, per_variable=2)
    for chosen in space:
        names = [space.items[p].variable for p in chosen]
        assert all(names.count(name) <= 2 for name in names)
    assert max(map(len, space)) == 4


def test_a_pool_without_items_has_only_the_forced_model() -> None:
    groups = [group("a", [1], (0, 3))]
    assert list(space_of(groups, (0,), min_terms=0, max_terms=3)) == [()]
    assert space_of(groups, (0,), min_terms=1, max_terms=3).count() == 0
    assert space_of([group("a", [1], (1, 3))], (0,), min_terms=0, max_terms=3).count() == 0


@pytest.mark.parametrize("i", [-1, 7, 10**30])
def test_an_id_outside_the_space_is_named(i: int) -> None:
    space = space_of([group("a", [1] * 3, (0, 3))], min_terms=1, max_terms=3)
    assert space.count() == len(space) == 7
    with pytest.raises(IndexError, match=f"no specification {i:,}: ids run from 0 to 6"):
        space.unrank(i)


@pytest.mark.parametrize("chosen", [(0, 1), (2, 0), (0, 0), (0, 2), (9,), (), (0, 2, 3, 4)])
def test_what_is_not_in_the_space_has_no_number(chosen: tuple[int, ...]) -> None:
    space = space_of([group("a", [2, 1], (0, 3)), group("b", [2], (1, 1))], min_terms=2, max_terms=3)
    assert chosen not in set(space)
    with pytest.raises(ValueError, match="no specification"):
        space.rank(chosen)
    assert not space.contains(chosen)


def test_terms_find_their_specification_in_any_order(tmp_path: Any) -> None:
    from fanwise.workloads import modelsearch

    config = world(tmp_path)
    space = Space(config, modelsearch.prepare(config))
    for i in range(space.count()):
        assert space.find(space.terms(i)) == i
    assert space.find("x3 ; x1@1") == space.find("x1:LV@1;x3:LV")
    with pytest.raises(InputError, match="x9:LV is not in the pool"):
        space.find("x1;x9")
    with pytest.raises(InputError, match="is not a specification of this search"):
        space.find("x1;x1@1")
    with pytest.raises(InputError, match="unknown transform"):
        space.find("x1:ZZ")


def test_forced_only_is_written_as_nothing() -> None:
    space = space_of([group("a", [1], (0, 1))], min_terms=0, max_terms=1)
    assert (space.terms(0), space.find("")) == ("", 0)


def test_chunks_of_any_size_list_the_same_specifications() -> None:
    space = space_of(
        [group("a", [2, 3], (0, 2)), group("b", [1, 2, 2], (1, 3))], min_terms=1, max_terms=4, per_variable=2
    )
    everything = np.array([i for block in space.blocks(0, space.count()) for i in block.ids])
    for size in (1, 3, 64, 10_000):
        parts = [
            block.ids
            for first in range(0, space.count(), size)
            for block in space.blocks(first, min(first + size, space.count()))
        ]
        np.testing.assert_array_equal(np.concatenate(parts), everything)
