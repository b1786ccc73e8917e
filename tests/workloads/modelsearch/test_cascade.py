"""The cascade gives every specification the verdict of the full evaluation, however it gets there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.workloads.modelsearch.world import columns, context, evaluated, with_test, world

from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch import _cascade, _screen
from fanwise.workloads.modelsearch._cascade import assess, verdicts
from fanwise.workloads.modelsearch._filters import FILTERS, PASSED
from fanwise.workloads.modelsearch._gram import fit
from fanwise.workloads.modelsearch._screen import OPEN, possible, screen
from fanwise.workloads.modelsearch._verdicts import LISTS

GROUPS = [{"name": "all", "items": ["x1@0..1", "x2@0..1", "x3", "x4:LV,DF(1)"]}]
SLOW = {"suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


def same_verdicts(config: modelsearch.Config) -> np.ndarray:
    """Check that cascade and full evaluation agree for every specification; returns the filters they fell at."""
    ctx = context(config)
    count = ctx.space.count()
    quick, full = assess(ctx, 0, count), assess(ctx, 0, count, full=True)
    np.testing.assert_array_equal(quick.failed, full.failed)
    assert quick.fell == full.fell
    assert quick.tried == full.tried == count
    survivors = full.table.take(full.table["passed"] == 1)
    assert quick.table["id"].tolist() == survivors["id"].tolist() if len(survivors) else not len(quick.table)
    for name in quick.table.columns:
        if quick.table[name].dtype.kind == "f":
            ours, theirs = (
                quick.table[name],
                survivors[name][:, : quick.table[name].shape[1]] if name in LISTS else survivors[name],
            )
            np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-11, err_msg=name)
    if quick.best is not None:
        np.testing.assert_allclose(quick.best.observed, full.best.observed, rtol=1e-9)
        np.testing.assert_allclose(quick.best.bootstrap, full.best.bootstrap, rtol=1e-9)
    return full.failed


@given(
    seed=st.integers(0, 10_000),
    p_max=st.sampled_from([False, 0.01, 0.1, 0.5]),
    r2=st.sampled_from([False, 0.2, 0.5]),
    cov=st.sampled_from(["auto", "nonrobust", "HC1", "HAC(3)"]),
    fail=st.sampled_from(["both", "either"]),
    noise=st.sampled_from([0.3, 2.0]),
)
@settings(max_examples=12, **SLOW)
def test_short_cuts_change_no_verdict(
    tmp_path: Path, seed: int, p_max: Any, r2: Any, cov: str, fail: str, noise: float
) -> None:
    filters = {
        "p_max": p_max,
        "r2_min": r2,
        "cov": cov,
        "vif_max": 4.0,
        "autocorrelation": {"fail": fail},
        "heteroscedasticity": {"fail": fail},
        "sign": {"x2": "-", "x1:LV@1": "+"},
        "sign_stability_min": 0.6,
    }
    table = columns(rows=100, seed=seed, noise=noise)
    same_verdicts(world(tmp_path, {"filters": filters}, GROUPS, table=table))


@pytest.mark.parametrize(
    "sections",
    [
        {"search": {"forced": ["season(4)", "x4:DF(2)"], "min_terms": 0}},
        {"search": {"per_variable": 0, "max_terms": 2}, "filters": {"season": "each", "p_max": 0.3}},
        {"search": {"forced": ["season(12)"]}, "filters": {"season": "each", "p_max": 0.6, "group_p_max": 0.5}},
        {"search": {"forced": ["season(4)"]}, "filters": {"season": "ignore", "p_exempt": ["x3", "x1@1"]}},
        {"filters": {"autocorrelation": False, "heteroscedasticity": False}},
        {"filters": {"autocorrelation": {"bg_lags": 3}, "stationary": "adf-and-pp", "adj_r2_min": 0.35}},
        {"filters": {"cointegration": 0.001, "stationary": False}, "search": {"max_terms": 2}},
        {"rank": {"walk_forward": False}, "filters": {"vif_max": False, "sign_stability_min": 0.9}},
        {**with_test(), "filters": {"oos_ratio_max": 0.9}, "search": {"min_terms": 0}},
        {**with_test(), "multiplicity": {"method": "spa", "bootstrap": 30}},
    ],
)
def test_every_option_gives_one_verdict_by_both_ways(tmp_path: Path, sections: dict[str, Any]) -> None:
    failed = same_verdicts(world(tmp_path, sections, [{"name": "all", "items": ["x1@0..1", "x2@0..1", "x3"]}]))
    assert len(set(failed.tolist())) > 1


def test_collinear_twins_and_scales_do_not_disturb_their_neighbours(tmp_path: Path) -> None:
    table = columns()
    table["x3"] = 2 * table["x1"] - 1
    table["x4"] = table["x2"] * 1e-9 + 5e-7
    table["x5"] = np.cumsum(np.random.default_rng(1).standard_normal(120)) + 1e6
    table["x6"] = table["x5"] * 1.7 + 1e-4 * np.random.default_rng(2).standard_normal(120)
    groups = [{"name": "all", "items": ["x1@0..1", "x2", "x3", "x4", "x5", "x6"]}]
    config = world(tmp_path, {"filters": {"r2_min": 0.1}, **with_test()}, groups, table=table)
    failed = same_verdicts(config)
    rows = evaluated(config)
    collinear = rows["reason"] == "collinear"
    assert (failed[collinear] == 0).all()
    assert {t for t, bad in zip(rows["terms"], collinear, strict=True) if bad} >= {"x1:LV;x3:LV", "x2:LV;x4:LV"}
    assert assess(context(config), 0, len(rows)).redone >= collinear.sum()


def test_a_specification_that_rebuilds_the_target_falls_at_rank(tmp_path: Path) -> None:
    table = columns()
    table["y"] = 2 * table["x1"] - table["x2"]
    rows = evaluated(world(tmp_path, None, [{"name": "g", "items": ["x1", "x2", "x3"]}], table=table))
    perfect = rows["reason"] == "perfect-fit"
    assert [t for t, bad in zip(rows["terms"], perfect, strict=True) if bad] == ["x1:LV;x2:LV", "x1:LV;x2:LV;x3:LV"]
    assert set(rows["failed_at"][perfect]) == {"rank"}
    assert np.isfinite(rows["r2"][perfect]).all()


def test_a_border_case_is_left_to_the_exact_half(tmp_path: Path) -> None:
    config = world(tmp_path, {"filters": {"p_max": False}}, GROUPS)
    ctx = context(config)
    block = next(ctx.space.blocks(0, ctx.space.count()))
    quick = fit(ctx.whole, block.indices, float(ctx.base.y @ ctx.base.y))
    threshold = float(1 - quick.ssr[3])
    near = replace(config, filters=replace(config.filters, r2_min=threshold, vif_max=None))
    failed = screen(context(near), ctx.whole, quick).failed
    assert failed[3] == OPEN
    assert set(failed[quick.ssr > quick.ssr[3] + 1e-3]) <= {FILTERS.index("r2")}
    assert same_verdicts(near)[3] in {FILTERS.index("r2"), PASSED, FILTERS.index("stationary")}


@pytest.mark.parametrize(
    ("filters", "kinds"),
    [
        ({}, ["nonrobust", "HC1", "HAC(3)"]),
        ({"autocorrelation": None}, ["nonrobust", "HC1"]),
        ({"heteroscedasticity": None}, ["nonrobust", "HAC(3)"]),
        ({"cov": "HAC(2)"}, ["HAC(2)"]),
    ],
)
def test_only_covariances_that_may_be_chosen_are_tried(
    tmp_path: Path, filters: dict[str, Any], kinds: list[str]
) -> None:
    assert possible(replace(world(tmp_path).filters, **filters), 95) == kinds


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
def test_the_cut_into_chunks_changes_no_verdict(tmp_path: Path, size: int) -> None:
    ctx = context(world(tmp_path, {"filters": {"p_max": 0.2}, **with_test()}, GROUPS))
    count = ctx.space.count()
    whole = assess(ctx, 0, count)
    parts = [assess(ctx, first, min(first + size, count)) for first in range(0, count, size)]
    together = _cascade.merged(parts)
    assert together.fell == whole.fell
    np.testing.assert_array_equal(together.failed, whole.failed)
    np.testing.assert_array_equal(together.table["id"], whole.table["id"])
    np.testing.assert_allclose(together.best.bootstrap, whole.best.bootstrap, rtol=1e-12)


def test_batches_of_the_exact_half_are_bounded_by_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = world(tmp_path, {"filters": {"p_max": False}}, GROUPS)
    before = same_verdicts(config)
    monkeypatch.setattr(_cascade, "SETTLE_BYTES", 1)
    np.testing.assert_array_equal(same_verdicts(config), before)


def test_small_steps_of_the_screen_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = world(tmp_path, None, GROUPS)
    before = same_verdicts(config)
    monkeypatch.setattr(_screen, "BATCH_BYTES", 1)
    np.testing.assert_array_equal(same_verdicts(config), before)


def test_items_built_as_needed_give_the_same_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cascade, "LAZY_BATCH", 9)
    config = world(tmp_path, {"filters": {"p_max": 0.3}, **with_test()}, GROUPS)
    lazy = replace(config, run=replace(config.run, prefetch="lazy"))
    one, two = assess(context(config), 0, 60, full=True), assess(context(lazy), 0, 60, full=True)
    np.testing.assert_array_equal(one.failed, two.failed)
    for name in one.table.columns:
        if one.table[name].dtype.kind == "f":
            np.testing.assert_allclose(one.table[name], two.table[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_single_verdicts_come_in_the_order_asked_for(tmp_path: Path) -> None:
    ctx = context(world(tmp_path, None, GROUPS))
    ids = [40, 3, 17, 4]
    some, every = verdicts(ctx, ids, full=True), verdicts(ctx, range(ctx.space.count()), full=True)
    assert some["id"].tolist() == ids
    np.testing.assert_array_equal(some["failed_at"], every["failed_at"][ids])
    np.testing.assert_allclose(some["r2"], every["r2"][ids], rtol=1e-12)
    np.testing.assert_array_equal(verdicts(ctx, ids, full=False)["failed_at"], some["failed_at"])


def test_without_full_only_those_that_pass_have_statistics(tmp_path: Path) -> None:
    rows = evaluated(world(tmp_path, None, GROUPS), full=False)
    np.testing.assert_array_equal(np.isfinite(rows["r2"]), rows["passed"] == 1)
    assert (rows["k"] == 1 + (rows["indices"] >= 0).sum(axis=1)).all()
    assert set(rows["failed_at"][rows["passed"] == 0]) <= set(FILTERS)


def test_no_ids_no_rows(tmp_path: Path) -> None:
    config = world(tmp_path)
    frame = modelsearch.prepare(config)
    assert len(modelsearch.evaluate(frame, modelsearch.Space(config, frame), config, [])) == 0


def test_near_misses_are_those_that_came_furthest_and_fell_by_least(tmp_path: Path) -> None:
    config = world(tmp_path, {"filters": {"r2_min": False, "p_max": 1e-9, "stationary": False}}, GROUPS)
    ctx = context(config)
    found = assess(ctx, 0, ctx.space.count())
    rows = evaluated(config)
    fell = np.flatnonzero(rows["failed_at"] == "pvalue")
    expected = fell[np.argsort(rows["max_p"][fell], kind="stable")]
    assert (found.nearest[:, 0] == FILTERS.index("pvalue")).all()
    assert (np.diff(found.nearest[:, 1]) >= 0).all()
    assert set(found.nearest[:5, 2].astype(int)) & set(rows["id"][expected[:8]].tolist())


@pytest.mark.parametrize(
    ("filters", "filter"),
    [
        ({"r2_min": 0.99}, "r2"),
        ({"adj_r2_min": 0.99, "r2_min": False}, "adj_r2"),
        ({"r2_min": False, "p_max": False, "sign": {"x1": "-", "x2": "+", "x3": "+", "x4": "+"}}, "sign"),
        ({"r2_min": False, "p_max": False, "vif_max": 1.0000001}, "vif"),
        ({"r2_min": False, "p_max": False, "stationary_p": 1e-300}, "stationary"),
        ({"r2_min": False, "p_max": False, "stationary": False, "sign_stability_min": 1.1}, "stability"),
    ],
)
def test_a_miss_is_measured_at_the_filter_where_it_fell(tmp_path: Path, filters: dict[str, Any], filter: str) -> None:
    ctx = context(world(tmp_path, {"filters": filters}, GROUPS))
    for full in (False, True):
        found = assess(ctx, 0, ctx.space.count(), full=full)
        assert FILTERS[int(found.nearest[0, 0])] == filter
        assert (found.nearest[:, 1] > 0).all()


def test_too_many_columns_for_the_rows_fall_at_rank(tmp_path: Path) -> None:
    config = world(
        tmp_path, {"data": {"train": ["2001-01-31", "2001-06-30"]}}, [{"name": "g", "items": ["x1", "x2", "x3"]}]
    )
    rows = evaluated(config)
    assert len(rows) == 7
    wide = replace(config, search=replace(config.search, max_terms=3))
    ctx = context(wide)
    short = replace(ctx.frame, y=ctx.frame.y[:4], pool=ctx.frame.pool[:, :4], fixed=ctx.frame.fixed[:, :4])
    from fanwise.workloads.modelsearch._context import context_of

    failed = assess(context_of(wide, short), 0, 7, full=True)
    assert failed.table["reason"].tolist()[-1] == "too-few-rows"
    assert failed.fell[0] >= 1
