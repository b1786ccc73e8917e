"""The reference data through the public doors: the Python functions and the command."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from fanwise.cli import main
from fanwise.workloads.exactci import Interval, interval, intervals

from .conftest import EXACT

ENDS, P_VALUE = 1e-11, 1e-9


def close(found: float, wanted: float, limit: float) -> bool:
    if math.isnan(wanted) or wanted in {0.0, math.inf}:
        return found == wanted or (math.isnan(found) and math.isnan(wanted))
    return abs(found / wanted - 1.0) <= limit


def agrees(found: Interval, row: dict[str, str]) -> bool:
    p = float(row["p_value"])
    return (
        all(close(getattr(found, name), float(row[name]), ENDS) for name in ("lower", "upper", "estimate"))
        and (close(found.p_value, p, P_VALUE) if p >= 1e-250 else found.p_value <= 1e-250)
        and found.method == row["method"]
    )


def counts(row: dict[str, str]) -> tuple[int, ...]:
    return tuple(int(row[cell]) for cell in "abcd")


def test_one_at_a_time(golden: list[dict[str, str]]) -> None:
    for row in golden:
        assert agrees(interval(*counts(row), method=row["method"], alpha=float(row["alpha"])), row), row["id"]


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("alpha", ["0.001", "0.01", "0.05", "0.1", "0.2"])
def test_all_at_once(golden: list[dict[str, str]], method: str, alpha: str) -> None:
    rows = [row for row in golden if row["method"] == method and row["alpha"] == alpha]
    done = intervals([counts(row) for row in rows], method=method, alpha=float(alpha), progress="none")
    for i, row in enumerate(rows):
        assert agrees(done[i], row), row["id"]


@pytest.mark.parametrize("method", EXACT)
def test_by_the_command_and_back(
    golden: list[dict[str, str]], shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "cache"))
    source, output = str(shared_data / "exactci" / "golden.csv"), tmp_path / "o.csv"
    words = ["ci", source, "--method", method, "--prefix", "fw_", "-o", str(output), "-q"]
    assert main(words) == 0
    with open(output, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(golden)
    for row, wanted in zip(rows, golden):
        assert {name: row[name] for name in wanted} == wanted
        if row["method"] != method or row["alpha"] != "0.05":
            continue
        numbers = {name: float(row[f"fw_{name}"] or "nan") for name in ("lower", "upper", "p_value", "estimate")}
        found = Interval(**numbers, odds_ratio=math.nan, method=row["fw_method"], alpha=0.05, status=0)
        assert agrees(found, wanted), row["id"]
        assert row["fw_lower"] == repr(interval(*counts(wanted), method=method).lower)


FISHER_TEST = [
    # table as a, b, c, d; alternative; level; lower; upper; estimate; p-value: from R's help page of fisher.test
    ((3, 1, 1, 3), "greater", 0.05, 0.3135693, math.inf, 6.408309, 0.2429),
    ((2, 10, 15, 3), "less", 0.05, 0.0, 0.2849601, 0.04693661, 0.0004652),
    ((2, 10, 15, 3), "two-sided", 0.05, 0.003325764, 0.363182271, 0.04693661, 0.0005367),
    ((2, 10, 15, 3), "two-sided", 0.01, 0.001386333, 0.578851645, 0.04693661, 0.0005367),
]


@pytest.mark.parametrize(("table", "side", "alpha", "lower", "upper", "estimate", "p"), FISHER_TEST)
def test_what_rs_help_page_shows(
    table: tuple[int, ...], side: str, alpha: float, lower: float, upper: float, estimate: float, p: float
) -> None:
    """R stops its search at about 1e-4 (absolute); its two-sided p-value is that of minlike."""
    found = interval(*table, alpha=alpha, alternative=side)
    assert found.lower == pytest.approx(lower, abs=2e-5)
    assert found.upper == pytest.approx(upper, abs=2e-5)
    assert found.estimate == pytest.approx(estimate, abs=2e-5)
    p_value = interval(*table, method="minlike").p_value if side == "two-sided" else found.p_value
    assert p_value == pytest.approx(p, rel=1e-3)
