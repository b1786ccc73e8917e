"""Exact intervals for the odds ratio of one 2×2 table after the other, in the subset of Python that Numba compiles.

Given its margins, the count K in the first cell of a table ``a b / c d`` has Fisher's noncentral hypergeometric law.
Weights are relative to the observed table: moving one count up the diagonal multiplies them by
``theta * b * c / ((a + 1) * (d + 1))``, so no logarithm of a factorial and no sum over the whole support is needed.
With ``F`` the probability of K ≤ a and ``G_k`` that of K ≥ k (both at odds ratio theta), the upper end is, by method,

conditional
    the theta where F = alpha/2 (Cornfield 1956; the two tails of Fisher's exact test)
midp
    the theta where F less half the probability of a itself = alpha/2 (Lancaster 1961; Berry & Armitage 1995)
blaker, minlike
    the largest theta whose p-value exceeds alpha; the p-value is F plus the part of the other tail that is at most as
    likely, by tail probability (Blaker 2000, Canad. J. Statist. 28:783-798) or by point probability (Fay 2010,
    Biostatistics 11:373-374). It jumps where a further k joins the other tail and is quasi-convex between jumps.

The lower end is one over the upper end of the table with its columns exchanged: there is no second code path.
All functions are in this file because Numba's cache on disk watches the file of the entry point only.
"""

from __future__ import annotations

import math

import numpy as np

from fanwise.workloads.exactci._jit import entry, inner

__all__ = ["BLAKER", "CONDITIONAL", "GREATER", "LESS", "MIDP", "MINLIKE", "TWO_SIDED", "WALD", "solve"]

CONDITIONAL, MIDP, BLAKER, MINLIKE, WALD = range(5)
TWO_SIDED, GREATER, LESS = range(3)

REST = 1e-19  # a tail ends when what is left of it is below this share of the sum
HUGE = 1e290  # weights above this mean a probability below 1e-290
TIE = 1.0 + 1e-7  # R's fisher.test: equally likely tables differ by rounding (for p-values only, never for ends)
PASSES = 100

Cells = tuple[float, float, float, float]


@inner
def _mirror(cells: Cells) -> Cells:
    """Exchange the columns: K becomes n1 - K and theta its inverse."""
    a, b, c, d = cells
    return b, a, d, c


@inner
def _shift(cells: Cells, steps: float) -> Cells:
    a, b, c, d = cells
    return a + steps, b - steps, c - steps, d + steps


@inner
def _ratio(cells: Cells, theta: float) -> float:
    """Weight of the next table up the diagonal over that of this one; 0 at the end of the support."""
    a, b, c, d = cells
    return theta * b * c / ((a + 1.0) * (d + 1.0))


@inner
def _tail(cells: Cells, theta: float) -> tuple[float, float, float]:
    """Weights of all tables above this one: their sum, and their first and second moments about this one."""
    a, b, c, d = cells
    weight, steps, total, first, second = 1.0, 0.0, 0.0, 0.0, 0.0
    ratio = _ratio(cells, theta)
    while ratio > 0.0:
        weight *= ratio
        steps += 1.0
        total += weight
        moment = steps * weight
        first += moment
        second += steps * moment
        ratio = theta * (b - steps) * (c - steps) / ((a + steps + 1.0) * (d + steps + 1.0))
        if ratio < 1.0:
            if weight * ratio < REST * (1.0 - ratio) * (1.0 + total):
                break
        elif weight > HUGE:
            return math.inf, math.inf, math.inf
    return total, first, second


@inner
def _log_share(cells: Cells, theta: float, own: float, far: tuple[float, float, float]) -> tuple[float, float]:
    """Log of a p-value and its derivative in log theta.

    The p-value is the share of: all tables below, ``own`` of the table itself, and all tables beyond the one ``far[0]``
    steps up, whose weight at theta = ``far[2]`` is ``far[1]`` (0 steps: no such part).
    """
    above, above_first, _ = _tail(cells, theta)
    below, below_first, _ = _tail(_mirror(cells), 1.0 / theta)
    whole = 1.0 + below + above
    part, part_first = own + below, -below_first
    steps, weight, at = far
    if steps > 0.0:
        beyond, beyond_first, _ = _tail(_shift(cells, steps), theta)
        scale = weight * math.exp(steps * math.log(theta / at))
        part += scale * beyond
        part_first += scale * (steps * beyond + beyond_first)
    return math.log(part) - math.log(whole), part_first / part - (above_first - below_first) / whole


