"""The reality check and SPA against their definitions written as loops, and properties of the running maxima."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.workloads.modelsearch import _multiplicity
from fanwise.workloads.modelsearch._config import Multiplicity as Rule
from fanwise.workloads.modelsearch._funnel import statement
from fanwise.workloads.modelsearch._multiplicity import Maxima, combined, conclude, maxima, sidak, weights


def samples(rule: Rule, rows: int) -> np.ndarray:
    """The stationary bootstrap of Politis and Romano, drawn one row after the other as the definition says."""
    rng = np.random.Generator(np.random.PCG64(rule.seed))
    start = rng.integers(0, rows, size=(rule.bootstrap, rows))
    u = rng.random((rule.bootstrap, rows))
    drawn = np.empty((rule.bootstrap, rows), dtype=int)
    for b in range(rule.bootstrap):
        drawn[b, 0] = start[b, 0]
        for t in range(1, rows):
            drawn[b, t] = start[b, t] if u[b, t] < 1 / rule.block else (drawn[b, t - 1] + 1) % rows
    return drawn


def reality_check(gains: np.ndarray, rule: Rule) -> tuple[float, np.ndarray]:
    rows = gains.shape[1]
    mean = gains.mean(axis=1)
    drawn = samples(rule, rows)
    bootstrap = [max(np.sqrt(rows) * (gains[:, idx].mean(axis=1) - mean)) for idx in drawn]
    return max(np.sqrt(rows) * mean), np.array(bootstrap)


def spa(gains: np.ndarray, rule: Rule) -> tuple[float, np.ndarray]:
    """Hansen's consistent version: studentised, and only what is not far below the benchmark is recentred."""
    rows = gains.shape[1]
    mean = gains.mean(axis=1)
    drawn = samples(rule, rows)
    means = np.array([gains[:, idx].mean(axis=1) for idx in drawn])
    omega = np.sqrt(rows * np.mean((means - mean) ** 2, axis=0))
    kept = np.sqrt(rows) * mean / omega >= -np.sqrt(2 * np.log(np.log(rows)))
    statistic = max(0.0, (np.sqrt(rows) * mean / omega).max())
    bootstrap = (np.sqrt(rows) * (means - np.where(kept, mean, 0.0)) / omega).max(axis=1)
    return statistic, np.maximum(bootstrap, 0.0)


def gains_of(seed: int, models: int, rows: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((models, rows)) + rng.normal(-0.2, 0.5, (models, 1))


@given(st.integers(0, 1000), st.integers(2, 30), st.floats(1, 20))
@settings(max_examples=15)
def test_the_reality_check_is_its_definition(seed: int, rows: int, block: float) -> None:
    rule = Rule(bootstrap=40, block=block, seed=seed)
    gains = gains_of(seed, 7, rows)
    found = maxima(weights(rule, rows), gains)
    observed, bootstrap = reality_check(gains, rule)
    np.testing.assert_allclose(found.observed, observed, rtol=1e-12)
    np.testing.assert_allclose(found.bootstrap, bootstrap, rtol=1e-9, atol=1e-12)
    assert conclude(rule, 0.1, 7, found).p == np.mean(bootstrap >= observed)


@given(st.integers(0, 1000), st.integers(4, 30))
@settings(max_examples=15)
def test_spa_is_its_definition(seed: int, rows: int) -> None:
    rule = Rule(method="spa", bootstrap=40, seed=seed)
    gains = gains_of(seed, 7, rows)
    verdict = conclude(rule, 0.1, 7, maxima(weights(rule, rows), gains))
    statistic, bootstrap = spa(gains, rule)
    np.testing.assert_allclose(verdict.statistic, statistic, rtol=1e-9, atol=1e-12)
    assert verdict.p == np.mean(bootstrap >= statistic)


@pytest.mark.parametrize("method", ["reality-check", "spa"])
@pytest.mark.parametrize("cut", [1, 3, 50, 99])
def test_maxima_do_not_depend_on_how_the_search_is_cut(method: str, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_multiplicity, "ROWS_AT_ONCE", 16)
    drawn = weights(Rule(method=method, bootstrap=30), 12)
    gains = gains_of(1, 100, 12)
    whole = maxima(drawn, gains)
    parts = combined(maxima(drawn, gains[cut:]), maxima(drawn, gains[:cut]))
    np.testing.assert_allclose(parts.observed, whole.observed, rtol=1e-12)
    np.testing.assert_allclose(parts.bootstrap, whole.bootstrap, rtol=1e-12)


def test_every_sample_has_as_many_rows_as_the_test() -> None:
    drawn = weights(Rule(bootstrap=25), 9)
    np.testing.assert_allclose(drawn.deviations.sum(axis=0), 0, atol=1e-12)
    assert drawn.deviations.shape == (9, 25)


def test_without_test_rows_or_method_there_is_no_check() -> None:
    assert weights(Rule(), 0) is None
    assert weights(Rule(method="none"), 10) is None
    verdict = conclude(Rule(), None, 1000, None)
    assert (verdict.method, verdict.p, verdict.statistic, verdict.expected_by_chance) == ("none", None, None, 50.0)


def test_a_model_that_is_the_benchmark_neither_helps_nor_harms() -> None:
    for method in ("reality-check", "spa"):
        drawn = weights(Rule(method=method, bootstrap=20), 8)
        found = maxima(drawn, np.zeros((1, 8)))
        assert conclude(Rule(method=method, bootstrap=20), 0.1, 1, found).p in {1.0, None}


def test_nothing_estimable_is_no_check() -> None:
    found = maxima(weights(Rule(bootstrap=5), 8), np.empty((0, 8)))
    assert conclude(Rule(bootstrap=5), 0.1, 3, found).method == "none"


def test_a_driver_that_matters_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(3)
    rule = Rule(bootstrap=200)
    noise = rng.standard_normal((50, 40))
    good = np.vstack([noise, rng.standard_normal((1, 40)) + 2.0])
    drawn = weights(rule, 40)
    assert conclude(rule, 0.1, 51, maxima(drawn, good)).p < 0.02
    assert conclude(rule, 0.1, 50, maxima(drawn, noise)).p > 0.1


def test_sidak_counts_every_specification() -> None:
    p = np.array([0.0, 1e-12, 0.001, 1.0, np.nan])
    np.testing.assert_allclose(sidak(p, 1000), [0.0, 1e-9, 1 - 0.999**1000, 1.0, np.nan], rtol=1e-6)


def test_the_statement_says_what_chance_would_give() -> None:
    rule = Rule(bootstrap=4)
    found = conclude(rule, 0.1, 1988, Maxima(1.0, np.array([0.5, 1.0, 2.0, 0.1])))
    assert statement(found) == "Searched 1,988 models: at p<0.1 about 198.8 pass by chance; reality-check p = 0.5."
    assert statement(conclude(rule, 0.1, 10, None)).endswith("no reality check without test rows.")
