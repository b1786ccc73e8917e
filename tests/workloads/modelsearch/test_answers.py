"""Single specifications: why one fell, a second opinion, exports, forecasts, the picture of the funnel."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.diagnostic import linear_reset
from statsmodels.stats.stattools import jarque_bera
from tests.workloads.modelsearch import reference
from tests.workloads.modelsearch.world import columns, evaluated, month_ends, with_test, world, write_csv

from fanwise.errors import InputError, UsageError
from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch._export import as_object, exported, forecast_csv
from fanwise.workloads.modelsearch._filters import FILTERS
from fanwise.workloads.modelsearch._funnel import page, picture
from fanwise.workloads.modelsearch._multiplicity import Multiplicity
from fanwise.workloads.modelsearch._verify import verify_rows

GROUPS = [{"name": "all", "items": ["x1@0..1", "x2@0..1", "x3", "x4"]}]
LENIENT = {"filters": {"r2_min": 0.1, "p_max": 0.4}}


def asked(folder: Path, terms: str, sections: dict[str, Any] | None = None, table: Any = None) -> modelsearch.Verdict:
    config = world(folder, sections, GROUPS, table=table)
    frame = modelsearch.prepare(config)
    return modelsearch.why(frame, modelsearch.Space(config, frame), config, terms)


def check(verdict: modelsearch.Verdict, name: str) -> modelsearch.Check:
    return next(check for check in verdict.checks if check.name == name)


FALLS = {
    "r2": {"r2_min": 0.999},
    "adj_r2": {"r2_min": False, "adj_r2_min": 0.999},
    "sign": {"r2_min": False, "sign": {"x1": "-"}},
    "vif": {"r2_min": False, "vif_max": 1.0},
    "pvalue": {"r2_min": False, "p_max": 1e-290},
    "group_f": {"r2_min": False, "group_p_max": 1e-290},
    "stationary": {"r2_min": False, "group_p_max": False, "stationary_p": 1e-290},
    "cointegration": {"r2_min": False, "group_p_max": False, "cointegration": 1e-290},
    "oos": {"r2_min": False, "group_p_max": False, "oos_ratio_max": 1e-9},
    "stability": {"r2_min": False, "group_p_max": False, "sign_stability_min": 1.5},
}


@pytest.mark.parametrize("filter", FALLS)
def test_a_specification_that_falls_is_explained_at_each_filter(tmp_path: Path, filter: str) -> None:
    sections = {**with_test(), "filters": FALLS[filter], "search": {"forced": ["season(4)"]}}
    verdict = asked(tmp_path, "x1;x2@1", sections)
    assert [c.name for c in verdict.checks] == list(FILTERS)
    assert (verdict.passed, verdict.failed_at) == (False, filter)
    failing = check(verdict, filter)
    assert not failing.passed
    assert failing.threshold
    assert all(c.passed for c in verdict.checks[: FILTERS.index(filter)])


def test_a_collinear_specification_names_its_items(tmp_path: Path) -> None:
    table = columns()
    table["x3"] = 2 * table["x1"] - 1
    verdict = asked(tmp_path, "x1;x2@1;x3", None, table)
    assert (verdict.failed_at, verdict.reason) == ("rank", "collinear")
    assert check(verdict, "rank").reason == "collinear: x1:LV, x3:LV"
    assert {c.reason for c in verdict.checks[1:]} == {"not estimable"}
    assert verdict.information == {}
    assert {(n.change, n.item) for n in verdict.neighbours} >= {("remove", "x1:LV"), ("remove", "x3:LV")}


def test_the_worst_p_value_names_item_covariance_and_reason(tmp_path: Path) -> None:
    verdict = asked(tmp_path, "x1;x4", {"filters": {"r2_min": False}})
    found = check(verdict, "pvalue")
    assert found.reason.startswith("x4:LV; nonrobust covariance, since no sign of autocorrelation")
    fixed = asked(tmp_path, "x1;x4", {"filters": {"r2_min": False, "cov": "HAC(2)"}})
    assert check(fixed, "pvalue").reason == "x4:LV; HAC(2) covariance, as configured"


def test_the_reason_for_a_robust_covariance_is_given(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    table = columns()
    table["y"] = table["x1"] + 3 * np.abs(table["x1"]) * rng.standard_normal(120)
    crooked = asked(tmp_path, "x1", {"filters": {"r2_min": False}}, table)
    assert "HC1 covariance, since the residuals are heteroscedastic" in check(crooked, "pvalue").reason
    table["y"] = table["x1"] + np.cumsum(rng.standard_normal(120))
    slow = asked(tmp_path, "x1", {"filters": {"r2_min": False}}, table)
    assert "HAC(3) covariance, since the residuals are autocorrelated: Durbin–Watson" in check(slow, "pvalue").reason


def test_wrong_signs_are_listed_with_their_coefficients(tmp_path: Path) -> None:
    verdict = asked(tmp_path, "x1;x2@1", {"filters": {"r2_min": False, "sign": {"x1": "-", "x2:LV@1": "-"}}})
    found = check(verdict, "sign")
    assert found.threshold == "2 demanded"
    assert found.reason.startswith("x1:LV is 0.")
    assert found.reason.endswith("wanted -")


@pytest.mark.parametrize("test", ["adf", "pp", "adf-or-pp", "adf-and-pp"])
def test_the_unit_root_tests_are_both_shown(tmp_path: Path, test: str) -> None:
    verdict = asked(tmp_path, "x1", {"filters": {"stationary": test}})
    found = check(verdict, "stationary")
    assert found.reason.startswith(f"{test}: ADF p ")
    row = verdict.row
    expected = {
        "adf": row["adf_p"],
        "pp": row["pp_p"],
        "adf-or-pp": min(row["adf_p"], row["pp_p"]),
        "adf-and-pp": max(row["adf_p"], row["pp_p"]),
    }
    assert found.statistic == float(expected[test][0] if np.ndim(expected[test]) else expected[test])


def test_what_there_is_not_cannot_fail(tmp_path: Path) -> None:
    filters = {"r2_min": False, "cointegration": 0.05, "sign_stability_min": 0.9, "p_max": 0.1}
    verdict = asked(tmp_path, "", {"filters": filters, "search": {"min_terms": 0}})
    assert verdict.terms == ""
    assert verdict.row["k"].tolist() == [1]
    for name in ("vif", "pvalue", "group_f", "cointegration", "stability"):
        found = check(verdict, name)
        assert (found.passed, found.reason, found.statistic) == (True, "nothing to test", None)


def test_a_filter_that_is_off_shows_its_number_all_the_same(tmp_path: Path) -> None:
    found = check(asked(tmp_path, "x1", {"filters": {"r2_min": False, "stationary": False}}), "r2")
    assert (found.threshold, found.reason) == ("", "switched off")
    assert 0 < found.statistic < 1


def test_neighbours_are_all_single_changes_that_pass(tmp_path: Path) -> None:
    config = world(tmp_path, LENIENT, GROUPS)
    frame = modelsearch.prepare(config)
    space = modelsearch.Space(config, frame)
    passed = {i for i, good in enumerate(evaluated(config)["passed"]) if good}
    fell = next(i for i in range(space.count()) if i not in passed and len(space.unrank(i)) == 2)
    expected = set()
    for i in passed:
        difference = set(space.unrank(i)) ^ set(space.unrank(fell))
        if len(difference) == 1:
            change = "remove" if difference & set(space.unrank(fell)) else "add"
            expected.add((change, str(space.items[difference.pop()]), i))
    verdict = modelsearch.why(frame, space, config, fell)
    assert {(n.change, n.item, n.id) for n in verdict.neighbours} == expected
    assert modelsearch.why(frame, space, config, min(passed)).neighbours == ()


def test_a_specification_without_neighbours_has_none(tmp_path: Path) -> None:
    groups = [{"name": "only", "items": ["x1"], "pick": [1, 1]}]
    config = world(tmp_path, {"filters": {"r2_min": 0.999}, "search": {"max_terms": 1}}, groups)
    frame = modelsearch.prepare(config)
    assert modelsearch.why(frame, modelsearch.Space(config, frame), config, 0).neighbours == ()


def test_information_is_that_of_statsmodels(tmp_path: Path) -> None:
    config = world(tmp_path, LENIENT, GROUPS)
    frame = modelsearch.prepare(config)
    space = modelsearch.Space(config, frame)
    found = modelsearch.why(frame, space, config, "x1;x2@1").information
    raw = np.column_stack([frame.X[:, frame.names.index(n)] for n in ("x1:LV", "x2:LV@1")])
    fit = sm.OLS(frame.y, sm.add_constant(raw)).fit()
    jb, jb_p, skew, kurtosis = jarque_bera(fit.resid)
    np.testing.assert_allclose(
        [found[n] for n in ("jarque_bera", "jarque_bera_p", "skew", "kurtosis")], [jb, jb_p, skew, kurtosis], rtol=1e-8
    )
    reset = linear_reset(fit, power=3, use_f=True)
    np.testing.assert_allclose(
        [found["reset_f"], found["reset_p"]], [float(reset.fvalue), float(reset.pvalue)], rtol=1e-6
    )
    np.testing.assert_allclose(found["condition_number"], fit.condition_number, rtol=1e-8)
    n, k, half = len(frame.y), 3, len(frame.y) // 2
    parts = sum(
        sm.OLS(frame.y[rows], sm.add_constant(raw[rows])).fit().ssr for rows in (slice(0, half), slice(half, n))
    )
    chow = (fit.ssr - parts) / k / (parts / (n - 2 * k))
    np.testing.assert_allclose([found["chow_f"], found["chow_p"]], [chow, stats.f.sf(chow, k, n - 2 * k)], rtol=1e-8)


def test_a_half_that_cannot_be_fitted_has_no_chow_test(tmp_path: Path) -> None:
    table = columns()
    table["x3"] = np.concatenate([np.ones(60), table["x3"][60:]])
    assert np.isnan(asked(tmp_path, "x1;x3", None, table).information["chow_f"])


def test_an_unknown_specification_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="x9:LV is not in the pool"):
        asked(tmp_path, "x9")


def test_the_second_opinion_agrees(tmp_path: Path) -> None:
    sections = {**LENIENT, **with_test(), "search": {"forced": ["season(4)"]}}
    config = world(tmp_path, sections, GROUPS)
    frame = modelsearch.prepare(config)
    space = modelsearch.Space(config, frame)
    rows = modelsearch.evaluate(frame, space, config, [0, 7, 20], full=True)
    found = modelsearch.verify(frame, space, config, rows, 2)
    assert found.rows == 2
    assert found.max_rel < 1e-9
    assert found.worst[0] in {0, 7}


def test_the_second_opinion_notices_a_wrong_digit(tmp_path: Path) -> None:
    config = world(tmp_path, LENIENT, GROUPS)
    frame = modelsearch.prepare(config)
    rows = modelsearch.evaluate(frame, modelsearch.Space(config, frame), config, [5, 6], full=True)
    bent = rows.extended(adf_stat=rows["adf_stat"] + np.array([0.0, 1e-3]))
    found = verify_rows(frame, config, bent)
    assert found.worst == (6, "adf_stat")
    assert 1e-5 < found.max_rel < 1e-2
    missing = verify_rows(frame, config, rows.extended(dw=np.full(2, np.nan)))
    assert missing.max_rel == np.inf


def test_without_statsmodels_the_second_opinion_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = world(tmp_path, LENIENT, GROUPS)
    frame = modelsearch.prepare(config)
    rows = modelsearch.evaluate(frame, modelsearch.Space(config, frame), config, [5], full=True)
    monkeypatch.setitem(sys.modules, "statsmodels.api", None)
    with pytest.raises(UsageError, match="--verify needs statsmodels"):
        verify_rows(frame, config, rows)


@pytest.mark.parametrize("rows", [5, 8, 10])
def test_what_statsmodels_cannot_test_in_a_few_rows_is_left_out_of_a_verification(tmp_path: Path, rows: int) -> None:
    """Twelve lags of residuals in ten rows, or a regression of the unit root test that fits exactly."""
    train = {"data": {"train": ["2001-01-31", month_ends(rows)[-1]]}, "search": {"max_terms": 2}}
    filters = {"autocorrelation": {"bg_lags": 12}, "r2_min": False, "p_max": False, "stationary": False}
    config = world(tmp_path, {**train, "filters": filters}, [{"name": "g", "items": ["x1", "x2"]}])
    frame = modelsearch.prepare(config)
    space = modelsearch.Space(config, frame)
    table = modelsearch.evaluate(frame, space, config, range(space.count()), full=True)
    assert modelsearch.verify(frame, space, config, table, 3).max_rel < 1e-8


def test_the_constant_alone_can_be_verified(tmp_path: Path) -> None:
    config = world(tmp_path, {"search": {"min_terms": 0}, "rank": {"walk_forward": False}}, GROUPS)
    frame = modelsearch.prepare(config)
    rows = modelsearch.evaluate(frame, modelsearch.Space(config, frame), config, [0, 1], full=True)
    assert verify_rows(frame, config, rows).max_rel < 1e-9


ODD = {
    "search": {"forced": ["season(4)", "x4:DF(1)"], "max_terms": 2},
    "data": {"alias": {"u": 'odd: "name", (%)'}, "target": "y:DF(1)"},
    "filters": {"cov": "HAC(2)"},
}


@pytest.mark.slow
@pytest.mark.parametrize("cov", ["HAC(2)"])
def test_the_exported_script_fits_the_same_model(tmp_path: Path, cov: str) -> None:
    table = columns()
    table['odd: "name", (%)'] = np.exp(table.pop("x3") / 4)
    table["x1"][40] = np.nan
    groups = [{"name": "all", "items": ["x1:AVG(2)@1", "u:DLOG(1),GR(2),LOG"]}]
    config = world(tmp_path, {**ODD, "filters": {"cov": cov}}, groups, table=table)
    frame = modelsearch.prepare(config)
    space = modelsearch.Space(config, frame)
    row = modelsearch.evaluate(frame, space, config, [space.find("x1:AVG(2)@1;u:DLOG(1)")], full=True)
    script = exported("python", frame, config, row).replace(
        "print(fit.summary())", "print(list(fit.params), list(fit.bse))"
    )
    assert len(script.splitlines()) <= 12
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    params, bse = (
        np.array(json.loads(part))
        for part in done.stdout.replace("np.float64(", "").replace(")", "").replace("] [", "]|[").strip().split("|")
    )
    np.testing.assert_allclose(params, [row["const"][0], *row["coef"][0]], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(bse[1:], row["se"][0], rtol=1e-7)


@pytest.mark.parametrize(
    ("cov", "says"), [("HC1", 'cov_type="HC1", use_t=True'), ("nonrobust", 'cov_type="nonrobust"')]
)
def test_the_script_asks_for_the_covariance_of_the_verdict(tmp_path: Path, cov: str, says: str) -> None:
    config = world(tmp_path, {"filters": {"cov": cov}}, GROUPS)
    frame = modelsearch.prepare(config)
    row = modelsearch.evaluate(frame, modelsearch.Space(config, frame), config, [0], full=True)
    assert says in exported("python", frame, config, row)


@pytest.mark.parametrize("prefix", ["season(5)", "season(12)"])
def test_the_script_knows_every_kind_of_season(tmp_path: Path, prefix: str) -> None:
    config = world(tmp_path, {"search": {"forced": [prefix]}}, GROUPS)
    frame = modelsearch.prepare(config)
    row = modelsearch.evaluate(frame, modelsearch.Space(config, frame), config, [0], full=True)
    script = exported("python", frame, config, row)
    assert ("np.arange(len(d)) % 5" in script) == (prefix == "season(5)")


def test_exports_hold_the_row_the_object_and_the_recipes(tmp_path: Path) -> None:
    config = world(tmp_path, {"search": {"forced": ["x4:DF(1)"]}}, [{"name": "g", "items": ["x1@1", "x2"]}])
    frame = modelsearch.prepare(config)
    space = modelsearch.Space(config, frame)
    row = modelsearch.evaluate(frame, space, config, [space.find("x1@1;x2")], full=True)
    header, line = exported("csv", frame, config, row).splitlines()
    assert dict(zip(header.split(","), line.split(","), strict=True))["terms"] == "x1:LV@1;x2:LV"
    found = json.loads(exported("json", frame, config, row))
    assert list(found["coef"]) == ["x1:LV@1", "x2:LV", "x4:DF(1)"]
    assert found["coef"]["x2:LV"] == float(row["coef"][0, 1])
    assert found["group_p"] is None
    assert as_object(frame, row) == found
    recipes = json.loads(exported("recipes", frame, config, row))
    assert [r["item"] for r in recipes] == ["x1:LV@1", "x2:LV", "x4:DF(1)"]
    assert recipes[0] | {"source_hash": ""} == {
        "item": "x1:LV@1",
        "column": "x1",
        "transform": "LV",
        "parameter": None,
        "lag": 1,
        "source_hash": "",
    }


def future(folder: Path, name: str, rows: int = 6, missing: int | None = None) -> tuple[Path, dict[str, np.ndarray]]:
    whole = columns(120 + rows, seed=1)
    ahead = {key: column[120:].copy() for key, column in whole.items()}
    if missing is not None:
        ahead["x2"][missing] = np.nan
    return write_csv(folder / f"{name}.csv", month_ends(120 + rows)[120:], ahead), whole


def searched(folder: Path, sections: dict[str, Any]) -> tuple[modelsearch.Config, modelsearch.Result]:
    table = {key: column[:120] for key, column in columns(126, seed=1).items()}
    config = world(folder, sections, GROUPS, table=table)
    return config, modelsearch.search(config, workers=1, progress="none")


def test_a_forecast_is_statsmodels_predict(tmp_path: Path) -> None:
    config, result = searched(tmp_path, {**LENIENT, "search": {"forced": ["season(4)", "x4:DF(1)"]}})
    path, whole = future(tmp_path, "next")
    found = modelsearch.forecast(config, result.ranked, path, top=3)
    frame = modelsearch.prepare(config)
    assert list(found) == result.ranked["id"][:3].tolist()
    later = modelsearch.prepare(
        world(
            tmp_path,
            {
                **LENIENT,
                "search": {"forced": ["season(4)", "x4:DF(1)"]},
                "data": {"train": ["2001-01-31", "2011-06-30"]},
            },
            GROUPS,
            table=whole,
        )
    )
    for i, terms in zip(found, result.ranked["terms"], strict=False):
        names = [*str(terms).split(";"), *frame.fixed_names]
        past = np.column_stack([frame.X[:, frame.names.index(name)] for name in names])
        ahead = np.column_stack([later.X[:, later.names.index(name)] for name in names])[-6:]
        fit = sm.OLS(frame.y, reference.design(past, past)).fit()
        np.testing.assert_allclose(found[i], fit.predict(reference.design(ahead, past)), rtol=1e-10)


def test_scenarios_are_independent_of_each_other(tmp_path: Path) -> None:
    config, result = searched(tmp_path, LENIENT)
    one, _ = future(tmp_path, "base")
    two, _ = future(tmp_path, "severe", rows=3)
    both = modelsearch.forecast(config, result.ranked, {"base": one, "severe": two}, top=2)
    assert list(both) == ["base", "severe"]
    alone = modelsearch.forecast(config, result.ranked, two, top=2)
    for i, column in alone.items():
        np.testing.assert_array_equal(both["severe"][i], column)


def test_a_missing_input_leaves_its_cell_empty_and_no_other(tmp_path: Path) -> None:
    config, result = searched(tmp_path, LENIENT)
    path, _ = future(tmp_path, "next", missing=2)
    found = modelsearch.forecast(config, result.ranked, path, top=len(result.ranked))
    for i, terms in zip(found, result.ranked["terms"], strict=True):
        empty = np.flatnonzero(np.isnan(found[i])).tolist()
        assert empty == sorted({2 + int(t.endswith("@1")) for t in str(terms).split(";") if t.startswith("x2")})


def test_a_forecast_as_csv_has_a_column_for_each_id_and_their_mean() -> None:
    table = {
        "base": {3: np.array([1.0, np.nan]), 9: np.array([2.0, 4.0])},
        "severe": {3: np.array([0.5]), 9: np.array([0.25])},
    }
    times = [["2010-01-31", "2010-02-28"], ["2010-01-31"]]
    assert forecast_csv(times, table, named=True).splitlines() == [
        "scenario,time,id_3,id_9,mean",
        "base,2010-01-31,1,2,1.5",
        "base,2010-02-28,,4,",
        "severe,2010-01-31,0.5,0.25,0.375",
    ]
    assert forecast_csv(times[:1], {"": table["base"]}, named=False).splitlines()[:2] == [
        "time,id_3,id_9,mean",
        "2010-01-31,1,2,1.5",
    ]


class Page(HTMLParser):
    """Tags, addresses and the numbers shown."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_funnel_page_needs_no_network_and_adds_up(tmp_path: Path) -> None:
    config = world(tmp_path, {**LENIENT, **with_test()}, GROUPS)
    result = modelsearch.search(config, workers=1, progress="none", out=tmp_path / "out")
    text = (tmp_path / "out" / "funnel.html").read_text("utf-8")
    parsed = Page()
    parsed.feed(text)
    assert parsed.addresses == []
    assert "script" not in parsed.tags
    assert parsed.tags.count("h1") == 1
    assert "default-src 'none'" in text
    left = [t for t in parsed.texts if t.endswith(" left") or " left, " in t]
    fell = [int(t.split(", ")[-1].split()[0].replace(",", "")) for t in left if " fell" in t]
    assert sum(fell) + result.passed == result.tried
    assert "pass by chance" in text