@inner
def _log_odds_of_tails(cells: Cells, theta: float, far: tuple[float, float, float]) -> tuple[float, float]:
    """Log of F over G of the table ``far[0]`` steps up, and its derivative in log theta."""
    below, below_first, _ = _tail(_mirror(cells), 1.0 / theta)
    steps, weight, at = far
    beyond, beyond_first, _ = _tail(_shift(cells, steps), theta)
    value = math.log((1.0 + below) / (weight * (1.0 + beyond))) - steps * math.log(theta / at)
    return value, -below_first / (1.0 + below) - steps - beyond_first / (1.0 + beyond)


@inner
def _log_odds_of_moments(cells: Cells, theta: float) -> tuple[float, float]:
    """Zero where E[K] = a: log of the first moments below over above, and its derivative in log theta."""
    _, above, above_second = _tail(cells, theta)
    _, below, below_second = _tail(_mirror(cells), 1.0 / theta)
    return math.log(below) - math.log(above), -below_second / below - above_second / above


TAILS_EQUAL, MOMENTS_EQUAL = -1.0, -2.0


@inner
def _root(
    cells: Cells, own: float, far: tuple[float, float, float], level: float, theta: float, low: float, high: float
) -> float:
    """Newton's method in log theta on a falling function, kept inside a bracket.

    ``own`` selects the function: a share of the table itself for `_log_share`, else one of the two names above.
    """
    before, moved = math.inf, 1.0
    for _ in range(PASSES):
        if own == TAILS_EQUAL:
            value, slope = _log_odds_of_tails(cells, theta, far)
        elif own == MOMENTS_EQUAL:
            value, slope = _log_odds_of_moments(cells, theta)
        else:
            value, slope = _log_share(cells, theta, own, far)
        value -= level
        step = -value / slope if slope < 0.0 else math.nan
        # Accept before looking at the bracket, which rounding makes a step leave near the root. The change of slope
        # over the last step bounds what one more step could add.
        bound = 1e-14 * abs(slope * moved)
        if abs(value) < 2e-15 or abs(step) < 1e-15:
            return theta * math.exp(step)
        if abs(step) < 1e-3 * abs(moved) and abs(slope - before) * step * step < bound:
            return theta * math.exp(step)
        if value > 0.0:
            low = theta
        else:
            high = theta
        following = theta * math.exp(min(8.0, max(-8.0, step))) if abs(step) < math.inf else math.nan
        if not low < following < high:
            following = _between(low, high)
        before, moved = slope, math.log(following / theta)
        theta = following
    return theta


@inner
def _between(low: float, high: float) -> float:
    """Middle of a bracket in log theta; a bracket without one of its ends is searched outwards."""
    if low == 0.0:
        return high * math.exp(-4.0)
    if high == math.inf:
        return low * math.exp(4.0)
    return math.sqrt(low) * math.sqrt(high)


@inner
def _wald(cells: Cells) -> tuple[float, float]:
    """Log odds ratio and its standard error, half a count added to each cell (Haldane 1956, Anscombe 1956)."""
    a, b, c, d = cells
    a, b, c, d = a + 0.5, b + 0.5, c + 0.5, d + 0.5
    return math.log(a * d / (b * c)), math.sqrt(1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d)


@inner
def _upper_tail(cells: Cells, own: float, alpha: float, z: float) -> float:
    """The end of conditional (own share 1) and of midp (own share ½)."""
    log_odds, error = _wald(cells)
    start = math.exp(log_odds + z * error)
    return _root(cells, own, (0.0, 1.0, 1.0), math.log(0.5 * alpha), start, 0.0, math.inf)


@inner
def _last_likelier(cells: Cells, theta: float, limit: float) -> tuple[float, float, float]:
    """Find the last table up the diagonal whose own upper tail exceeds ``limit``.

    Returns how many steps up it is (0: none is), its weight, and the sum of weights beyond it. The tail is summed from
    its far end inwards: subtracting from the whole loses digits.
    """
    steps, weight, ratio = 0.0, 1.0, _ratio(cells, theta)
    while ratio > 0.0:
        weight *= ratio
        steps += 1.0
        ratio = _ratio(_shift(cells, steps), theta)
        if ratio < 1.0 and weight * ratio < REST * (1.0 - ratio) * limit:
            break
    beyond = 0.0
    while steps > 0.0:
        if beyond + weight > limit:
            return steps, weight, beyond
        beyond += weight
        steps -= 1.0
        weight /= _ratio(_shift(cells, steps), theta)
    return 0.0, 1.0, beyond


