"""Risk, bands, draws, comparisons and made-up histories: each against its definition, written out a second time."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.envelope.conftest import small_columns

from fanwise.errors import InputError, UsageError
from fanwise.workloads.envelope import Grid, Sweep, bands, compare, risk, risks, sweep
from fanwise.workloads.envelope._bounds import Polyline, area_at, loss_at
from fanwise.workloads.envelope._risk import History, exceedance, fit
from fanwise.workloads.envelope._thresholds import in_unit, segment_named

HISTORIES = st.lists(st.integers(50, 500), min_size=10, max_size=40)


def exact_line(values: list[int]) -> tuple[Fraction, Fraction]:
    """Intercept at the first year and slope, by least squares."""
    n = len(values)
    mean_x, mean_y = Fraction(n - 1, 2), Fraction(sum(values), n)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in enumerate(values)) / sum((x - mean_x) ** 2 for x in range(n))
    return mean_y - slope * mean_x, slope


def swept(seed: int = 0, **options: Any) -> Sweep:
    asked = {"crops": ["WHEA"], "unit": "mt", "points": "spaced:4", "progress": "none", "workers": 1}
    return sweep(Grid.from_arrays(**small_columns(seed)), **(asked | options))


class TestRisk:
    @given(HISTORIES, st.integers(1900, 2000))
    def test_a_fit_is_the_least_squares_line_and_its_relative_shocks(self, values: list[int], first: int) -> None:
        history = History("WHEA", tuple(range(first, first + len(values))), tuple(map(float, values)), "mt")
        begin, slope = exact_line(values)
        line = [begin + slope * x for x in range(len(values))]
        if any(value == 0 for value in line):
            return
        shocks = [float((y - f) / f) for y, f in zip(values, line, strict=True)]
        found = fit(history)
        assert found.shocks == pytest.approx(shocks, rel=1e-9, abs=1e-12)
        assert found.sigma == pytest.approx(statistics.pstdev(shocks), rel=1e-9, abs=1e-12)
        assert found.p_now == pytest.approx(float(line[-1]), rel=1e-9)
        assert found.intercept + found.slope * first == pytest.approx(float(begin), rel=1e-6)
        assert found.scale == pytest.approx(found.sigma * found.p_now / -math.log(0.32), rel=1e-12)

    @given(st.integers(1, 50), st.integers(0, 20), st.integers(10, 30))
    def test_a_history_on_a_line_has_no_shocks(self, start: int, step: int, years: int) -> None:
        values = tuple(float(start + step * year) for year in range(years))
        assert fit(History("X", tuple(range(years)), values, "mt")).sigma == pytest.approx(0.0, abs=1e-12)

    def test_a_line_through_nothing_has_no_relative_shocks(self) -> None:
        with pytest.raises(InputError, match="straight line is 0 in some year"):
            fit(History("X", tuple(range(11)), (0.0,) * 11, "mt"))

    @given(st.floats(0, 1e12), st.floats(1, 1e12))
    def test_probabilities_fall_from_one(self, loss: float, scale: float) -> None:
        low, high = exceedance(np.array([loss, loss * 2 + 1]), scale).tolist()
        assert 0.0 <= high <= low <= 1.0
        assert exceedance(np.array([0.0]), scale).tolist() == [1.0]
        assert low == pytest.approx(math.exp(-loss / scale), rel=1e-12)

    @settings(max_examples=10)
    @given(HISTORIES, st.integers(0, 99), st.integers(1, 40))
    def test_bands_are_quantiles_over_replicates_of_their_own(self, values: list[int], seed: int, count: int) -> None:
        result = swept()
        history = (History("wheat", tuple(range(len(values))), tuple(map(float, values)), "1000mt"),)
        fits = risks(result, history)
        table = risk(result, fits, bootstrap=count, seed=seed)
        found = fits["WHEA"]
        scales = []
        for replicate in range(count):
            drawn = np.random.default_rng([seed, replicate]).choice(found.shocks, len(values))
            scales.append(statistics.pstdev(drawn.tolist()) * found.p_now / -math.log(0.32))
        assert found.p_now == pytest.approx(
            1000 * float(sum(exact_line(values)[0:1]) + exact_line(values)[1] * (len(values) - 1))
        )
        for _, row in table.iterrows():
            loss = row["upper_mt"]
            each = [math.exp(-loss / s) if s > 0 else 0.0 for s in scales]
            wanted = [float(np.quantile(each, q)) for q in (0.025, 0.5, 0.975)]
            assert [row[name] for name in ("p_low", "p_median", "p_high")] == pytest.approx(
                wanted, rel=1e-6, abs=1e-300
            )
        assert set(table["tier"]) == {"comprehensive", "commercial"}

    def test_without_replicates_there_are_no_bands(self) -> None:
        history = (History("WHEA", tuple(range(12)), tuple(100.0 + y % 5 for y in range(12)), "mt"),)
        result = swept()
        table = risk(result, risks(result, history), bootstrap=0)
        assert table[["p_low", "p_median", "p_high"]].isna().all(axis=None)
        assert table["p"].between(0, 1).all()
        with pytest.raises(UsageError, match="bootstrap -1"):
            risk(result, {}, bootstrap=-1)


class TestBands:
    @pytest.mark.parametrize("method", ["interp", "step"])
    @pytest.mark.parametrize("filter", ["none", "standard"])
    def test_a_replicate_is_a_run_on_production_times_its_factors(self, method: str, filter: str) -> None:
        """z: a value for each cell in the order of ids and crop in the order of the grid."""
        columns, cv, seed = small_columns(4), 0.3, 11
        asked = {"method": method, "filter": filter, "unit": "mt", "tiers": "comprehensive", "progress": "none"}
        base = sweep(Grid.from_arrays(**columns), points="spaced:5", **asked)
        z = np.random.default_rng([seed, 0]).standard_normal((30, 2))
        s2 = math.log1p(cv * cv)
        other = dict(columns)
        other["crops"] = {
            code: (ha, mt * np.exp(math.sqrt(s2) * z[:, place] - s2 / 2))
            for place, (code, (ha, mt)) in enumerate(columns["crops"].items())  # type: ignore[attr-defined]
        }
        table = bands(base, 1, yield_cv=cv, seed=seed, progress="none")
        for crop in base.crops:
            targets = base.curve(crop).area_km2
            moved = sweep(
                Grid.from_arrays(**other), points="at:" + ",".join(map(repr, targets.tolist())), **asked
            ).curve(crop)
            known = dict(zip(moved.area_km2.tolist(), zip(moved.lower, moved.upper, strict=True), strict=True))
            for _, row in table[table["crop"] == crop].iterrows():
                want = known.get(row["area_km2"], (moved.total_loss, moved.total_loss))
                for name, value in zip(("lower", "upper"), want, strict=True):
                    assert [row[f"{name}_q{q}"] for q in ("025", "500", "975")] == pytest.approx([value] * 3, rel=1e-9)

    @settings(max_examples=10)
    @given(st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
    def test_quantiles_are_in_order_and_of_the_targets(self, count: int, cv: float, seed: int) -> None:
        result = swept(by="country")
        table = bands(result, count, yield_cv=cv, seed=seed, progress="none")
        assert table["area_km2"].tolist() == result.table()["area_km2"].tolist()
        for bound in ("lower", "upper"):
            low, middle, high = (table[f"{bound}_{q}"] for q in ("q025", "q500", "q975"))
            assert (low <= middle).all()
            assert (middle <= high).all()

    @pytest.mark.parametrize(("count", "cv"), [(0, 0.1), (1, -0.1), (1, float("nan")), (1, float("inf"))])
    def test_what_cannot_be(self, count: int, cv: float) -> None:
        with pytest.raises(UsageError, match="expected a count ≥ 1 and a finite number ≥ 0"):
            bands(swept(), count, yield_cv=cv)


class TestDraws:
    @pytest.mark.parametrize("by", ["country", "region", "world"])
    def test_a_draw_is_one_factor_a_crop_and_segment(self, by: str) -> None:
        columns, cv, seed, index = small_columns(2), 0.4, 5, 3
        draw = {"generate": [{"name": "m", "count": 5, "seed": seed, "yield_cv": cv, "by": by}]}
        grid = Grid.from_arrays(**columns)
        names = {"country": grid.countries, "region": grid.regions, "world": ("",)}[by]
        z = np.random.default_rng([seed, index]).standard_normal((2, len(names)))
        s2 = math.log1p(cv * cv)
        factor = np.exp(math.sqrt(s2) * z - s2 / 2)
        other = dict(columns)
        other["crops"] = {}
        for place, (code, (ha, mt)) in enumerate(columns["crops"].items()):  # type: ignore[attr-defined]
            labels = [""] * 30 if by == "world" else columns[by]
            each = [factor[place, names.index(n)] if n in names else 1.0 for n in labels]
            other["crops"][code] = (ha, mt * np.array(each))
        asked = {"points": "spaced:5", "by": "country", "progress": "none"}
        drawn = sweep(grid, scenarios=draw, **asked)
        plain = sweep(Grid.from_arrays(**other), **asked)
        for crop in drawn.crops:
            assert drawn.curve(crop, scenario="m-0003").digest == plain.curve(crop).digest

    def test_a_thousand_have_a_name_each_and_do_not_depend_on_their_number(self) -> None:
        def draws(count: int) -> dict[str, Any]:
            return {"generate": [{"name": "m", "count": count, "seed": 1, "yield_cv": 0.1, "by": "world"}]}

        few, many = (swept(scenarios=draws(count), tiers="comprehensive", points="spaced:2") for count in (3, 30))
        assert many.scenarios[:4] == ("baseline", "m-0000", "m-0001", "m-0002")
        for name in few.scenarios:
            assert few.curve("WHEA", scenario=name).digest == many.curve("WHEA", scenario=name).digest


class TestPolylines:
    CELLS = st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), min_size=1, max_size=8)

    @given(CELLS, st.fractions(0, 1))
    def test_loss_and_area_are_each_others_inverse(self, cells: list[tuple[int, int]], share: Fraction) -> None:
        areas, losses = np.array(cells, dtype=np.float64).T
        line = Polyline.of(areas, losses)
        loss = float(share) * float(line.loss[-1])
        area = area_at(line, loss)
        assert area is not None
        assert float(loss_at(line, np.array([area]))[0]) == pytest.approx(loss, rel=1e-9, abs=1e-9)

    @given(CELLS)
    def test_corners_are_exact(self, cells: list[tuple[int, int]]) -> None:
        areas, losses = np.array(cells, dtype=np.float64).T
        line = Polyline.of(areas, losses)
        assert loss_at(line, line.area_km2).tolist() == line.loss.tolist()
        assert area_at(line, float(line.loss[-1]) * 1.001) is None


class TestComparisons:
    @settings(max_examples=15)
    @given(st.integers(0, 29), st.floats(0.1, 500))
    def test_changes_are_those_of_the_summaries(self, cell: int, value: float) -> None:
        columns = small_columns()
        old = swept(by="country", filter="none")
        columns["crops"]["WHEA"][1][cell] = value  # type: ignore[index]
        new = sweep(
            Grid.from_arrays(**columns), crops=["WHEA"], unit="mt", points="spaced:4", by="country", filter="none",
            progress="none",
        )  # fmt: skip
        before, after = (one.summary().set_index(["segment", "tier"]) for one in (old, new))
        for _, row in compare(old, new).iterrows():
            was, now = (one.loc[(row["segment"], row["tier"])] for one in (before, after))
            assert (row["change"] == "unchanged") == (was["digest"] == now["digest"])
            if row["change"] == "changed":
                share = 100 * (now["production_mt"] / was["production_mt"] - 1)
                assert row["production_change_pct"] == pytest.approx(share, rel=1e-9, abs=1e-9)
                assert row["width_change"] == pytest.approx(now["width"] - was["width"], rel=1e-9, abs=1e-12)
                assert row["max_rel_diff"] >= 0

    def test_there_and_back_are_mirror_images(self) -> None:
        old, new = swept(by="country"), swept(by="region")
        forth, back = compare(old, new), compare(new, old)
        turned = {"added": "removed", "removed": "added"}
        assert {(r["segment"], turned.get(r["change"], r["change"])) for _, r in forth.iterrows()} == {
            (r["segment"], r["change"]) for _, r in back.iterrows()
        }


class TestUnits:
    @given(st.floats(1e-3, 1e9), st.floats(0.1, 9))
    def test_a_thousand_tons_are_a_billion_grams(self, value: float, kcal: float) -> None:
        assert in_unit(value, "1000mt", "kcal", kcal) == pytest.approx(value * 1e9 * kcal, rel=1e-12)
        assert in_unit(value, "1000mt", "mt", kcal) == pytest.approx(value * 1000, rel=1e-12)
        there = in_unit(value, "mt", "kcal", kcal)
        assert in_unit(there, "kcal", "mt", kcal) == pytest.approx(value, rel=1e-12)
        assert in_unit(value, "kcal", "kcal", kcal) == value

    def test_segments_are_found_exactly_first(self) -> None:
        columns = small_columns() | {"country": ["ab", "AB", "Ab"] * 10}
        result = sweep(Grid.from_arrays(**columns), by="country", points="spaced:2", progress="none")
        assert [segment_named(name, result) for name in ("ab", "AB", "aB", "zz", "", "world")] == [
            "ab", "AB", "ab", "zz", "World", "World",
        ]  # fmt: skip
