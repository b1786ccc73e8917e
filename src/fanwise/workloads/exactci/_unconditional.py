"""Unconditional exact intervals: the nuisance probability is maximised over, not conditioned away.

The p-value of an odds ratio theta is the largest probability, over the success probability pi of the second row, of all
tables whose score statistic is at least that of the observed table (Agresti & Min 2002, Biostatistics 3:379-386;
Miettinen & Nurminen 1985 for the statistic). Margins n1 and n2 are fixed, so there are (n1+1)(n2+1) tables: seconds of
work each, where the other methods take microseconds.
"""

from __future__ import annotations

import math

import numpy as np

from fanwise.workloads.exactci._jit import entry, inner

__all__ = ["solve_unconditional"]

GRID = 512
REACH = 12.0  # the grid is uniform in logit pi from -12 to 12
REFINED = 3
GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
STEP = 0.02  # in log theta
CLOSE = 1e-6
TIE = 1.0 - 1e-9


@inner
def _score(x1: float, x2: float, n1: float, n2: float, theta: float) -> float:
    """Score statistic for the odds ratio theta."""
    total = x1 + x2
    if total * (n1 + n2 - total) == 0.0:
        return 0.0
    square, linear = n2 * (theta - 1.0), n1 * theta + n2 - total * (theta - 1.0)
    root = math.sqrt(linear * linear + 4.0 * square * total)
    p2 = 2.0 * total / (linear + root) if linear > 0.0 else 0.5 * (root - linear) / square
    p1 = theta * p2 / (1.0 + p2 * (theta - 1.0))
    residual = x1 - n1 * p1
    return residual * residual * (1.0 / (n1 * p1 * (1.0 - p1)) + 1.0 / (n2 * p2 * (1.0 - p2)))


@inner
def _extreme(x1: float, x2: float, theta: float, edges: np.ndarray) -> None:
    """Mark the tables whose score is at least that of (x1, x2).

    Row i of ``edges`` holds, after their number, the second counts at which the mark changes, from unmarked.
    """
    n1, n2 = edges.shape[0] - 1, edges.shape[1] - 3
    limit = _score(x1, x2, n1, n2, theta) * TIE
    for i in range(n1 + 1):
        count, marked = 0, False
        for j in range(n2 + 1):
            if (_score(i, j, n1, n2, theta) >= limit) != marked:
                marked = not marked
                count += 1
                edges[i, count] = j
        if marked:
            count += 1
            edges[i, count] = n2 + 1
        edges[i, 0] = count


@inner
def _weights(n: int, odds: float, out: np.ndarray) -> None:
    """Binomial probabilities of 0 … n, outwards from the mode."""
    mode = min(n, int((n + 1) * odds / (1.0 + odds)))
    out[mode] = total = 1.0
    for k in range(mode, n):
        out[k + 1] = out[k] * (n - k) / (k + 1.0) * odds
        total += out[k + 1]
    for k in range(mode, 0, -1):
        out[k - 1] = out[k] * k / ((n - k + 1.0) * odds)
        total += out[k - 1]
    for k in range(n + 1):
        out[k] /= total


@inner
def _probability(edges: np.ndarray, theta: float, logit: float, row: np.ndarray, sums: np.ndarray) -> float:
    """Probability of the marked tables; ``row`` and ``sums`` are scratch."""
    n1, n2 = edges.shape[0] - 1, edges.shape[1] - 3
    odds = math.exp(logit)
    _weights(n1, theta * odds, row)
    _weights(n2, odds, sums)
    before = 0.0
    for j in range(n2 + 1):
        before, sums[j] = before + sums[j], before
    sums[n2 + 1] = before
    total = 0.0
    for i in range(n1 + 1):
        share = 0.0
        for k in range(2, edges[i, 0] + 1, 2):
            share += sums[edges[i, k]] - sums[edges[i, k - 1]]
        total += row[i] * share
    return total


@inner
def _refined(edges: np.ndarray, theta: float, logit: float, row: np.ndarray, sums: np.ndarray) -> float:
    """Maximum between the neighbours of a grid point, by golden section."""
    width = 2.0 * REACH / (GRID - 1)
    low, high = logit - width, logit + width
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = _probability(edges, theta, left, row, sums), _probability(edges, theta, right, row, sums)
    while high - low > 1e-7:
        if at_left > at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = _probability(edges, theta, left, row, sums)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = _probability(edges, theta, right, row, sums)
    return max(at_left, at_right)


@inner
def _p_value(
    table: tuple[float, float], theta: float, enough: float, edges: np.ndarray, row: np.ndarray, sums: np.ndarray
) -> float:
    """Largest probability over the nuisance parameter, or any that exceeds ``enough``."""
    _extreme(table[0], table[1], theta, edges)
    values = np.empty(GRID)
    for k in range(GRID):
        values[k] = _probability(edges, theta, -REACH + 2.0 * REACH * k / (GRID - 1), row, sums)
        if values[k] > enough:
            return float(values[k])
    best = float(values.max())
    for _ in range(REFINED):
        peak = int(values.argmax())
        values[peak] = -1.0
        best = max(best, _refined(edges, theta, -REACH + 2.0 * REACH * peak / (GRID - 1), row, sums))
        if best > enough:
            break
    return best


@inner
def _upper(a: float, b: float, c: float, d: float, alpha: float, conditional: float) -> float:
    """Last theta on a fine grid whose p-value exceeds alpha, searched from twice the conditional distance inwards."""
    if b * c == 0.0:
        return math.inf
    edges = np.empty((int(a + b) + 1, int(c + d) + 3), np.int64)
    row, sums = np.empty(int(a + b) + 1), np.empty(int(c + d) + 2)
    start = math.log((a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5)))
    steps = int(2.0 * (math.log(conditional) - start) / STEP) + 1
    while steps > 0 and _p_value((a, c), math.exp(start + STEP * steps), alpha, edges, row, sums) <= alpha:
        steps -= 1
    low, high = start + STEP * steps, start + STEP * (steps + 1)
    while high - low > CLOSE:
        middle = 0.5 * (low + high)
        if _p_value((a, c), math.exp(middle), alpha, edges, row, sums) > alpha:
            low = middle
        else:
            high = middle
    return math.exp(0.5 * (low + high))


@entry
def solve_unconditional(tables: np.ndarray, alpha: float, ends: np.ndarray, out: np.ndarray) -> None:
    """Fill the rows lower, upper and p-value of ``out``; with an empty margin, or with ends ``nan``, they stay.

    Parameters
    ----------
    tables : ndarray of int64, shape (N, 4)
    alpha : float
    ends : ndarray of float64, shape (2, N)
        Lower and upper ends of the conditional method.
    out : ndarray of float64, shape (3, N)
    """
    for i in range(tables.shape[0]):
        a, b, c, d = float(tables[i, 0]), float(tables[i, 1]), float(tables[i, 2]), float(tables[i, 3])
        n1, n2 = a + b, c + d
        if n1 * n2 == 0.0 or (a + c) * (b + d) == 0.0 or math.isnan(ends[0, i]):
            continue
        out[0, i] = 1.0 / _upper(b, a, d, c, alpha, 1.0 / ends[0, i] if ends[0, i] > 0.0 else math.inf)
        out[1, i] = _upper(a, b, c, d, alpha, ends[1, i])
        edges = np.empty((int(n1) + 1, int(n2) + 3), np.int64)
        out[2, i] = _p_value((a, c), 1.0, 2.0, edges, np.empty(int(n1) + 1), np.empty(int(n2) + 2))
