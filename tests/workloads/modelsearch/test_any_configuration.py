"""Any filters over small data: the short cuts of the cascade, the lazy columns and the cuts into chunks change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.modelsearch.world import columns, world

from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch import Space

P = st.sampled_from([0.01, 0.05, 0.1, 0.3, 1.0])


def or_false(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just(False) | values


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "r2_min": or_false(st.sampled_from([0.0, 0.1, 0.3, 0.6])),
        "adj_r2_min": or_false(st.sampled_from([0.1, 0.4])),
        "vif_max": or_false(st.sampled_from([1.5, 5.0, 10.0])),
        "p_max": or_false(P),
        "p_exempt": st.sampled_from([[], ["x1:LV"], ["x2:LV", "x3:LV"]]),
        "season": st.sampled_from(["group", "each", "ignore"]),
        "group_p_max": or_false(P),
        "cov": st.sampled_from(["auto", "nonrobust", "HC1", "HAC(0)", "HAC(3)"]),
        "autocorrelation": or_false(
            st.fixed_dictionaries(
                {},
                optional={
                    "dw": st.sampled_from([[1.5, 2.5], [1.9, 2.1]]),
                    "bg_lags": st.sampled_from([1, 2, 4]),
                    "fail": st.sampled_from(["both", "either"]),
                },
            )
        ),
        "heteroscedasticity": or_false(st.fixed_dictionaries({"fail": st.sampled_from(["both", "either"])})),
        "stationary": or_false(st.sampled_from(["adf", "pp", "adf-or-pp", "adf-and-pp"])),
        "stationary_p": P,
        "cointegration": or_false(P),
        "oos_ratio_max": or_false(st.sampled_from([0.8, 1.0])),
        "sign_stability_min": or_false(st.sampled_from([0.5, 1.0])),
        "sign": st.sampled_from([{}, {"x1": "+"}, {"x1": "-"}, {"x2:LV@1": "-", "x3": "+"}]),
    },
)
SEARCH = st.fixed_dictionaries(
    {
        "min_terms": st.integers(0, 1),
        "max_terms": st.integers(1, 3),
        "per_variable": st.integers(0, 2),
        "forced": st.sampled_from([[], ["season(4)"], ["x4:DF(1)"], ["x4:LV", "season(12;2,3)"]]),
    }
)
GROUPS = [{"name": "all", "items": ["x1@0..1", "x2@0..1", "x3"]}]
TEST_ROWS = {"train": ["2001-01-31", "2008-12-31"], "test": ["2009-01-31", "2010-12-31"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@pytest.mark.slow
@settings(max_examples=40)
@given(filters=FILTERS, search=SEARCH, seed=st.integers(0, 5))
def test_the_cascade_judges_as_the_evaluation_of_everything_does(
    folder: Path, filters: dict[str, Any], search: dict[str, Any], seed: int
) -> None:
    """Without short cuts each filter is evaluated; with them the verdict, its filter and the survivors' rows are equal."""
    config = world(
        folder, {"data": TEST_ROWS, "search": search, "filters": filters}, GROUPS, table=columns(seed=seed, noise=0.7)
    )
    frame = modelsearch.prepare(config)
    space = Space(config, frame)
    ids = range(space.count())
    full = modelsearch.evaluate(frame, space, config, ids, full=True)
    fast = modelsearch.evaluate(frame, space, config, ids, full=False)
    passed = full["passed"].astype(bool)
    assert full["id"].tolist() == list(ids)
    verdicts = dict(zip(fast["id"].tolist(), zip(fast["passed"].tolist(), fast["failed_at"].tolist()), strict=False))
    wanted = dict(zip(full["id"].tolist(), zip(full["passed"].tolist(), full["failed_at"].tolist()), strict=True))
    assert {i for i, (good, _) in verdicts.items() if good} == {i for i, (good, _) in wanted.items() if good}
    assert {i: wanted[i] for i in verdicts} == verdicts
    survivors = full.take(np.flatnonzero(passed))
    kept = fast.take(np.flatnonzero(fast["passed"].astype(bool)))
    for name in ("r2", "bic", "max_p", "max_vif", "dw", "bg_p", "bp_p", "white_p", "adf_p", "pp_p", "oos_ratio"):
        np.testing.assert_allclose(kept[name], survivors[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.slow
@settings(max_examples=15)
@given(filters=FILTERS, search=SEARCH, chunk=st.integers(1, 40))
def test_a_search_is_the_sum_of_its_funnel_however_it_is_cut(
    folder: Path, filters: dict[str, Any], search: dict[str, Any], chunk: int
) -> None:
    """All that was tried fell somewhere or passed, and one chunk or many find the same rows in the same order."""
    found = []
    for run in ({"chunk": 4096}, {"chunk": chunk}, {"chunk": chunk, "prefetch": "lazy"}):
        sections = {"data": TEST_ROWS, "search": search, "filters": filters, "run": run}
        config = world(folder, sections, GROUPS, table=columns(noise=0.5))
        result = modelsearch.search(config, workers=1, progress="none")
        assert result.tried == result.passed + sum(result.funnel.values())
        found.append(result)
    one, *others = found
    for other in others:
        assert other.ranked["id"].tolist() == one.ranked["id"].tolist()
        assert dict(other.funnel) == dict(one.funnel)
        np.testing.assert_allclose(other.ranked["bic"], one.ranked["bic"], rtol=1e-9)
    assert one.multiplicity.p == pytest.approx(others[0].multiplicity.p, nan_ok=True)


@settings(max_examples=20)
@given(filters=FILTERS, search=SEARCH, data=st.data())
def test_why_says_what_the_search_says(
    folder: Path, filters: dict[str, Any], search: dict[str, Any], data: st.DataObject
) -> None:
    """The explanation of one specification: the same filter, one line a filter in order, by id and by terms."""
    config = world(folder, {"data": TEST_ROWS, "search": search, "filters": filters}, GROUPS)
    frame = modelsearch.prepare(config)
    space = Space(config, frame)
    chosen = data.draw(st.integers(0, space.count() - 1))
    row = modelsearch.evaluate(frame, space, config, [chosen], full=True)
    told = modelsearch.why(frame, space, config, chosen)
    assert (told.id, told.terms, told.passed) == (chosen, space.terms(chosen), bool(row["passed"][0]))
    assert (told.failed_at or "") == (row["failed_at"][0] or "")
    names = [
        "rank",
        "r2",
        "adj_r2",
        "sign",
        "vif",
        "pvalue",
        "group_f",
        "stationary",
        "cointegration",
        "oos",
        "stability",
    ]
    assert [check.name for check in told.checks] == names[: len(told.checks)]
    failed = [check.name for check in told.checks if not check.passed]
    assert (failed[0] if failed else "") == (told.failed_at or "")
    if told.terms:
        again = modelsearch.why(frame, space, config, told.terms)
        assert (again.id, again.failed_at) == (told.id, told.failed_at)