@inner
def _upper_blaker(cells: Cells, alpha: float, z: float) -> float:
    """Last jump of the p-value before the conditional end, or the root between the two.

    At each later jump p = 2 F ≤ alpha, and between jumps p = 1 - P(a < K < k) is quasi-convex, because the probability
    of an interval is unimodal in an exponential family; so nothing further out exceeds alpha.
    """
    outer = _upper_tail(cells, 1.0, alpha, z)
    below, _, _ = _tail(_mirror(cells), 1.0 / outer)
    steps, weight, beyond = _last_likelier(cells, outer, 1.0 + below)
    far = (steps, weight, outer)
    jump = _root(cells, TAILS_EQUAL, far, 0.0, outer, 0.0, math.inf)
    if beyond == 0.0:
        far = (0.0, 1.0, 1.0)
    level = math.log(alpha)
    right_of_jump, _ = _log_share(cells, jump, 1.0, far)
    if right_of_jump <= level:
        return jump
    return _root(cells, 1.0, far, level, jump, jump, outer)


@inner
def _carry(cells: Cells, theta: float, weight: float, steps: float, target: float) -> float:
    """Weight of the table ``target`` steps up, from that of the table ``steps`` up."""
    while steps < target:
        weight *= _ratio(_shift(cells, steps), theta)
        steps += 1.0
    while steps > target:
        steps -= 1.0
        weight /= _ratio(_shift(cells, steps), theta)
    return weight


@inner
def _jump_exceeds(cells: Cells, theta: float, steps: float, alpha: float) -> bool:
    """True if F + G_k > alpha at the jump of k, where the tables a and k are equally likely."""
    above, _, _ = _tail(cells, theta)
    below, _, _ = _tail(_mirror(cells), 1.0 / theta)
    beyond, _, _ = _tail(_shift(cells, steps), theta)
    return 2.0 + below + beyond > alpha * (1.0 + below + above)


@inner
def _mirror_image(cells: Cells, theta: float) -> float:
    """Steps up to the last table that is at least as likely as this one; at least 1."""
    end = min(cells[1], cells[2])
    steps, weight, ratio = 0.0, 1.0, _ratio(cells, theta)
    while steps < end and (steps == 0.0 or ratio >= 1.0 or weight * ratio >= 1.0):
        weight *= ratio
        steps += 1.0
        ratio = _ratio(_shift(cells, steps), theta)
    return steps


@inner
def _candidate(inside: float, outside: float, end: float, stride: float) -> float:
    """Gallop away from the end of the bracket that was found first; with both ends found, halve it."""
    if outside > end:
        target = inside + stride
    elif inside == 1.0:
        target = outside - stride
    else:
        target = outside
    return target if inside < target < outside else math.floor(0.5 * (inside + outside))


@inner
def _last_jump(cells: Cells, alpha: float, reference: float) -> tuple[float, float]:
    """Find the last k whose jump has a p-value above alpha: steps up to it, and the theta of its jump.

    The tables a and k are equally likely at ``reference * weight ** (-1 / steps)``, weight being that of k at
    ``reference``. Jumps move out with k and the p-values at them fall (no counterexample in 37,688 tables, not proven).
    """
    end = min(cells[1], cells[2])
    inside, outside, stride = 1.0, end + 1.0, 1.0
    inside_weight = _ratio(cells, reference)
    target = _mirror_image(cells, reference)
    while outside - inside > 1.0:
        weight = _carry(cells, reference, inside_weight, inside, target)
        if weight > 1.0 / HUGE and _jump_exceeds(cells, _jump(reference, weight, target), target, alpha):
            inside, inside_weight = target, weight
        else:
            outside = target
        target = _candidate(inside, outside, end, stride)
        stride *= 2.0
    return inside, _jump(reference, inside_weight, inside)


@inner
def _jump(reference: float, weight: float, steps: float) -> float:
    return reference * math.exp(-math.log(weight) / steps)


@inner
def _upper_minlike(cells: Cells, alpha: float, z: float) -> float:
    """Last jump whose p-value exceeds alpha, or the root between it and the next jump."""
    steps, jump = _last_jump(cells, alpha, _upper_tail(cells, 1.0, alpha, z))
    end = min(cells[1], cells[2])
    far, following = (0.0, 1.0, 1.0), math.inf
    if steps < end:
        far = (steps, 1.0, jump)
        following = _jump(jump, _ratio(_shift(cells, steps), jump), steps + 1.0)
    level = math.log(alpha)
    right_of_jump, _ = _log_share(cells, jump, 1.0, far)
    if right_of_jump <= level:
        return jump
    return _root(cells, 1.0, far, level, jump, jump, following)


@inner
def _upper(cells: Cells, method: int, alpha: float, z: float) -> float:
    _, b, c, _ = cells
    if b * c == 0.0:
        return math.inf
    if method == CONDITIONAL:
        return _upper_tail(cells, 1.0, alpha, z)
    if method == MIDP:
        return _upper_tail(cells, 0.5, alpha, z)
    if method == BLAKER:
        return _upper_blaker(cells, alpha, z)
    return _upper_minlike(cells, alpha, z)


