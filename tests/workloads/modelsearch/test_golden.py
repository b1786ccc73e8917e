"""Every row of the reference tables: verdicts, statistics and order, computed by an independent program.

That program used statsmodels 0.15.0 and arch 8.0.0, one specification at a time, without short cuts.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.workloads.modelsearch.world import GOLDEN

from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch._cascade import assess
from fanwise.workloads.modelsearch._chunks import Finished
from fanwise.workloads.modelsearch._context import context_of
from fanwise.workloads.modelsearch._multiplicity import conclude
from fanwise.workloads.modelsearch._tally import Tally, ranked
from fanwise.workloads.modelsearch._verdicts import RANKED, VERDICTS, lines

TEXT = {"id", "terms", "passed", "failed_at", "reason", "k", "cov", "adf_lags", "wf_skipped", "rank"}
LOOSE = {"coef": 1e-6, "se": 1e-6, "t": 1e-6, "p": 1e-6, "max_p": 1e-6, "white_p": 1e-5}  # where max_vif > 1e4


@pytest.fixture(scope="module", params=GOLDEN)
def golden(request: pytest.FixtureRequest, shared_data: Path) -> tuple[str, Path]:
    return request.param, shared_data / "modelsearch"


@pytest.fixture(scope="module")
def searched(golden: tuple[str, Path]) -> modelsearch.Config:
    name, folder = golden
    return modelsearch.load_config(folder / f"{name}.toml")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def apart(ours: str, theirs: str) -> float:
    """The largest |a − b| / max(1, |b|) of two cells; infinite if they hold different things."""
    if ours == theirs:
        return 0.0
    mine, other = ours.split(";"), theirs.split(";")
    if len(mine) != len(other) or any((a == "") != (b == "") for a, b in zip(mine, other, strict=True)):
        return float("inf")
    pairs = [(float(a), float(b)) for a, b in zip(mine, other, strict=True) if a]
    return max((abs(a - b) / max(1.0, abs(b)) for a, b in pairs), default=0.0)


def compare(ours: dict[str, str], theirs: dict[str, str]) -> None:
    """One row: text equal, numbers within |a − b| ≤ 1e-8·max(1, |b|)."""
    loose = theirs["max_vif"] != "" and float(theirs["max_vif"]) > 1e4
    for name, expected in theirs.items():
        tolerance = 0.0 if name in TEXT else (LOOSE.get(name, 1e-8) if loose else 1e-8)
        far = float(ours[name] != expected) if name in TEXT else apart(ours[name], expected)
        assert far <= tolerance, f"{name} of {theirs['terms']}: {ours[name]} is not {expected}"


def printed(table: modelsearch.VerdictTable, names: tuple[str, ...], frame: modelsearch.Frame) -> list[dict[str, str]]:
    labels = [str(item) for item in frame.items]
    return [dict(zip(names, line.rstrip("\n").split(","), strict=True)) for line in lines(table, names, labels)]


@pytest.mark.slow
def test_every_verdict_is_that_of_the_reference(golden: tuple[str, Path], searched: modelsearch.Config) -> None:
    name, folder = golden
    frame = modelsearch.prepare(searched)
    context = context_of(searched, frame)
    found = assess(context, 0, context.space.count(), full=True)
    expected = rows(folder / f"{name}.verdicts.csv")
    ours = printed(found.table, VERDICTS, frame)
    assert len(ours) == len(expected)
    for mine, theirs in zip(ours, expected, strict=True):
        compare(mine, theirs)


def test_the_cascade_keeps_and_orders_what_the_reference_does(
    golden: tuple[str, Path], searched: modelsearch.Config
) -> None:
    name, folder = golden
    frame = modelsearch.prepare(searched)
    context = context_of(searched, frame)
    tally = Tally()
    tally.add(Finished(assess(context, 0, context.space.count())))
    table, _ = ranked(assess(context, 0, context.space.count()).table, tally, searched.rank)
    table = table.extended(rank=np.arange(1, len(table) + 1))
    expected = rows(folder / f"{name}.ranked.csv")
    assert [str(i) for i in table["id"]] == [row["id"] for row in expected]
    for mine, theirs in zip(printed(table, RANKED, frame), expected, strict=True):
        compare(mine, theirs)


def test_the_summary_is_that_of_the_reference(golden: tuple[str, Path], searched: modelsearch.Config) -> None:
    import json

    name, folder = golden
    expected = json.loads((folder / f"{name}.summary.json").read_text("utf-8"))
    frame = modelsearch.prepare(searched)
    context = context_of(searched, frame)
    found = assess(context, 0, context.space.count())
    assert (len(frame.y), len(frame.y_test), len(frame.items)) == (expected["n"], expected["n_test"], expected["pool"])
    assert [list(pair) for pair in frame.excluded] == expected["excluded"]
    assert [step["fell"] for step in expected["funnel"]] == list(found.fell)
    assert (found.tried, len(found.table)) == (expected["tried"], expected["passed"])
    verdict = conclude(searched.multiplicity, searched.filters.p_max, found.tried, found.best)
    assert verdict.p == expected["multiplicity"]["p"]
    np.testing.assert_allclose(verdict.statistic, expected["multiplicity"]["V"], rtol=1e-8)
    margin = np.abs(found.best.bootstrap - found.best.observed).min()
    np.testing.assert_allclose(margin, expected["multiplicity"]["margin"], rtol=1e-6)
    forced = expected["forced_only"]
    np.testing.assert_allclose(np.sqrt(context.forced_only.mean()), forced["oos_rmse"], rtol=1e-8)
    np.testing.assert_allclose(1 - context.base.y @ context.base.y, forced["r2"], rtol=1e-8)


def test_items_built_as_needed_pass_the_same(searched: modelsearch.Config) -> None:
    lazy = replace(searched, run=replace(searched.run, prefetch="lazy"))
    one, two = (context_of(config, modelsearch.prepare(config)) for config in (searched, lazy))
    ours, theirs = assess(two, 0, two.space.count()), assess(one, 0, one.space.count())
    assert ours.fell == theirs.fell
    np.testing.assert_array_equal(ours.table["id"], theirs.table["id"])
    for name in ("r2", "t", "wf_rmse", "adf_stat", "white_p"):
        np.testing.assert_allclose(ours.table[name], theirs.table[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_rescaled_columns_get_the_same_verdicts(
    golden: tuple[str, Path], searched: modelsearch.Config, factor: float
) -> None:
    from fanwise.workloads.modelsearch._frame import build
    from fanwise.workloads.modelsearch.io import read_table

    table = read_table(searched)
    target = searched.data.target.variable
    rescaled = {n: c if n == target else c * factor for n, c in table.columns.items()}
    one, two = build(searched, table), build(searched, replace(table, columns=rescaled))
    before, after = (context_of(searched, frame) for frame in (one, two))
    count = before.space.count()
    np.testing.assert_array_equal(assess(after, 0, count).failed, assess(before, 0, count).failed)