def test_the_picture_is_the_same_every_time_and_names_are_escaped() -> None:
    funnel = dict.fromkeys(FILTERS, 0) | {"r2": 7, "pvalue": 2}
    one = picture(funnel, 10)
    assert one == picture(funnel, 10)
    assert one.count("<rect") == 2 * (len(FILTERS) + 1)
    empty = modelsearch.VerdictTable({})
    verdict = Multiplicity("none", 10, None, None, 0.1, 1.0)
    text = page("<script>alert(1)</script>", funnel, verdict, (empty, empty), [])
    assert "<script>" not in text
    assert "10 specifications, 1 passed" in text
    assert picture(dict.fromkeys(FILTERS, 0), 0)


def test_reading_a_verdict_table_that_lacks_terms_is_an_error(tmp_path: Path) -> None:
    config, result = searched(tmp_path, LENIENT)
    path, _ = future(tmp_path, "next")
    bare = modelsearch.VerdictTable({n: c for n, c in result.ranked.columns.items() if n != "terms"})
    with pytest.raises(KeyError, match="terms"):
        modelsearch.forecast(config, bare, path)


def test_a_configuration_may_be_given_as_a_path(tmp_path: Path) -> None:
    config = world(tmp_path, LENIENT, GROUPS)
    assert modelsearch.plan(config.path).count == modelsearch.plan(config).count
    assert len(modelsearch.prepare(str(config.path)).y) == 95
    assert replace(config, path=Path("other")).data == config.data
