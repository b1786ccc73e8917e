"""Laws of a whole search: what may change in data, cut or machine without a verdict changing."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.workloads.modelsearch import reference
from tests.workloads.modelsearch.test_space import config_of
from tests.workloads.modelsearch.world import columns, context, with_test, world

from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch import Item, Space
from fanwise.workloads.modelsearch._cascade import assess, merged
from fanwise.workloads.modelsearch._chunks import Finished
from fanwise.workloads.modelsearch._config import Group, Search
from fanwise.workloads.modelsearch._context import context_of
from fanwise.workloads.modelsearch._frame import build
from fanwise.workloads.modelsearch._tally import Tally, ranked
from fanwise.workloads.modelsearch.io import read_table

LEVELS = [{"name": "all", "items": ["x1:LV,DF(1)@0..1", "x2@0..1", "x3:LV,DF(2)", "x4"]}]
SLOW = {"suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


def failures(config: modelsearch.Config, change: Any = None) -> np.ndarray:
    """Where every specification fell, on the data as they are or changed column by column."""
    table = read_table(config)
    if change is not None:
        moved = {n: c if n == "y" else change(n, c) for n, c in table.columns.items()}
        table = replace(table, columns=moved)
    ctx = context_of(config, build(config, table))
    return assess(ctx, 0, ctx.space.count()).failed


@given(st.integers(0, 10_000), st.sampled_from([1e-6, 1e-3, 1e3, 1e6]), st.sampled_from(["x1", "x2", "x3", "x4"]))
@settings(max_examples=12, **SLOW)
def test_the_unit_of_a_variable_does_not_matter(tmp_path: Path, seed: int, factor: float, which: str) -> None:
    config = world(tmp_path, {"filters": {"r2_min": 0.1}}, LEVELS, table=columns(seed=seed))
    changed = failures(config, lambda name, column: column * factor if name == which else column)
    np.testing.assert_array_equal(changed, failures(config))


@given(st.integers(0, 10_000), st.floats(-1e4, 1e4))
@settings(max_examples=12, **SLOW)
def test_a_constant_added_to_a_variable_changes_no_verdict(tmp_path: Path, seed: int, shift: float) -> None:
    config = world(tmp_path, {"filters": {"r2_min": 0.1}}, LEVELS, table=columns(seed=seed))
    np.testing.assert_array_equal(failures(config, lambda _, column: column + shift), failures(config))


@given(st.integers(0, 10_000), st.lists(st.integers(1, 60), min_size=1, max_size=6))
@settings(max_examples=10, **SLOW)
def test_any_cut_gives_the_same_counts_rows_and_maxima(tmp_path: Path, seed: int, cuts: list[int]) -> None:
    ctx = context(world(tmp_path, {"filters": {"p_max": 0.3}, **with_test()}, LEVELS, table=columns(seed=seed)))
    count = ctx.space.count()
    edges = sorted({0, count, *(cut for cut in cuts if cut < count)})
    parts = [assess(ctx, a, b) for a, b in pairwise(edges)]
    whole, together = assess(ctx, 0, count), merged(parts)
    assert together.fell == whole.fell
    assert together.tried == whole.tried
    np.testing.assert_allclose(together.best.observed, whole.best.observed, rtol=1e-10, atol=1e-12)
    assert len(together.table) == len(whole.table)
    if len(whole.table):
        np.testing.assert_array_equal(together.table["id"], whole.table["id"])
        np.testing.assert_allclose(together.table["bic"], whole.table["bic"], rtol=1e-12)
    np.testing.assert_array_equal(together.nearest[:, [0, 2]], whole.nearest[:, [0, 2]])


@given(st.integers(0, 10_000))
@settings(max_examples=8, **SLOW)
def test_the_funnel_and_the_ranking_add_up(tmp_path: Path, seed: int) -> None:
    config = world(tmp_path, {"filters": {"p_max": 0.4, "r2_min": 0.05}}, LEVELS, table=columns(seed=seed, noise=0.7))
    ctx = context(config)
    tally = Tally()
    done = [Finished(assess(ctx, at, min(at + 17, ctx.space.count()))) for at in range(0, ctx.space.count(), 17)]
    for part in done:
        tally.add(part)
    assert tally.tried == ctx.space.count() == sum(tally.fell) + tally.passed
    for part in done:
        if len(part.assessment.table):
            rows, keys = ranked(part.assessment.table, tally, config.rank)
            assert (np.diff(keys) >= 0).all()
            assert sorted(rows["id"].tolist()) == part.assessment.table["id"].tolist()


@given(st.integers(0, 10_000), st.floats(0.05, 0.6), st.floats(0.01, 0.5))
@settings(max_examples=6, **SLOW)
def test_a_stricter_search_passes_a_part_of_what_a_milder_one_does(
    tmp_path: Path, seed: int, r2: float, p: float
) -> None:
    table = columns(seed=seed, noise=0.7)
    mild = context(world(tmp_path, {"filters": {"r2_min": r2 / 2, "p_max": min(1.0, 2 * p)}}, LEVELS, table=table))
    harsh = context(world(tmp_path, {"filters": {"r2_min": r2, "p_max": p}}, LEVELS, table=table))
    passed = [set(np.flatnonzero(assess(ctx, 0, ctx.space.count()).failed == 11).tolist()) for ctx in (mild, harsh)]
    assert passed[1] <= passed[0]


@pytest.mark.slow
@given(st.integers(0, 10_000))
@settings(max_examples=3, **SLOW)
def test_verdicts_are_those_of_the_plain_loop(tmp_path: Path, seed: int) -> None:
    config = world(
        tmp_path, {"search": {"forced": ["season(4)"], "max_terms": 2}}, LEVELS[:1], table=columns(seed=seed, noise=0.5)
    )
    frame = modelsearch.prepare(config)
    ctx = context_of(config, frame)
    rows = modelsearch.evaluate(frame, ctx.space, config, range(ctx.space.count()))
    limits = {"r2_min": 0.3, "vif_max": 10.0, "p_max": 0.1}
    for i in range(0, ctx.space.count(), 3):
        free = list(ctx.space.unrank(i))
        design = np.column_stack([frame.X[:, free], frame.fixed.T])
        season = list(range(len(free), len(free) + 3))
        assert rows["failed_at"][i] == reference.loop_verdict(frame.y, design, season, limits)


@pytest.mark.slow
def test_numbers_of_a_space_of_a_thousand_million_agree_with_its_ranks() -> None:
    items = tuple(Item(f"v{n}", "LV", None, 0) for n in range(1820))
    groups = (Group("all", items, (0, 3)),)
    space = Space(config_of(list(groups)), type("Frame", (), {"items": items})())
    assert space.count() > 10**9
    rng = random.Random(5)
    for _ in range(150):
        i = rng.randrange(space.count())
        assert space.rank(space.unrank(i)) == i


def test_the_space_of_a_configuration_is_that_of_its_groups() -> None:
    search = Search(
        groups=(Group("g", (Item("a", "LV", None, 0), Item("b", "LV", None, 0)), (0, 2)),), min_terms=0, max_terms=2
    )
    config = replace(config_of(list(search.groups)), search=search)
    space = Space(config, type("Frame", (), {"items": search.groups[0].items})())
    assert [space.terms(i) for i in range(space.count())] == ["", "a:LV", "b:LV", "a:LV;b:LV"]


def test_memory_does_not_grow_with_what_falls(tmp_path: Path) -> None:
    """The whole state beside the rows: counts, a hundred near misses and the bootstrap maxima."""
    ctx = context(world(tmp_path, {"filters": {"r2_min": 0.999}, **with_test()}, LEVELS))
    tally = Tally()
    for _ in range(50):
        tally.add(Finished(assess(ctx, 0, ctx.space.count())))
    assert len(tally.nearest) <= 100
    assert tally.best.bootstrap.shape == (50,)
    assert tally.used == set()
