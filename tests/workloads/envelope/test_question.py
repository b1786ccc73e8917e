"""Tiers, points, filters and crops as they are typed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workloads.envelope.conftest import rows_of

from fanwise.errors import UsageError
from fanwise.workloads.envelope._bounds import target_areas
from fanwise.workloads.envelope._cells import Cells
from fanwise.workloads.envelope._crops import ALLGRAIN, default_kcal, facts, find_crops
from fanwise.workloads.envelope._question import FILTERS, Points, make_question, make_tier, make_tiers, parse_points
from fanwise.workloads.envelope._tiers import keep, percentile_99, tier_slice
from fanwise.workloads.envelope._words import did_you_mean, listed


class TestTiers:
    def test_names_stand_for_percentiles(self) -> None:
        assert [(t.name, t.lo, t.hi) for t in make_tiers("comprehensive, commercial,prime:50-100,thin:12.50-13")] == [
            ("comprehensive", "0", "100"),
            ("commercial", "20", "100"),
            ("prime", "50", "100"),
            ("thin", "12.5", "13"),
        ]

    @pytest.mark.parametrize(
        "text",
        ["", "prime", "prime:50", "prime:60-50", "prime:50-50", "prime:0-101", "prime:1..2-3", "a:1-2,a:3-4", "comprehensive:1-2"],
    )  # fmt: skip
    def test_others_are_refused(self, text: str) -> None:
        with pytest.raises(UsageError):
            make_tiers(text)

    def test_no_tiers_are_refused(self) -> None:
        with pytest.raises(UsageError, match="no tiers"):
            make_tiers([])

    def test_percentiles_are_decimal(self) -> None:
        """0.1 percent of 10,001 cells is rank 10 exactly; as a float it would be rank 11."""
        yields = np.arange(10_001.0)
        assert tier_slice(yields, make_tier("thin", "0.1", "100")) == (10, 10_001)
        assert tier_slice(yields, make_tier("thin", Decimal("0.1"), 100)) == (10, 10_001)

    def test_the_cell_exactly_at_the_cut_is_in(self) -> None:
        assert tier_slice(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), make_tier("t", 20, 80)) == (1, 5)

    def test_equal_yields_at_the_cut_are_all_in(self) -> None:
        assert tier_slice(np.array([1.0, 2.0, 2.0, 2.0, 3.0, 4.0]), make_tier("t", 50, 100)) == (1, 6)

    def test_a_tier_between_two_ranks_is_empty(self) -> None:
        assert tier_slice(np.array([1.0, 2.0]), make_tier("t", 10, 90)) is None
        assert tier_slice(np.empty(0), make_tier("t", 0, 100)) is None

    @given(st.lists(st.floats(0.1, 9.9), min_size=1, max_size=40), st.integers(0, 99), st.integers(1, 100))
    def test_it_is_the_slice_between_linear_percentiles(self, yields, lo, hi) -> None:
        """Where rounding does not decide: the definition by ranks and NumPy's percentiles agree."""
        if lo >= hi:
            lo, hi = hi - 1, lo + 1
        ranked = np.sort(yields)
        found = tier_slice(ranked, make_tier("t", lo, hi))
        low, high = np.percentile(ranked, [lo, hi])
        inside = np.flatnonzero((ranked >= low * (1 - 1e-12)) & (ranked <= high * (1 + 1e-12)))
        if found is None:
            assert len(inside) == 0 or ranked[inside[0]] == ranked[inside[-1]]
        else:
            assert (found[0], found[1]) == (inside[0], inside[-1] + 1)


class TestFilter:
    def test_small_cells_and_high_yields_are_left_out(self) -> None:
        yields = np.append(np.linspace(1, 2, 200), 100.0)
        cells = Cells(np.append(0.5, np.full(200, 5.0)), yields * 5, yields)
        kept = keep(cells, FILTERS["standard"])
        assert len(kept) == 199
        assert kept.yields.max() == 2.0

    def test_none_keeps_all(self) -> None:
        cells = Cells(np.array([1e-9, 1.0]), np.array([1.0, 1.0]), np.array([1.0, 1e9]))
        assert keep(cells, FILTERS["none"]) is cells

    def test_no_cells_stay_none(self) -> None:
        cells = Cells(np.array([0.1]), np.array([1.0]), np.array([10.0]))
        assert len(keep(cells, FILTERS["aggressive"])) == 0

    @given(st.lists(st.floats(0.1, 100), min_size=1, max_size=300))
    def test_the_percentile_is_numpys(self, yields) -> None:
        ranked = np.sort(yields)
        assert percentile_99(ranked) == pytest.approx(np.percentile(ranked, 99), rel=1e-12)


