"""Thresholds, events, histories, comparisons, pictures and pages."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workloads.envelope.conftest import Write, small_columns

from fanwise.errors import InputError, UsageError
from fanwise.workloads.envelope import Grid, bounds, compare, crossings, risk, risks, sweep
from fanwise.workloads.envelope._bounds import Polyline, area_at, loss_at
from fanwise.workloads.envelope._crops import Crop
from fanwise.workloads.envelope._events import outside, read_events
from fanwise.workloads.envelope._figure import Picture, apart, png, svg
from fanwise.workloads.envelope._job import Extras, conclude, pictures_of, report_page, scenario_table
from fanwise.workloads.envelope._risk import History, exceedance, fit, read_history
from fanwise.workloads.envelope._tables import read_kcal
from fanwise.workloads.envelope._thresholds import Threshold, crop_named, in_unit, kcal_of, read_thresholds

QUIET: dict[str, Any] = {"progress": "none", "workers": 1}
NAN = float("nan")


class TestThresholds:
    @given(st.lists(st.tuples(st.floats(1, 500), st.floats(0.5, 9)), min_size=2, max_size=15), st.floats(0.01, 0.99))
    def test_the_area_of_a_loss_is_the_inverse_of_the_loss_of_an_area(self, cells, share) -> None:
        areas, losses = np.array([a for a, _ in cells]), np.array([a * y for a, y in cells])
        line = Polyline.of(areas, losses)
        loss = share * float(line.loss[-1])
        area = area_at(line, loss)
        assert area is not None
        assert loss_at(line, np.array([area]))[0] == pytest.approx(loss, rel=1e-9)

    def test_a_threshold_above_everything_has_no_area(self) -> None:
        line = Polyline.of(np.array([1.0]), np.array([10.0]))
        assert area_at(line, 10.1) is None
        assert area_at(line, 10.0) == area_at(line, 10.0 * (1 + 1e-10)) == pytest.approx(0.01)
        assert area_at(line, 0.0) == 0.0

    def test_a_threshold_of_the_world_is_scaled_by_production(self, small: Grid) -> None:
        result = sweep(small, crops=["WHEA"], by="country", filter="none", **QUIET)
        table = crossings(result, [Threshold("wheat", "World", "buffer", 1e9, "kcal")])
        share = result.curve("WHEA", "Utopia").total_loss / result.curve("WHEA").total_loss
        row = table[(table["segment"] == "Utopia") & (table["tier"] == "commercial")].iloc[0]
        assert row["threshold_kcal"] == pytest.approx(1e9 * share)
        assert bool(row["scaled"])
        assert not table[table["segment"] == "World"]["scaled"].any()

    def test_a_segment_with_thresholds_of_its_own_takes_none_from_the_world(self, small: Grid) -> None:
        result = sweep(small, crops=["WHEA"], by="country", **QUIET)
        told = [Threshold("WHEA", "World", "a", 1e9, "kcal"), Threshold("WHEA", "Utopia", "b", 100.0, "mt")]
        table = crossings(result, told)
        mine = table[table["segment"] == "Utopia"]
        assert mine["label"].tolist() == ["b", "b"]
        assert mine["threshold_kcal"].tolist() == [100.0 * 3.34e6] * 2

    def test_comprehensive_counts_also_where_it_was_not_asked_for(self, small: Grid) -> None:
        told = [Threshold("WHEA", "World", "a", 1e9, "kcal")]
        alone = crossings(sweep(small, crops=["WHEA"], tiers=["commercial"], by="country", **QUIET), told)
        both = crossings(sweep(small, crops=["WHEA"], by="country", **QUIET), told)
        assert alone.equals(both[both["tier"] == "commercial"].reset_index(drop=True))

    def test_each_scenario_has_its_own(self, small: Grid) -> None:
        half = {"scenario": [{"name": "half", "shock": [{"yield_factor": 0.5}]}]}
        result = sweep(small, crops=["WHEA"], tiers=["comprehensive"], scenarios=half, filter="none", **QUIET)
        table = crossings(result, [Threshold("WHEA", "World", "a", 1e9, "kcal")])
        assert table["scenario"].tolist() == ["baseline", "half"]
        assert table["worst_area_km2"][1] > table["worst_area_km2"][0]
        assert table["worst_magnitude"][0] == pytest.approx(math.log10(table["worst_area_km2"][0]))

    def test_usda_tables_are_in_thousands_of_tons(self) -> None:
        assert in_unit(1.0, "1000mt", "mt", 3.34) == 1000.0
        assert in_unit(1.0, "1000mt", "kcal", 3.34) == 1e9 * 3.34
        assert in_unit(1e9 * 3.34, "kcal", "mt", 3.34) == pytest.approx(1000.0)
        assert in_unit(5.0, "mt", "mt", NAN) == 5.0

    def test_kcal_of_groups(self, small: Grid) -> None:
        assert kcal_of(Crop("allgrain", ("WHEA",), (3.34,), 3.45), small) == 3.45
        assert kcal_of(Crop("one", ("WHEA",), (3.34,)), small) == 3.34
        mean = kcal_of(Crop("two", ("WHEA", "MAIZ"), (3.0, 4.0)), small)
        assert 3.0 < mean < 4.0
        empty = Grid.from_arrays(cell=[1], country=[""], crops={"A": ([0.0], [0.0]), "B": ([0.0], [0.0])})
        assert math.isnan(kcal_of(Crop("none", ("A", "B"), (3.0, 4.0)), empty))

    def test_crops_are_found_by_any_name(self) -> None:
        crops = [
            Crop("WHEA", ("WHEA",), (None,)),
            Crop("allgrain", ("WHEA",), (None,)),
            Crop("mine", ("WHEA",), (None,)),
        ]
        assert [crop_named(name, crops) for name in ("Wheat", "whea", "all-grain", "MINE", "rice")] == [
            0,
            0,
            1,
            2,
            None,
        ]

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("WHEA,,a,0,kcal", "t.csv row 1, column value: '0'; expected a finite number > 0"),
            ("WHEA,,a,inf,kcal", "column value: 'inf'"),
            ("WHEA,,a,x,kcal", "column value: 'x'"),
            ("WHEA,,a,1,tons", "t.csv row 1, column unit: 'tons'; expected kcal, mt or 1000mt"),
            ("WHEA,,a,1,kcal,more", "t.csv row 1: more fields than the header"),
        ],
    )
    def test_bad_rows_are_named(self, write: Write, row: str, message: str) -> None:
        with pytest.raises(InputError) as raised:
            read_thresholds(write("t.csv", "crop,segment,label,value,unit", row))
        assert message in str(raised.value)

    def test_bad_files_are_named(self, write: Write) -> None:
        with pytest.raises(InputError, match="no column value and unit; found crop, label"):
            read_thresholds(write("t.csv", "crop,label", "a,b"))
        with pytest.raises(InputError, match="no data rows"):
            read_thresholds(write("u.csv", "crop,label,value,unit"))
        with pytest.raises(InputError, match=r"none\.csv"):
            read_thresholds("none.csv")

    def test_a_frame_will_do(self, small: Grid) -> None:
        frame = pd.DataFrame({"crop": ["WHEA"], "segment": [None], "label": ["x"], "value": [5.0], "unit": ["mt"]})
        assert read_thresholds(frame) == (Threshold("WHEA", "World", "x", 5.0, "mt"),)
        assert len(crossings(sweep(small, crops=["MAIZ"], **QUIET), frame)) == 0

    def test_kcal_tables(self, write: Write) -> None:
        assert read_kcal(write("k.csv", "crop,kcal_per_g", "toba,1.5")) == {"TOBA": 1.5}
        with pytest.raises(InputError, match="row 1, column kcal_per_g"):
            read_kcal(write("k.csv", "crop,kcal_per_g", "toba,-1"))


class TestEvents:
    HEADER = "name,year,crop,segment,area_km2,loss,unit,countries,fraction"

    def test_area_and_loss_or_a_fraction_of_countries(self, small: Grid, write: Write) -> None:
        result = sweep(small, crops=["WHEA"], unit="mt", **QUIET)
        path = write(
            "e.csv",
            self.HEADER,
            "Dry,1921,wheat,,,,,Utopia;東の国,0.5",
            "Cold,1816,WHEA,Utopia,7,9,1000mt,,",
            "Other,1,RICE,,1,1,mt,,",
        )
        dry, cold = read_events(path, result)
        mine = np.isin(np.array([*small.countries, ""])[small.country.codes], ["Utopia", "東の国"])
        area, production = (column[mine] for column in small.columns["WHEA"])
        good = (area > 0) & (production > 0)
        assert dry.area_km2 == pytest.approx(area[good].sum() * 0.01 / 2)
        assert dry.loss == pytest.approx(production[good].sum() / 2)
        assert (dry.label, dry.segment) == ("Dry 1921", "World")
        assert (cold.area_km2, cold.loss, cold.segment) == (7.0, 9000.0, "Utopia")

    def test_events_outside_the_bounds_are_listed(self, small: Grid, write: Write) -> None:
        result = sweep(small, crops=["WHEA"], unit="mt", filter="none", **QUIET)
        total = result.curve("WHEA")
        half = total.total_area_km2 / 2
        inside = total.total_loss / 2
        rows = [
            f"{n},1,WHEA,{s},{half},{v},mt,,"
            for n, s, v in (
                ("in", "", inside),
                ("above", "", 0.999 * total.total_loss),
                ("below", "", 1e-3 * inside),
                ("far", "Utopia", 1.0),
            )
        ]
        found = outside(result, read_events(write("e.csv", self.HEADER, *rows), result))
        assert [(one["name"], one["side"]) for one in found] == [("above 1", "above"), ("below 1", "below")]

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("a,1,WHEA,,,,,,", "row 1, column area_km2: ''; expected area_km2 and loss, or countries and fraction"),
            ("a,1,WHEA,,,,,Utopia,1.5", "column fraction: '1.5'; expected a number from 0 to 1"),
            ("a,1,WHEA,,-1,5,mt,,", "column area_km2: '-1'"),
            ("a,1,WHEA,,1,5,t,,", "column unit: 't'"),
            ("a,1,WHEA,,,,,Atlantis,0.5", "column countries: no country 'Atlantis'"),
        ],
    )
    def test_bad_rows_are_named(self, small: Grid, write: Write, row: str, message: str) -> None:
        with pytest.raises(InputError) as raised:
            read_events(write("e.csv", self.HEADER, row), sweep(small, crops=["WHEA"], **QUIET))
        assert message in str(raised.value)


class TestRisk:
    def history(self, *values: float) -> History:
        return History("WHEA", tuple(range(1990, 1990 + len(values))), values, "mt")

    def test_a_straight_line_has_no_risk(self) -> None:
        found = fit(self.history(*(100.0 + 5 * year for year in range(12))))
        assert found.slope == pytest.approx(5.0)
        assert found.sigma == pytest.approx(0.0, abs=1e-12)
        assert exceedance(np.array([0.0, 1.0]), 0.0).tolist() == [1.0, 0.0]

    def test_one_standard_deviation_is_exceeded_in_32_percent(self) -> None:
        found = fit(self.history(*(100.0 + 9 * (-1) ** year for year in range(20))))
        assert exceedance(np.array([found.sigma * found.p_now]), found.scale)[0] == pytest.approx(0.32)

    def test_bands_hold_the_value_and_depend_on_the_seed_only(self, small: Grid) -> None:
        result = sweep(small, crops=["WHEA", "MAIZ"], unit="mt", points="spaced:6", **QUIET)
        values = tuple(float(v) for v in np.random.default_rng(0).uniform(900, 1100, 30))
        fits = risks(result, [self.history(*values)])
        assert list(fits) == ["WHEA"]
        one, two, other = (risk(result, fits, bootstrap=200, seed=seed) for seed in (1, 1, 2))
        assert one.equals(two)
        assert not one.equals(other)
        assert ((one["p_low"] <= one["p_median"]) & (one["p_median"] <= one["p_high"])).all()
        assert one["tier"].tolist() == ["comprehensive"] * 6 + ["commercial"] * 6
        assert risk(result, fits, bootstrap=0)["p_low"].isna().all()

    def test_without_a_history_there_are_no_rows(self, small: Grid) -> None:
        assert len(risk(sweep(small, **QUIET), {})) == 0
        with pytest.raises(UsageError, match="bootstrap"):
            risk(sweep(small, **QUIET), {}, bootstrap=-1)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([f"WHEA,{y},5,mt" for y in range(9)], "history of WHEA: 9 years; at least 10"),
            (["WHEA,1990,5,mt", "WHEA,1990,6,mt"], "row 2, column year: '1990'; expected each year once"),
            (["WHEA,1990.5,5,mt"], "column year"),
            (["WHEA,1990,-5,mt"], "column production"),
            ([f"WHEA,{y},5,{'kcal' if y else 'mt'}" for y in range(10)], "units kcal and mt"),
        ],
    )
    def test_bad_histories_are_named(self, write: Write, rows: list[str], message: str) -> None:
        with pytest.raises(InputError) as raised:
            read_history(write("h.csv", "crop,year,production,unit", *rows))
        assert message in str(raised.value)


class TestCompare:
    def test_a_run_against_itself(self, small: Grid, tmp_path: Path) -> None:
        result = sweep(small, by="country", **QUIET)
        for format in ("csv", "parquet"):
            result.write(tmp_path / format, format=format)
            table = compare(tmp_path / format, result)
            assert set(table["change"]) == {"unchanged"}
            assert (table["max_rel_diff"] == 0).all()

    def test_what_was_added_removed_and_changed(self, small: Grid) -> None:
        columns = small_columns()
        columns["crops"]["WHEA"] = (columns["crops"]["WHEA"][0], columns["crops"]["WHEA"][1] * 2.0)  # type: ignore[index]
        old = sweep(small, tiers=["comprehensive", "commercial"], filter="none", **QUIET)
        new = sweep(Grid.from_arrays(**columns), tiers=["comprehensive", "prime:50-100"], filter="none", **QUIET)
        table = compare(old, new).set_index(["crop", "tier"])
        assert table.loc[("WHEA", "comprehensive"), "change"] == "changed"
        assert table.loc[("WHEA", "comprehensive"), "max_rel_diff"] == pytest.approx(1.0)
        assert table.loc[("WHEA", "comprehensive"), "production_change_pct"] == pytest.approx(100.0)
        assert table.loc[("WHEA", "comprehensive"), "width_change"] == pytest.approx(0.0, abs=1e-12)
        assert table.loc[("MAIZ", "comprehensive"), "change"] == "unchanged"
        assert table.loc[("MAIZ", "commercial"), "change"] == "removed"
        assert table.loc[("MAIZ", "prime"), "change"] == "added"

    def test_empty_against_full(self) -> None:
        grids = [Grid.from_arrays(cell=[1], country=[""], crops={"WHEA": ([a], [a])}) for a in (0.0, 5.0)]
        table = compare(*(sweep(grid, tiers=["comprehensive"], **QUIET) for grid in grids))
        assert table["change"].tolist() == ["changed"]
        assert table["max_rel_diff"].isna().all()

    def test_units_must_agree(self, small: Grid) -> None:
        with pytest.raises(InputError, match="the old results are in kcal, the new ones in mt"):
            compare(sweep(small, **QUIET), sweep(small, unit="mt", **QUIET))

    def test_a_directory_without_results_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="holds no results"):
            compare(tmp_path, tmp_path)

    @pytest.mark.parametrize("column", ["tier", "digest", "width", "production_kcal"])
    def test_a_summary_that_lacks_a_column_is_named(self, small: Grid, tmp_path: Path, column: str) -> None:
        sweep(small, **QUIET).write(tmp_path)
        summary = tmp_path / "summary.csv"
        pd.read_csv(summary, dtype=str).drop(columns=column).to_csv(summary, index=False)
        with pytest.raises(
            InputError, match=f"no results of fanwise envelope: column {column} of its summary is missing"
        ):
            compare(tmp_path, tmp_path)

    def test_curves_without_numbers_are_named(self, small: Grid, tmp_path: Path) -> None:
        sweep(small, **QUIET).write(tmp_path)
        curves = tmp_path / "curves.parquet"
        pd.read_parquet(curves).assign(lower_kcal="much").to_parquet(curves)
        with pytest.raises(InputError, match="column lower_kcal of its curves does not hold numbers"):
            compare(tmp_path, tmp_path)

    def test_a_country_called_na_survives(self, tmp_path: Path) -> None:
        grid = Grid.from_arrays(cell=[1], country=["NA"], crops={"WHEA": ([5.0], [5.0])})
        result = sweep(grid, by="country", **QUIET)
        result.write(tmp_path, format="csv")
        assert set(compare(tmp_path, result)["change"]) == {"unchanged"}


def texts(drawing: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")]


class TestPictures:
    def picture(self, small: Grid, write: Write) -> Picture:
        result = sweep(small, crops=["WHEA"], unit="mt", **QUIET)
        events = read_events(
            write("e.csv", TestEvents.HEADER, "Dry <i>,1921,WHEA,,1,50,mt,,", "Wet,1930,WHEA,,1,51,mt,,"), result
        )
        tiers = tuple((tier, result.curve("WHEA", tier=tier)) for tier in result.tiers)
        return Picture("wheat & co, World", "mt", tiers, (("1 Month", 500.0), ("3 Months", 520.0)), events)

    def test_every_label_is_a_text_element(self, small: Grid, write: Write) -> None:
        found = texts(svg(self.picture(small, write)))
        for label in (
            "wheat & co, World",
            "comprehensive",
            "commercial",
            "1 Month",
            "3 Months",
            "Dry <i> 1921",
            "Wet 1930",
        ):
            assert found.count(label) == 1
        assert "log10 of loss (mt)" in found
        assert any("km²" in text for text in found)

    def test_it_needs_nothing_from_outside(self, small: Grid, write: Write) -> None:
        drawing = svg(self.picture(small, write))
        assert "href" not in drawing
        assert drawing.count("http") == 1
        assert drawing == svg(self.picture(small, write))

    def test_a_bitmap(self, small: Grid, write: Write) -> None:
        assert png(self.picture(small, write)).startswith(b"\x89PNG")

    def test_empty_tiers_are_no_hindrance(self) -> None:
        empty = bounds([], [])
        assert "<svg" in svg(Picture("none", "mt", (("comprehensive", empty),)))
        one = bounds([100.0], [5.0])
        assert "polygon" in svg(Picture("one", "mt", (("comprehensive", one), ("empty", empty))))
        assert png(Picture("one", "mt", (("comprehensive", one), ("empty", empty))))

    @given(st.lists(st.floats(0, 400), max_size=12))
    def test_labels_do_not_overlap(self, heights) -> None:
        moved = sorted(apart(heights))
        assert all(b - a >= 14 - 1e-6 for a, b in itertools.pairwise(moved))
        assert all(new >= old for old, new in zip(heights, apart(heights), strict=True))


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "path", "rect", "circle", "polygon"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


class TestPage:
    def test_it_is_whole_and_refers_to_nothing_outside(self, small: Grid) -> None:
        told = {"scenario": [{"name": "dry <b>", "shock": [{"yield_factor": 0.5}]}]}
        result = sweep(small, by="country", scenarios=told, **QUIET)
        done = conclude(
            result, Extras(thresholds=(Threshold("WHEA", "World", "1 Month", 1e9, "kcal"),), all_curves=True), QUIET
        )
        text = report_page(done, {"read": 0.1, "compute": 0.2})
        parser = Links()
        parser.feed(text)
        assert parser.found == []
        assert parser.open == []
        assert "dry &lt;b&gt;" in text
        assert text.count("<svg") == 2
        assert "1 Month" in text
        assert "東の国" in text

    def test_pictures_are_made_where_there_are_curves(self) -> None:
        grid = Grid.from_arrays(cell=[1, 2], country=["A", "B"], crops={"WHEA": ([1.0, 0.0], [1.0, 0.0])})
        done = conclude(sweep(grid, by="country", **QUIET), Extras(), QUIET)
        assert [segment for _, segment, _ in pictures_of(done)] == ["World", "A"]

    def test_a_scenario_that_loses_all_has_lost_100_percent(self, small: Grid) -> None:
        told = {"scenario": [{"name": n, "shock": [{"yield_factor": f}]} for n, f in (("gone", 0.0), ("half", 0.5))]}
        table = scenario_table(sweep(small, crops=["WHEA"], filter="none", scenarios=told, **QUIET))
        world = table[(table["segment"] == "World") & (table["tier"] == "comprehensive")]
        assert world["delta_loss_pct"].tolist() == pytest.approx([0.0, -100.0, -50.0])