@inner
def _interval(cells: Cells, method: int, alpha: float, z: float) -> tuple[float, float]:
    if method == WALD:
        log_odds, error = _wald(cells)
        return math.exp(log_odds - z * error), math.exp(log_odds + z * error)
    return 1.0 / _upper(_mirror(cells), method, alpha, z), _upper(cells, method, alpha, z)


@inner
def _estimate(cells: Cells) -> float:
    """Conditional maximum likelihood: the theta where E[K] = a."""
    a, b, c, d = cells
    if a * d == 0.0:
        return 0.0
    if b * c == 0.0:
        return math.inf
    return _root(cells, MOMENTS_EQUAL, (0.0, 1.0, 1.0), 0.0, a * d / (b * c), 0.0, math.inf)


@inner
def _unlikely_above(cells: Cells) -> float:
    """Sum of the weights above, at odds ratio 1, that do not exceed the table's own (ties counted)."""
    weight, steps, total = 1.0, 0.0, 0.0
    ratio = _ratio(cells, 1.0)
    while ratio > 0.0:
        weight *= ratio
        steps += 1.0
        if weight <= TIE:
            total += weight
        ratio = _ratio(_shift(cells, steps), 1.0)
        if ratio < 1.0 and weight * ratio < REST * (1.0 - ratio):
            break
    return total


@inner
def _tails_at_one(cells: Cells, method: int) -> float:
    """P-value of blaker and minlike at odds ratio 1, for a table whose lower tail is not the larger one."""
    above, _, _ = _tail(cells, 1.0)
    if above == math.inf:
        return 0.0
    mirror = _mirror(cells)
    below, _, _ = _tail(mirror, 1.0)
    if method == BLAKER:
        _, _, beyond = _last_likelier(cells, 1.0, (1.0 + below) * TIE)
        return (1.0 + below + beyond) / (1.0 + below + above)
    return (1.0 + _unlikely_above(cells) + _unlikely_above(mirror)) / (1.0 + below + above)


@inner
def _p_value(cells: Cells, method: int, side: int) -> float:
    """P-value at odds ratio 1."""
    if method == WALD:
        log_odds, error = _wald(cells)
        z = log_odds / error / math.sqrt(2.0)
        return math.erfc(abs(z)) if side == TWO_SIDED else 0.5 * math.erfc(z if side == GREATER else -z)
    above, _, _ = _tail(cells, 1.0)
    below, _, _ = _tail(_mirror(cells), 1.0)
    if method in (BLAKER, MINLIKE):
        return min(1.0, _tails_at_one(cells if below <= above else _mirror(cells), method))
    own = 0.5 if method == MIDP else 1.0
    if side == TWO_SIDED:
        return min(1.0, 2.0 * _share(own + min(below, above), max(below, above) + 1.0 - own))
    if side == GREATER:
        return _share(own + above, below + 1.0 - own)
    return _share(own + below, above + 1.0 - own)


@inner
def _share(part: float, rest: float) -> float:
    """Part over the whole; one of the two may be too large to be written."""
    return 1.0 / (1.0 + rest / part)


@entry
def solve(tables: np.ndarray, method: int, side: int, alpha: float, z: float, out: np.ndarray) -> None:
    """Fill the rows lower, upper, p-value, estimate and sample odds ratio of ``out``.

    Parameters
    ----------
    tables : ndarray of int64, shape (N, 4)
    method, side : int
        One of the constants of this module. ``side`` other than `TWO_SIDED` leaves one end of the interval open.
    alpha : float
        One less the confidence level of the two-sided interval; the finite end of a one-sided one is its end.
    z : float
        Normal quantile of ``1 - alpha/2``.
    out : ndarray of float64, shape (5, N)
    """
    for i in range(tables.shape[0]):
        a, b, c, d = float(tables[i, 0]), float(tables[i, 1]), float(tables[i, 2]), float(tables[i, 3])
        cells = (a, b, c, d)
        lower, upper, p_value, estimate, odds_ratio = 0.0, math.inf, 1.0, math.nan, math.nan
        if (a + b) * (c + d) > 0.0 and (a + c) * (b + d) > 0.0:
            lower, upper = _interval(cells, method, alpha, z)
            p_value = _p_value(cells, method, side)
            estimate = _estimate(cells)
            if b * c > 0.0:
                odds_ratio = a * d / (b * c)
            elif a * d > 0.0:
                odds_ratio = math.inf
        out[0, i] = 0.0 if side == LESS else lower
        out[1, i] = math.inf if side == GREATER else upper
        out[2, i] = p_value
        out[3, i] = estimate
        out[4, i] = odds_ratio
