from __future__ import annotations

import random
from statistics import quantiles

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.costs_of import histogram, slowest
from tests.runs import report_of

from fanwise.records import run_events as told
from fanwise.records.costs import BINS, bin_bounds, bin_of


def chunks(costs: list[float], size: int = 25) -> list[told.ChunkDone]:
    parts = [costs[first : first + size] for first in range(0, len(costs), size)]
    return [chunk(size * n, part) for n, part in enumerate(parts)]


def chunk(first: int, costs: list[float]) -> told.ChunkDone:
    """What a worker says of these items."""
    return told.ChunkDone(
        1.0,
        0,
        first,
        len(costs),
        ok=len(costs),
        busy=sum(costs),
        costs=histogram(costs),
        slowest=slowest(first, costs),
        least=min(costs),
    )


@settings(max_examples=60)
@given(st.lists(st.floats(1e-6, 9e3), min_size=1, max_size=80))
def test_every_cost_lies_in_its_bin_and_bins_are_narrow(costs: list[float]) -> None:
    for cost in costs:
        low, high = bin_bounds(bin_of(cost))
        assert low * 0.999_999 <= cost <= high * 1.000_001
        assert high / low < 1.123
    assert sum(items for _, items in histogram(costs)) == len(costs)
    assert bin_of(0.0) == 0
    assert bin_of(1e9) == BINS - 1


@pytest.mark.parametrize("name", ["lognormal", "two kinds", "constant", "uniform"])
def test_quantiles_are_within_twelve_percent_and_extremes_exact(name: str) -> None:
    dice = random.Random(7)
    draw = {
        "lognormal": lambda: dice.lognormvariate(-5, 1.3),
        "two kinds": lambda: 0.1 if dice.random() < 0.1 else 0.001,
        "constant": lambda: 0.0123,
        "uniform": lambda: dice.uniform(0.01, 0.02),
    }[name]
    costs = [draw() for _ in range(4_000)]
    told_costs = report_of(chunks(costs)).costs
    exact = quantiles(costs, n=100, method="inclusive")
    assert told_costs.p50_s == pytest.approx(exact[49], rel=0.12)
    assert told_costs.p90_s == pytest.approx(exact[89], rel=0.12)
    assert told_costs.p99_s == pytest.approx(exact[98], rel=0.12)
    assert (told_costs.min_s, told_costs.max_s) == (min(costs), max(costs))
    assert told_costs.mean_s == pytest.approx(sum(costs) / len(costs))
    assert told_costs.count == sum(told_costs.histogram.counts) == 4_000


def test_the_histogram_has_forty_bins_from_a_microsecond_to_ten_thousand_seconds() -> None:
    shown = report_of(chunks([1e-9, 1.5e-6, 0.002, 5e5])).costs.histogram
    assert (len(shown.edges_s), len(shown.counts)) == (41, 40)
    assert (shown.edges_s[0], shown.edges_s[12], shown.edges_s[-1]) == (1e-6, 0.001, 10_000.0)
    assert [index for index, items in enumerate(shown.counts) if items] == [0, 13, 39]


def test_the_ten_slowest_items_are_kept_each_once() -> None:
    costs = [0.001 * (index % 997) for index in range(30_000)]
    report = report_of([*chunks(costs), told.ChunkDone(2.0, 0, 996, 1, 1, busy=0.9, slowest=((996, 0.9),))])
    assert len(report.slowest) == 10
    assert len({item for item, _ in report.slowest}) == 10
    assert all(seconds == pytest.approx(0.996) for _, seconds in report.slowest)


def test_without_figures_of_items_the_mean_stands_in() -> None:
    costs = report_of([told.ChunkDone(1.0, 0, 0, 4, ok=4, busy=0.4)]).costs
    assert (costs.count, costs.min_s, costs.max_s, costs.p50_s) == (4, 0.1, 0.1, 0.1)
    assert costs.slowest == ()


def test_without_the_least_cost_its_bin_stands_in() -> None:
    costs = report_of([told.ChunkDone(1.0, 0, 0, 2, ok=2, busy=0.11, costs=histogram([0.01, 0.1]))]).costs
    assert costs.min_s == pytest.approx(0.01, rel=0.13)


def test_no_costs_are_no_figures() -> None:
    costs = report_of([]).costs
    assert (costs.count, costs.min_s, costs.mean_s, costs.p50_s, costs.max_s) == (0, None, None, None, None)
