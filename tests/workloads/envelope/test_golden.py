"""Every file of the reference data, in exact order and to 1e-12. They were computed in exact rational arithmetic."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workloads.envelope.conftest import rows_of

from fanwise.workloads import envelope

NAMES = [
    "step_compact_standard",
    "interp_spaced40_standard",
    "step_paper_none",
    "interp_at_aggressive_mt",
    "step_spaced25_conservative",
    "edge_step",
    "edge_interp",
]
EXACT = {"digest", "scenario", "crop", "segment", "tier", "status", "point", "valid", "filtered", "used", "label"}
RTOL = 1e-12


def options_of(words: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {"crops": []}
    for name, value in zip(words[::2], words[1::2], strict=True):
        if name == "--crop":
            options["crops"].append(value)
        else:
            options[name.removeprefix("--")] = value
    return options


def agree(expected: list[dict[str, str]], found: list[dict[str, Any]]) -> None:
    """Rows one by one: text and counts equal, numbers to 1e-12 (13 digits are given), empty is NaN."""
    assert len(found) == len(expected)
    for want, have in zip(expected, found, strict=True):
        for name, text in want.items():
            where = (want, name, have[name])
            if name in EXACT:
                assert str(have[name]) == text, where
            elif text in {"true", "false"}:
                assert bool(have[name]) is (text == "true"), where
            elif text == "":
                assert math.isnan(have[name]), where
            else:
                assert math.isclose(float(text), have[name], rel_tol=RTOL, abs_tol=1e-15), where


def test_the_index_names_no_file_that_is_not_tried(data: Path) -> None:
    assert [entry["name"] for entry in json.loads((data / "golden" / "index.json").read_text())] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_curves_and_summary_are_those_of_the_reference(data: Path, name: str) -> None:
    entry = next(e for e in json.loads((data / "golden" / "index.json").read_text()) if e["name"] == name)
    result = envelope.sweep(envelope.read_grid(data / entry["grid"]), **options_of(entry["options"]), progress="none")
    agree(rows_of(data / "golden" / f"{name}_curves.csv"), result.table().to_dict("records"))
    agree(rows_of(data / "golden" / f"{name}_summary.csv"), result.summary().to_dict("records"))


def test_scenarios_are_those_of_the_reference(data: Path) -> None:
    result = envelope.sweep(
        envelope.read_grid(data / "grid.csv"),
        crops=["WHEA", "MAIZ"],
        points="spaced:20",
        scenarios=data / "scenarios.toml",
        progress="none",
    )
    agree(rows_of(data / "golden" / "scenarios_curves.csv"), result.table().to_dict("records"))
    agree(rows_of(data / "golden" / "scenarios_summary.csv"), result.summary().to_dict("records"))


def test_crossings_are_those_of_the_reference(data: Path) -> None:
    result = envelope.sweep(
        envelope.read_grid(data / "grid.csv"), crops=["WHEA", "allgrain"], by="country", progress="none"
    )
    found = envelope.crossings(result, data / "thresholds_grid.csv")
    agree(rows_of(data / "golden" / "crossings.csv"), found.to_dict("records"))


def test_crossings_do_not_depend_on_the_method(data: Path, shared_grid: envelope.Grid) -> None:
    tables = [
        envelope.crossings(
            envelope.sweep(shared_grid, crops=["WHEA"], method=method, progress="none"), data / "thresholds_grid.csv"
        )
        for method in ("step", "interp")
    ]
    assert tables[0].equals(tables[1])


def test_risk_fits_are_those_of_the_reference(data: Path) -> None:
    grid = envelope.read_grid(data / "grid.csv")
    result = envelope.sweep(grid, crops=["WHEA", "RICE", "MAIZ", "allgrain"], progress="none")
    fits = envelope.risks(result, data / "history_world.csv")
    for row in rows_of(data / "golden" / "risk_fit.csv"):
        fit = fits[row["crop"]]
        assert fit.years == int(row["years"])
        pairs = {
            "intercept_1000mt": fit.intercept,
            "slope_1000mt_per_year": fit.slope,
            "sigma": fit.sigma,
            "p_now_kcal": fit.p_now,
            "scale_kcal": fit.scale,
            "p_of_1e15_kcal": math.exp(-1e15 / fit.scale),
        }
        for name, value in pairs.items():
            assert math.isclose(float(row[name]), value, rel_tol=RTOL), (row["crop"], name)


def test_the_forms_of_one_grid_are_one_grid(data: Path) -> None:
    wide, long = (envelope.read_grid(data / f"form_{form}.csv") for form in ("wide", "long"))
    pair = envelope.read_grid(*sorted(data.glob("form_spam*.csv")))
    assert wide.crops == long.crops == pair.crops
    for code in wide.crops:
        assert wide.digest(code) == long.digest(code) == pair.digest(code)
        for ours, theirs in zip(wide.columns[code], pair.columns[code], strict=True):
            assert np.array_equal(ours, theirs, equal_nan=True)


def test_ids_beyond_doubles_stay_apart(data: Path) -> None:
    grid = envelope.read_grid(data / "edge.csv")
    assert grid.cell.dtype == np.int64
    assert np.diff(grid.cell).min() == 1
    assert int(grid.cell[0]) == 9007199254740993


def test_decomposed_and_padded_names_are_one_country(data: Path) -> None:
    grid = envelope.read_grid(data / "edge.csv")
    assert grid.countries == ('A,B "quoted"', "Côte d'Émeraude", "Solo", "Utopia", "東の国")
