"""Whole sweeps of random grids: every number that of a slow calculation which shares no line with the package."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.envelope.naive import Asked, Found, expected

from fanwise.workloads.envelope import Curve, Grid, Sweep, sweep

CROPS = {"WHEA": ["WHEA"], "MAIZ": ["MAIZ"], "both": ["WHEA", "MAIZ"]}
WANTED = ["WHEA", "MAIZ", "both=WHEA+MAIZ"]
AREAS = st.one_of(
    st.sampled_from([0.0, 0.1, 0.2, 0.3, 1.0, 10.0, 100.0, float("nan"), float("inf"), -1.0]),
    st.floats(0.01, 5e5),
)
PRODUCTIONS = st.one_of(st.sampled_from([0.0, 0.1, 1.0, 5.0, float("nan"), -2.0]), st.floats(0.01, 1e6))
SEVERAL = {"comprehensive": ("0", "100"), "commercial": ("20", "100"), "middle": ("33.3", "66.7")}


@st.composite
def grids(draw: st.DrawFn, most: int = 14) -> dict[str, Any]:
    """Arguments of `Grid.from_arrays`: few values, so that yields tie and sums hit targets."""
    count = draw(st.integers(1, most))
    many = {"min_size": count, "max_size": count}
    return {
        "cell": draw(st.lists(st.integers(-50, 10**6), unique=True, **many)),
        "country": draw(st.lists(st.sampled_from(["A", "Ä", "b", ""]), **many)),
        "region": draw(st.lists(st.sampled_from(["A", "North"]), **many)),
        "crops": {
            code: (draw(st.lists(AREAS, **many)), draw(st.lists(PRODUCTIONS, **many))) for code in ("WHEA", "MAIZ")
        },
    }


def swept(columns: dict[str, Any], asked: Asked, **more: Any) -> Sweep:
    return sweep(Grid.from_arrays(**columns), crops=WANTED, **asked.options(), **more)


def agrees(curve: Curve, found: Found) -> None:
    """Counts exactly, numbers to 1e-9; bounds within what 1e-9 of an area means."""
    assert curve.cells == found.cells
    exact = found.exact
    if exact is None:
        assert (curve.status, len(curve), curve.n_cells) == ("empty", 0, 0)
        return
    assert (curve.valid, curve.filtered, curve.n_cells) == (exact.valid, exact.filtered, exact.used)
    assert curve.area_km2 == pytest.approx(exact.targets, rel=1e-9)
    assert (curve.total_area_km2, curve.total_loss) == pytest.approx((exact.total_km2, exact.total), rel=1e-12)
    assert curve.width == pytest.approx(exact.width, rel=1e-9, abs=1e-11)
    for side, bound in (("lower", exact.lower), ("upper", exact.upper)):
        areas, losses = zip(*bound, strict=True)
        assert getattr(curve, f"{side}_area_km2") == pytest.approx(areas, rel=1e-9)
        assert getattr(curve, side) == pytest.approx(losses, rel=1e-8, abs=1e-9 * exact.total)


@settings(max_examples=15)
@given(
    grids(),
    st.sampled_from(["none", "country", "region"]),
    st.sampled_from(["none", "conservative", "standard", "aggressive"]),
    st.sampled_from(["kcal", "mt"]),
    st.sampled_from(["spaced:4", "spaced:2", "at:0.001,0.05,1,400", "compact", "paper"]),
)
def test_every_curve_of_a_sweep_is_that_of_the_definition(
    columns: dict[str, Any], by: str, rule: str, unit: str, points: str
) -> None:
    asked = Asked(by, SEVERAL, "interp", points, rule, unit)
    result = swept(columns, asked)
    wanted = list(expected(columns, CROPS, asked))
    assert [(c, s, t) for (_, c, s, t), _ in result.curves()] == [(f.crop, f.segment, f.tier) for f in wanted]
    for (_, curve), found in zip(result.curves(), wanted, strict=True):
        agrees(curve, found)


@settings(max_examples=25)
@given(
    grids(), st.sampled_from(["none", "standard"]), st.sampled_from(["spaced:3", "at:0.001,0.002,0.003,1", "compact"])
)
def test_whole_cells_are_those_of_the_definition(columns: dict[str, Any], rule: str, points: str) -> None:
    asked = Asked("country", SEVERAL, "step", points, rule, "mt")
    for (_, curve), found in zip(swept(columns, asked).curves(), expected(columns, CROPS, asked), strict=True):
        agrees(curve, found)


@settings(max_examples=15)
@given(grids(), st.sampled_from(["interp", "step"]))
def test_the_table_holds_the_curves(columns: dict[str, Any], method: str) -> None:
    result = swept(columns, Asked("country", SEVERAL, method))
    table, summary = result.table(), result.summary()
    for (place, curve), (_, row) in zip(result.curves(), summary.iterrows(), strict=True):
        assert tuple(row[name] for name in place._fields) == place
        assert row["digest"] == curve.digest
        assert (row["status"], row["used"], row["cells"]) == (curve.status, curve.n_cells, curve.cells)
        mine = table[np.logical_and.reduce([table[name] == value for name, value in place._asdict().items()])]
        assert mine["point"].tolist() == list(range(len(curve)))
        assert mine["upper_kcal"].tolist() == curve.upper.tolist()
        assert mine["lower_area_km2"].tolist() == curve.lower_area_km2.tolist()


@settings(max_examples=15)
@given(grids(), st.data())
def test_no_order_of_rows_or_spelling_of_ids_changes_a_bit(columns: dict[str, Any], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(columns["cell"]))))
    other = {name: [columns[name][i] for i in order] for name in ("country", "region")}
    other["cell"] = [f" {columns['cell'][i]} " for i in order]
    other["crops"] = {c: tuple([half[i] for i in order] for half in pair) for c, pair in columns["crops"].items()}
    plain, turned = (swept(one, Asked("region", SEVERAL)).summary() for one in (columns, other))
    assert plain.equals(turned)


@settings(max_examples=15)
@given(grids(), st.sampled_from(["A", "Ä", "b"]))
def test_a_country_is_the_world_of_its_own_cells(columns: dict[str, Any], country: str) -> None:
    mine = [i for i, name in enumerate(columns["country"]) if name == country]
    if not mine:
        return
    alone = {name: [columns[name][i] for i in mine] for name in ("cell", "country", "region")}
    alone["crops"] = {c: tuple([half[i] for i in mine] for half in pair) for c, pair in columns["crops"].items()}
    asked = Asked("country", SEVERAL, rule="standard")
    whole, part = swept(columns, asked), swept(alone, asked._replace(by="none"))
    for crop in whole.crops:
        for tier in whole.tiers:
            assert whole.curve(crop, country, tier).digest == part.curve(crop, "World", tier).digest


@settings(max_examples=15)
@given(grids())
def test_more_than_is_asked_for_changes_nothing(columns: dict[str, Any]) -> None:
    """Tiers, crops, segments and scenarios beside it leave a curve as it is."""
    alone = sweep(Grid.from_arrays(**columns), crops=["MAIZ"], tiers="commercial", points="spaced:4", progress="none")
    shock = {"scenario": [{"name": "dry", "shock": [{"yield_factor": 0.5}]}]}
    crowd = swept(columns, Asked("country", SEVERAL, rule="standard"), scenarios=shock)
    assert alone.curve("MAIZ", tier="commercial").digest == crowd.curve("MAIZ", tier="commercial").digest


@settings(max_examples=25)
@given(grids(), st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.sampled_from([0.0, 0.25, 1.0, 3.0]), st.booleans())
def test_a_scenario_is_the_run_on_values_that_were_written(
    columns: dict[str, Any], yields: float, areas: float, everywhere: bool
) -> None:
    countries = [name for name in ("A", "b") if name in columns["country"]]
    where = {} if everywhere or not countries else {"countries": countries}
    shock = {"crops": ["wheat"], "yield_factor": yields, "area_factor": areas, **where}
    mine = [not where or name in countries for name in columns["country"]]
    ha, mt = columns["crops"]["WHEA"]
    written = (
        [h * areas if m else h for h, m in zip(ha, mine, strict=True)],
        [(p * yields) * areas if m else p for p, m in zip(mt, mine, strict=True)],
    )
    asked = Asked("country", SEVERAL, rule="standard")
    result = swept(columns, asked, scenarios={"scenario": [{"name": "s", "shock": [shock]}]})
    plain = swept(columns | {"crops": columns["crops"] | {"WHEA": written}}, asked)
    for crop in ("WHEA", "both"):
        for segment in result.segments:
            for tier in result.tiers:
                found = result.curve(crop, segment, tier, scenario="s")
                assert found.digest == plain.curve(crop, segment, tier).digest


@settings(max_examples=25)
@given(grids(most=10), st.floats(0.01, 1.2))
def test_a_threshold_is_crossed_where_the_bound_says(columns: dict[str, Any], share: float) -> None:
    from fanwise.workloads.envelope import crossings

    asked = Asked("country", {"comprehensive": ("0", "100")}, unit="mt", points="spaced:2")
    result = swept(columns, asked)
    total = result.curve("both").total_loss if len(result.curve("both")) else 0.0
    if not total:
        return
    table = [{"crop": "both", "segment": "", "label": "some", "value": repr(share * total), "unit": "mt"}]
    for _, row in crossings(result, table).iterrows():
        curve = result.curve("both", row["segment"])
        assert row["scaled"] == (row["segment"] != "World")
        assert row["threshold_mt"] == pytest.approx(share * curve.total_loss, rel=1e-9)
        if share > 1 + 1e-8:
            assert np.isnan(row["worst_area_km2"])
        elif share < 1 - 1e-8:
            again = sweep(
                result.grid, crops=["both=WHEA+MAIZ"], **asked.options()
                | {"points": f"at:{row['worst_area_km2']!r},{row['best_area_km2']!r}"},
            ).curve("both", row["segment"])  # fmt: skip
            at = dict(zip(again.area_km2.tolist(), zip(again.upper, again.lower, strict=True), strict=True))
            slack = {"rel": 1e-6, "abs": 1e-9 * curve.total_loss}
            for name, bound in (("worst_area_km2", 0), ("best_area_km2", 1)):
                if row[name] in at:
                    assert at[row[name]][bound] == pytest.approx(row["threshold_mt"], **slack)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 9)), min_size=1, max_size=8), st.integers(1, 9))
def test_yield_in_every_part_is_the_width_of_nothing(cells: list[tuple[int, int]], yield_: int) -> None:
    """Equal yields: both bounds are one straight line, whatever the areas."""
    areas = [float(area) for area, _ in cells]
    columns = {"cell": range(len(cells)), "country": ["A"] * len(cells)}
    crops = {"WHEA": (areas, [area * yield_ for area in areas])}
    result = sweep(
        Grid.from_arrays(**columns, crops=crops), unit="mt", points="spaced:7", filter="none", progress="none"
    )
    curve = result.curve("WHEA")
    assert curve.width == 0.0
    line = [float(Fraction(area) * 100 * yield_) for area in curve.area_km2.tolist()]
    assert curve.lower == pytest.approx(line, rel=1e-9)
    assert curve.upper == pytest.approx(line, rel=1e-9)