class TestPoints:
    @pytest.mark.parametrize(
        ("text", "points"),
        [
            ("paper", Points("paper")),
            ("compact", Points("compact")),
            ("spaced:2", Points("spaced", count=2)),
            ("at:3,1e2,3", Points("at", (3.0, 100.0))),
        ],
    )
    def test_they_are_read(self, text: str, points: Points) -> None:
        assert parse_points(text) == points

    @pytest.mark.parametrize(
        "text",
        ["", "spaced", "spaced:1", "spaced:x", "at", "at:", "at:0", "at:-1", "at:inf", "at:a", "papers", "file:"],
    )
    def test_others_are_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="expected paper"):
            parse_points(text)

    def test_a_file_has_an_area_a_line(self, tmp_path: Path) -> None:
        (tmp_path / "areas.txt").write_text("# km²\n10\n 2.5 # small\n\n")
        assert parse_points(f"file:{tmp_path / 'areas.txt'}").values == (2.5, 10.0)

    def test_a_file_that_is_not_there_is_named(self) -> None:
        with pytest.raises(UsageError, match=r"nowhere\.txt"):
            parse_points("file:nowhere.txt")

    def test_methods_have_points_of_their_own(self) -> None:
        assert make_question(["commercial"], "step", None, "none", "mt").points.kind == "paper"
        assert make_question(["commercial"], "interp", None, "none", "mt").points.count == 200

    @pytest.mark.parametrize("wrong", [{"method": "x"}, {"filter": "standart"}, {"unit": "t"}])
    def test_other_words_are_refused(self, wrong: dict[str, str]) -> None:
        asked = {"method": "step", "filter": "none", "unit": "mt"} | wrong
        with pytest.raises(UsageError, match="expected"):
            make_question("commercial", asked["method"], None, asked["filter"], asked["unit"])

    def test_paper_goes_on_in_steps_of_2000(self) -> None:
        areas = target_areas(Points("paper"), 31_000.0, 1.0)
        assert areas[:3].tolist() == [1.0, 10.0, 50.0]
        assert areas[-4:].tolist() == [26_000.0, 28_000.0, 30_000.0, 31_000.0]
        assert len(areas) == 12 + 11 + 1

    def test_paper_for_a_small_area_is_spaced(self) -> None:
        assert len(target_areas(Points("paper"), 9_000.0, 1.0)) == 20

    def test_compact_ends_at_95_percent_and_the_total(self) -> None:
        areas = target_areas(Points("compact"), 100_000.0, 1.0)
        assert len(areas) == 9 + 19 + 1
        assert areas[-2:].tolist() == pytest.approx([95_000.0, 100_000.0])

    def test_compact_without_room_above_1000_has_the_fixed_ones(self) -> None:
        assert target_areas(Points("compact"), 1_050.0, 1.0).tolist()[-2:] == [1000.0, 1050.0]
        assert len(target_areas(Points("compact"), 150.0, 1.0)) == 20

    def test_spaced_is_even_or_logarithmic_by_the_span(self) -> None:
        assert target_areas(Points("spaced", count=5), 9.0, 1.0).tolist() == [1.0, 3.0, 5.0, 7.0, 9.0]
        assert target_areas(Points("spaced", count=4), 1000.0, 1.0).tolist() == pytest.approx([1, 10, 100, 1000])

    def test_a_target_that_is_the_total_is_not_there_twice(self) -> None:
        assert target_areas(Points("at", (1.0, 5.0 * (1 - 1e-10))), 5.0, 1.0).tolist() == [1.0, 5.0]


class TestCrops:
    def test_the_table_is_that_of_the_reference(self, data: Path) -> None:
        rows = rows_of(data / "crops.csv")
        assert [row["code"] for row in rows] == list(facts())
        for row in rows:
            fact = facts()[row["code"]]
            assert (";".join(fact.names), fact.source) == (row["names"], row["source"])
            assert fact.kcal_per_g == (float(row["kcal_per_g"]) if row["kcal_per_g"] else None)

    def test_codes_names_and_letter_case(self) -> None:
        found = find_crops(["whea", "Corn", "RICE", "wheat"], ["WHEA", "MAIZ", "RICE"], default_kcal())
        assert [crop.name for crop in found] == ["WHEA", "MAIZ", "RICE"]

    def test_allgrain_has_the_members_that_are_there_in_its_own_order(self) -> None:
        (crop,) = find_crops(["allgrain"], ["SORG", "CASS", "MAIZ", "WHEA"], default_kcal())
        assert crop.members == ("WHEA", "MAIZ", "SORG")
        assert crop.own_kcal_per_g == 3.45
        assert ALLGRAIN[:3] == ("WHEA", "RICE", "MAIZ")

    def test_a_crop_counts_by_kcal_or_by_mass(self) -> None:
        (crop,) = find_crops(["mix=RICE+WHEA"], ["WHEA", "RICE"], default_kcal())
        assert crop.factors("kcal") == (3.6e6, 3.34e6)
        assert crop.factors("mt") == (1.0, 1.0)

    @pytest.mark.parametrize(
        "name", ["wheet", "=WHEA", "WHEA=RICE", "mix=WHEA+WHEA", "mix=WHEA+nothing", "allgrain=WHEA", "CASS"]
    )
    def test_what_is_not_there_is_refused(self, name: str) -> None:
        with pytest.raises(UsageError):
            find_crops([name], ["WHEA", "RICE"], {})

    def test_two_groups_of_one_name_are_refused(self) -> None:
        with pytest.raises(UsageError, match="two groups"):
            find_crops(["mix=WHEA", "mix=RICE"], ["WHEA", "RICE"], {})

    def test_allgrain_without_members_is_refused(self) -> None:
        with pytest.raises(UsageError, match="none of its members"):
            find_crops(["allgrain"], ["CASS"], {})

    def test_a_crop_of_the_grid_may_be_called_allgrain(self) -> None:
        assert find_crops(["allgrain"], ["allgrain"], {})[0].members == ("allgrain",)


def test_near_names_are_offered() -> None:
    assert did_you_mean("Utopa", ["Utopia", "Erewhon"]) == "; did you mean Utopia?"
    assert did_you_mean("xyz", ["Utopia", "Erewhon"]) == "; there are Erewhon and Utopia"
    assert did_you_mean("xyz", []) == ""
    assert listed(["a", "b", "c"], "or") == "a, b or c"
    assert listed([]) == "none"
