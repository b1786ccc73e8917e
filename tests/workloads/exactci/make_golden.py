"""Makes ``golden_values.py``: intervals straight from their definition, in 40-digit arithmetic, slowly.

Shares no code and no idea with the package: binomial coefficients are written out, the p-value of a method is summed
from its definition, and an end of an interval is found by walking outwards in steps of 0.01 of the log odds ratio and
halving the last step that p crosses. Run it as ``python -m tests.workloads.exactci.make_golden``.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import mpmath as mp

mp.mp.dps = 40
ALPHAS = (0.05, 0.1)
METHODS = ("conditional", "midp", "blaker", "minlike")
STEP = mp.mpf("0.01")
FAR = 60
HALVINGS = 110
TABLES = 24

Table = tuple[int, int, int, int]


def law(table: Table, log_odds: mp.mpf) -> tuple[int, list[mp.mpf]]:
    """Smallest count of the first cell, and the probabilities of all counts given the margins."""
    a, b, c, d = table
    n1, n2, m = a + b, c + d, a + c
    low, high = max(0, m - n2), min(n1, m)
    odds = mp.e**log_odds
    weights = [mp.binomial(n1, k) * mp.binomial(n2, m - k) * odds**k for k in range(low, high + 1)]
    total = mp.fsum(weights)
    return low, [weight / total for weight in weights]


def p_value(method: str, table: Table, log_odds: mp.mpf) -> mp.mpf:
    """The two-sided p-value of an odds ratio, as its method defines it."""
    low, f = law(table, log_odds)
    at = table[0] - low
    below = [mp.fsum(f[: k + 1]) for k in range(len(f))]
    above = [mp.fsum(f[k:]) for k in range(len(f))]
    nearly = 1 + mp.mpf(10) ** -30
    if method == "conditional":
        return min(mp.mpf(1), 2 * min(below[at], above[at]))
    if method == "midp":
        return min(mp.mpf(1), 2 * (min(below[at], above[at]) - f[at] / 2))
    if method == "blaker":
        bound = min(below[at], above[at]) * nearly
        return mp.fsum(f[k] for k in range(len(f)) if min(below[k], above[k]) <= bound)
    return mp.fsum(f[k] for k in range(len(f)) if f[k] <= f[at] * nearly)


def estimate(table: Table) -> mp.mpf:
    """The log odds ratio under which the observed count is the expected one."""

    def excess(log_odds: mp.mpf) -> mp.mpf:
        low, f = law(table, log_odds)
        return mp.fsum((low + k) * p for k, p in enumerate(f)) - table[0]

    low, high = mp.mpf(-FAR), mp.mpf(FAR)
    for _ in range(HALVINGS + 20):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return (low + high) / 2


def end(inside: Callable[[mp.mpf], bool], start: mp.mpf, direction: int) -> mp.mpf:
    """The outermost log odds ratio that is inside, walking in from far out."""
    reach = start
    while inside(reach) or reach == start:
        reach += direction * 1
        if abs(reach - start) > FAR:
            return mp.mpf(direction) * mp.inf
    outer = reach + direction * 2
    while not inside(outer):
        outer -= direction * STEP
    good, bad = outer, outer + direction * STEP
    for _ in range(HALVINGS):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if inside(middle) else (good, middle)
    return good


def interval(method: str, table: Table, alpha: float) -> tuple[mp.mpf, mp.mpf]:
    """Lower and upper end as odds ratios."""
    a, b, c, d = table
    low, high = max(0, a + c - (c + d)), min(a + b, a + c)
    start = estimate(table) if low < a < high else mp.mpf(0)
    if a == low:
        start = mp.mpf(-8)
    if a == high:
        start = mp.mpf(8)
    inside: Callable[[mp.mpf], bool] = lambda eta: p_value(method, table, eta) > mp.mpf(str(alpha))
    lower = mp.mpf(0) if a == low else mp.e ** end(inside, start, -1)
    upper = mp.inf if a == high else mp.e ** end(inside, start, 1)
    return lower, upper


def tables() -> Iterator[Table]:
    """Small tables: some with a zero in each place, some with equal rows, and others at random."""
    yield from ((0, 5, 3, 4), (5, 0, 3, 4), (3, 4, 0, 5), (3, 4, 5, 0), (2, 2, 2, 2), (1, 3, 3, 1), (4, 2, 4, 2))
    draw = random.Random(7)
    seen: set[Table] = set()
    while len(seen) < TABLES:
        a, b, c, d = (draw.randint(0, 9) for _ in range(4))
        if min(a + b, c + d, a + c, b + d) > 0 and (a, b, c, d) not in seen:
            seen.add((a, b, c, d))
            yield a, b, c, d


def rows() -> Iterator[str]:
    """One line of the module a table, alpha and method."""
    for table, alpha, method in itertools.product(tables(), ALPHAS, METHODS):
        lower, upper = interval(method, table, alpha)
        ends = ", ".join("inf" if mp.isinf(x) else mp.nstr(x, 17) for x in (lower, upper))
        p = mp.nstr(p_value(method, table, mp.mpf(0)), 17)
        yield f'    ({table}, {alpha}, "{method}", {ends}, {p}),\n'


def main() -> None:
    """Write the module."""
    text = (
        '"""Intervals and p-values of small tables, made by ``make_golden.py`` in 40-digit arithmetic with mpmath.\n\n'
        'Each row: table (a, b, c, d), alpha, method, lower and upper end of the odds ratio, p-value.\n"""\n\n'
        "from __future__ import annotations\n\nfrom math import inf\n\n"
        "GOLDEN: list[tuple[tuple[int, int, int, int], float, str, float, float, float]] = [\n"
    )
    Path(__file__).with_name("golden_values.py").write_text(text + "".join(rows()) + "]\n", "utf-8")


if __name__ == "__main__":
    main()
