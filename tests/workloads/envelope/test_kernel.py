"""The kernel against a second implementation in exact arithmetic, and against every subset of cells."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workloads.envelope.reference import envelope

from fanwise.errors import UsageError
from fanwise.workloads.envelope import bounds

AREAS = st.integers(1, 5000).map(lambda n: n / 10)
YIELDS = st.integers(1, 12).map(lambda n: n / 2)
CELLS = st.lists(st.tuples(AREAS, YIELDS), min_size=1, max_size=25)
ANY_YIELD = st.floats(0.01, 50, allow_subnormal=False)
UNTIED = st.lists(st.tuples(AREAS, ANY_YIELD), min_size=2, max_size=25)
TIERS = st.sampled_from([("0", "100"), ("20", "100"), ("12.5", "87.5"), ("50", "100"), ("0", "33.3")])
POINTS = st.sampled_from(["spaced:7", "compact", "paper", "at:0.01,0.1,0.3,1,2.5,100"])
METHODS = st.sampled_from(["step", "interp"])
FILTERS = st.sampled_from(["none", "conservative", "standard", "aggressive"])


def columns(cells: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [a for a, _ in cells], [a * y for a, y in cells]


@given(CELLS, TIERS, POINTS, METHODS, FILTERS)
def test_every_value_is_that_of_exact_arithmetic(cells, tier, points, method, rule) -> None:
    areas, losses = columns(cells)
    curve = bounds(areas, losses, tier=tier, method=method, points=points, filter=rule)
    exact = envelope(areas, losses, tier=tier, method=method, points=points, rule=rule)
    if exact is None:
        assert curve.status == "empty"
        assert len(curve) == 0
        return
    assert (curve.valid, curve.filtered, curve.n_cells) == (exact.valid, exact.filtered, exact.used)
    assert curve.area_km2 == pytest.approx(exact.targets, rel=1e-12)
    for side in ("lower", "upper"):
        area, loss = zip(*getattr(exact, side), strict=True)
        assert getattr(curve, f"{side}_area_km2") == pytest.approx(area, rel=1e-11)
        assert getattr(curve, side) == pytest.approx(loss, rel=1e-9)
    assert curve.width == pytest.approx(exact.width, rel=1e-9, abs=1e-12)


@given(CELLS, TIERS, POINTS, METHODS)
def test_the_lower_bound_is_below_the_upper_and_both_rise(cells, tier, points, method) -> None:
    curve = bounds(*columns(cells), tier=tier, method=method, points=points)
    slack = 1e-12 * max(curve.total_loss, 1.0)
    if method == "interp":
        assert (curve.lower <= curve.upper + slack).all()
    for side in (curve.lower, curve.upper, curve.area_km2):
        assert (np.diff(side) >= -slack).all()


@given(UNTIED)
def test_interp_is_convex_below_and_concave_above(cells) -> None:
    areas, losses = columns(cells)
    total = sum(areas) / 100
    grid = [total * k / 16 for k in range(1, 16)]
    curve = bounds(areas, losses, points="at:" + ",".join(map(repr, grid)))
    lower, upper = np.append(0.0, curve.lower), np.append(0.0, curve.upper)
    slack = 1e-9 * curve.total_loss
    assert (np.diff(lower, 2) >= -slack).all()
    assert (np.diff(upper, 2) <= slack).all()


@given(UNTIED)
def test_what_is_not_lost_at_worst_is_the_best_case_of_the_rest(cells) -> None:
    areas, losses = columns(cells)
    total = sum(areas) / 100
    at = [total / 4, total / 2, 3 * total / 4]
    curve = bounds(areas, losses, points="at:" + ",".join(map(repr, at)))
    assert curve.upper[:3] + curve.lower[:3][::-1] == pytest.approx([curve.total_loss] * 3, rel=1e-9)


@given(CELLS)
def test_the_last_point_is_the_total(cells) -> None:
    areas, losses = columns(cells)
    curve = bounds(areas, losses)
    assert curve.lower[-1] == curve.upper[-1] == curve.total_loss
    assert curve.total_loss == pytest.approx(math.fsum(losses), rel=1e-12)
    assert curve.lower_area_km2[-1] == curve.upper_area_km2[-1] == curve.area_km2[-1] == curve.total_area_km2
    assert curve.total_area_km2 == pytest.approx(math.fsum(areas) / 100, rel=1e-12)


@given(CELLS, st.randoms(use_true_random=False), METHODS)
def test_the_order_of_rows_changes_no_bit(cells, random, method) -> None:
    areas, losses = columns(cells)
    order = list(range(len(cells)))
    random.shuffle(order)
    straight = bounds(areas, losses, cell=range(len(cells)), method=method)
    shuffled = bounds([areas[i] for i in order], [losses[i] for i in order], cell=order, method=method)
    assert straight.digest == shuffled.digest
    assert straight.width == shuffled.width


@given(CELLS, METHODS)
def test_twice_the_production_is_exactly_twice_the_loss(cells, method) -> None:
    areas, losses = columns(cells)
    once, twice = bounds(areas, losses, method=method), bounds(areas, [2 * p for p in losses], method=method)
    assert np.array_equal(twice.lower, 2 * once.lower)
    assert np.array_equal(twice.upper, 2 * once.upper)
    assert twice.width == once.width


@given(UNTIED)
def test_splitting_a_cell_in_halves_changes_nothing_in_interp(cells) -> None:
    areas, losses = columns(cells)
    total = sum(areas) / 100
    points = "at:" + ",".join(repr(total * k / 5) for k in range(1, 5))
    whole = bounds(areas, losses, points=points)
    halves = bounds(
        [areas[0] / 2, areas[0] / 2, *areas[1:]], [losses[0] / 2, losses[0] / 2, *losses[1:]], points=points
    )
    assert halves.lower == pytest.approx(whole.lower, rel=1e-9)
    assert halves.upper == pytest.approx(whole.upper, rel=1e-9)
    assert halves.width == pytest.approx(whole.width, rel=1e-9, abs=1e-12)


@given(UNTIED)
def test_step_is_at_least_interp(cells) -> None:
    areas, losses = columns(cells)
    total = sum(areas) / 100
    points = "at:" + ",".join(repr(total * k / 9) for k in range(1, 9))
    step, interp = (bounds(areas, losses, points=points, method=method) for method in ("step", "interp"))
    for side in ("lower", "upper"):
        assert (getattr(step, side) >= getattr(interp, side) * (1 - 1e-12)).all()
        assert (getattr(step, f"{side}_area_km2") >= step.area_km2 * (1 - 1e-12)).all()


@given(st.lists(st.integers(1, 40), min_size=2, max_size=9))
def test_step_finds_the_extremes_of_every_subset(yields) -> None:
    """Cells of equal area, every subset counted: the bounds are the least and the greatest loss of k cells."""
    area = 10.0
    losses = [area * y for y in yields]
    targets = [k * area / 100 * (1 - 1e-6) for k in range(1, len(yields))]
    curve = bounds([area] * len(yields), losses, method="step", points="at:" + ",".join(map(repr, targets)))
    for k in range(1, len(yields)):
        sums = [math.fsum(chosen) for chosen in itertools.combinations(losses, k)]
        assert curve.lower[k - 1] == pytest.approx(min(sums), rel=1e-12)
        assert curve.upper[k - 1] == pytest.approx(max(sums), rel=1e-12)


def test_the_whole_tier_is_no_tier() -> None:
    areas, losses = [10.0, 20.0, 30.0], [5.0, 40.0, 15.0]
    assert bounds(areas, losses, tier=(0, 100)).digest == bounds(areas, losses).digest


def test_a_sum_that_equals_the_target_in_decimal_counts_as_equal() -> None:
    """0.1 + 0.2 ha is 0.003 km²: in binary the sum is above it, and a plain > would stop one cell early."""
    areas = [0.1, 0.2, 0.3]
    curve = bounds(areas, [0.1, 0.4, 0.9], method="step", points="at:0.001,0.003")
    assert curve.lower_area_km2.tolist() == pytest.approx([0.003, 0.006, 0.006], rel=1e-12)


def test_left_of_the_first_cell_the_bounds_go_to_the_origin() -> None:
    curve = bounds([100.0, 300.0], [100.0, 900.0], points="at:0.001,0.5")
    assert curve.lower.tolist()[:2] == pytest.approx([0.1, 50.0])
    assert curve.upper.tolist()[:2] == pytest.approx([0.3, 150.0])


def test_equal_yields_have_no_width_and_one_curve() -> None:
    curve = bounds([0.1, 0.7, 0.2, 1.0], [0.25, 1.75, 0.5, 2.5])
    assert curve.width == 0.0
    assert curve.lower == pytest.approx(curve.upper, rel=1e-12)


def test_a_small_width_keeps_its_digits() -> None:
    """One cell of 10⁹ ha beside small ones: 1 less the area under the curve would have six digits left."""
    areas, losses = [1e9, 30.0, 7.0], [1e9, 90.0, 14.0]
    exact = envelope(areas, losses)
    assert exact is not None
    assert bounds(areas, losses).width == pytest.approx(exact.width, rel=1e-13)


def test_one_cell_is_one_point() -> None:
    curve = bounds([250.0], [500.0], points="paper", method="step")
    assert curve.area_km2.tolist() == [2.5]
    assert (curve.lower.tolist(), curve.upper.tolist()) == ([500.0], [500.0])
    assert (curve.yield_min, curve.yield_max, curve.width) == (2.0, 2.0, 0.0)


def test_no_cells_are_an_empty_curve() -> None:
    curve = bounds([], [])
    assert (curve.status, curve.n_cells, len(curve)) == ("empty", 0, 0)
    assert math.isnan(curve.width)
    assert math.isnan(curve.total_loss)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0, 0.0])
def test_cells_without_a_positive_value_are_dropped(bad: float) -> None:
    for areas, losses in (([bad, 2.0], [1.0, 3.0]), ([1.0, 2.0], [bad, 3.0])):
        curve = bounds(areas, losses)
        assert (curve.cells, curve.valid, curve.total_loss) == (2, 1, 3.0)


def test_magnitude_is_the_logarithm_of_the_area_in_square_kilometres() -> None:
    """1,000,000 ha are 10,000 km²: magnitude 4."""
    curve = bounds([1e6], [2e6])
    assert curve.area_km2.tolist() == [10_000.0]
    assert curve.magnitude.tolist() == [4.0]


def test_arrays_of_a_curve_are_read_only() -> None:
    curve = bounds([1.0, 2.0], [3.0, 4.0])
    for name in ("area_km2", "magnitude", "lower", "upper", "lower_area_km2", "upper_area_km2"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(curve, name)[0] = 1.0


def test_float32_is_widened_before_the_division() -> None:
    areas, losses = np.array([0.1, 0.3], np.float32), np.array([0.7, 0.9], np.float32)
    assert bounds(areas, losses).digest == bounds(areas.astype(float), losses.astype(float)).digest


@pytest.mark.parametrize(
    ("areas", "losses", "options"),
    [
        ([1.0], [1.0, 2.0], {}),
        ([[1.0]], [[1.0]], {}),
        ([1.0], [1.0], {"cell": [1, 2]}),
        ([1.0], [1.0], {"tier": (50, 20)}),
        ([1.0], [1.0], {"tier": (-1, 20)}),
        ([1.0], [1.0], {"tier": ("a", 20)}),
        ([1.0], [1.0], {"method": "linear"}),
        ([1.0], [1.0], {"points": "spaced:1"}),
        ([1.0], [1.0], {"filter": "harsh"}),
    ],
)
def test_what_cannot_be_is_refused(areas, losses, options) -> None:
    with pytest.raises(UsageError):
        bounds(areas, losses, **options)
