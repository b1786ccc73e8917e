"""The methods straight from their definitions, in exact rational arithmetic; shares no code with fanwise."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import comb

Table = tuple[int, int, int, int]


@cache
def weights(table: Table) -> tuple[int, tuple[int, ...]]:
    """Smallest count of the first cell, and the number of arrangements of each count from there on."""
    a, b, c, d = table
    n1, n2, m = a + b, c + d, a + c
    low, high = max(0, m - n2), min(n1, m)
    return low, tuple(comb(n1, k) * comb(n2, m - k) for k in range(low, high + 1))


def law(table: Table, theta: Fraction) -> tuple[int, list[Fraction]]:
    """Fisher's noncentral hypergeometric probabilities; the first entry is the index of the observed count."""
    low, counts = weights(table)
    terms = [count * theta**k for k, count in enumerate(counts)]
    whole = sum(terms)
    return table[0] - low, [term / whole for term in terms]


def p_value(table: Table, method: str, theta: Fraction, tie: Fraction = Fraction(0)) -> Fraction:
    """P-value of odds ratio ``theta``; ``tie`` is a relative tolerance for equal probabilities."""
    i, f = law(table, theta)
    below = [sum(f[: k + 1]) for k in range(len(f))]
    above = [sum(f[k:]) for k in range(len(f))]
    smaller = [min(x, y) for x, y in zip(below, above)]
    if method == "conditional":
        return min(Fraction(1), 2 * smaller[i])
    if method == "midp":
        return min(Fraction(1), 2 * (smaller[i] - f[i] / 2))
    measure = smaller if method == "blaker" else f
    return sum((x for x, score in zip(f, measure) if score <= measure[i] * (1 + tie)), Fraction(0))
