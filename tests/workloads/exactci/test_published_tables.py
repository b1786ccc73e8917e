"""The tables that ship with fanwise: what the papers say about them comes out."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import fanwise
from fanwise.cli import main
from fanwise.workloads.exactci import Status, interval, intervals

DEMO = Path(fanwise.__file__).parent / "_demo"


def tables(name: str) -> list[dict[str, str]]:
    with open(DEMO / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def counts(study: str) -> tuple[int, ...]:
    (row,) = [row for row in tables("two_by_two.csv") if row["study"] == study]
    return tuple(int(row[cell]) for cell in "abcd")


@pytest.mark.parametrize(("name", "rows"), [("bcg.csv", 13), ("two_by_two.csv", 25)])
def test_every_table_is_a_table(name: str, rows: int) -> None:
    done = intervals([[row[cell] for cell in "abcd"] for row in tables(name)], progress="none")
    assert len(done) == rows
    assert (done.status == Status.OK).all()
    assert (done.lower < done.estimate).all()
    assert (done.estimate < done.upper).all()


def test_the_shipped_trials_are_those_of_the_reference_data(shared_data: Path) -> None:
    assert (DEMO / "bcg.csv").read_bytes() == (shared_data / "exactci" / "bcg.csv").read_bytes()


@pytest.mark.parametrize(
    ("study", "totals"),
    [
        ("Lister: amputations", (40, 35)),
        ("Semmelweis: Vienna 1846", (4010, 3754)),
        ("MRC: streptomycin", (55, 52)),
        ("Francis: Salk vaccine", (200_745, 201_229)),
        ("ISIS-2: aspirin", (8587, 8600)),
        ("Physicians' Health Study", (11_034, 11_037)),
        ("Polack: BNT162b2", (18_198, 18_325)),
        ("Baden: mRNA-1273", (14_134, 14_073)),
        ("Charig: large stones", (263, 80)),
    ],
)
def test_totals_are_those_of_the_papers(study: str, totals: tuple[int, int]) -> None:
    a, b, c, d = counts(study)
    assert (a + b, c + d) == totals


def test_the_lady_could_have_guessed() -> None:
    """Fisher 1935: 17 of 70 ways are at least as good; two-sided 34 of 70."""
    tea = counts("Fisher: tea tasting")
    assert interval(*tea, alternative="greater").p_value == pytest.approx(17 / 70, rel=1e-14)
    assert interval(*tea, method="minlike").p_value == pytest.approx(34 / 70, rel=1e-14)


def test_aspirin_and_infarction() -> None:
    """Agresti, Categorical Data Analysis: sample odds ratio 1.83, 95 % Wald interval (1.44, 2.33)."""
    found = interval(*counts("Physicians' Health Study"))
    assert round(found.odds_ratio, 2) == 1.83
    assert (round(found.lower, 2), round(found.upper, 2)) == pytest.approx((1.43, 2.35), abs=0.011)
    assert found.p_value < 1e-6


def test_each_department_of_berkeley() -> None:
    """Bickel et al. 1975: only department A shows a difference, in favour of women."""
    found = {name: interval(*counts(f"Bickel: Berkeley {name}")) for name in "ABCDEF"}
    assert [name for name, one in found.items() if one.p_value < 0.05] == ["A"]
    assert found["A"].upper < 1.0


def test_every_file_is_named_with_its_origin() -> None:
    readme = (DEMO / "README.md").read_text("utf-8")
    assert all(f"`{path.name}`" in readme for path in DEMO.glob("*.csv"))


def test_the_command_on_the_shipped_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("bcg.csv", "two_by_two.csv"):
        output, plot = tmp_path / name, tmp_path / f"{name}.svg"
        words = ["ci", str(DEMO / name), "--method", "all", "--plot", str(plot), "-o", str(output), "-q"]
        assert main(words) == 0
        with open(output, newline="", encoding="utf-8") as file:
            assert len(list(csv.DictReader(file))) == 4 * len(tables(name))
        assert plot.read_text("utf-8").startswith("<svg")
