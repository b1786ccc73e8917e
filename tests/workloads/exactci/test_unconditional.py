"""Unconditional intervals against a finer grid and against the definition."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from .conftest import numbers


def test_ends_of_a_finer_grid_are_met(shared_data: Path) -> None:
    """2,001 nuisance points and steps of 0.005 (README of the reference data)."""
    with open(shared_data / "exactci" / "unconditional.csv", newline="") as file:
        for row in csv.DictReader(file):
            found = numbers(tuple(int(row[cell]) for cell in "abcd"), "unconditional", float(row["alpha"]))
            for name in ("lower", "upper"):
                wanted = float(row[name])
                assert found[name] == (wanted if wanted in {0.0, math.inf} else pytest.approx(wanted, rel=1e-5))


def scanned_p_value(table: tuple[int, int, int, int], log_theta: float) -> float:
    """The definition with NumPy: scores of all tables, a fine grid of the nuisance parameter, no refinement."""
    a, b, c, d = table
    n1, n2, theta = a + b, c + d, math.exp(log_theta)
    x1, x2 = np.meshgrid(np.arange(n1 + 1), np.arange(n2 + 1), indexing="ij")
    total = x1 + x2
    square, linear = n2 * (theta - 1), n1 * theta + n2 - total * (theta - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(linear**2 + 4 * square * total)
        p2 = total / (n1 + n2) if theta == 1.0 else (root - linear) / (2 * square)
        p1 = theta * p2 / (1 + p2 * (theta - 1))
        score = (x1 - n1 * p1) ** 2 * (1 / (n1 * p1 * (1 - p1)) + 1 / (n2 * p2 * (1 - p2)))
    score[(total == 0) | (total == n1 + n2)] = 0.0
    extreme = score >= score[a, c] * (1 - 1e-9)
    pi = 1 / (1 + np.exp(-np.linspace(-12, 12, 1501)))
    rho = theta * pi / (1 - pi + theta * pi)
    binomials = [
        np.array([math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]) for n, p in ((n1, rho), (n2, pi))
    ]
    return float(np.einsum("ig,ij,jg->g", binomials[0], extreme, binomials[1]).max())


@pytest.mark.parametrize("table", [(7, 3, 2, 8), (2, 6, 11, 5), (4, 1, 2, 2), (1, 9, 3, 2)])
def test_ends_are_where_the_scanned_p_value_leaves_alpha(table: tuple[int, int, int, int]) -> None:
    found = numbers(table, "unconditional", 0.05)
    for end, outwards in ((found["upper"], 1), (found["lower"], -1)):
        here = math.log(end)
        assert scanned_p_value(table, here - outwards * 1e-3) > 0.05
        assert all(scanned_p_value(table, here + outwards * step) <= 0.05 for step in (1e-3, 0.02, 0.1, 0.5, 1.0))


@pytest.mark.parametrize("table", [(7, 3, 2, 8), (3, 1, 1, 3), (0, 4, 4, 1), (5, 5, 2, 8)])
def test_the_p_value_is_the_supremum(table: tuple[int, int, int, int]) -> None:
    found = numbers(table, "unconditional", 0.05)["p_value"]
    scanned = scanned_p_value(table, 0.0)
    assert scanned - 1e-12 <= found <= scanned + 1e-4
