"""What may be asked: methods, confidence level, alternative. No NumPy here, so that wrong questions are cheap."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, SupportsFloat

from fanwise.errors import UsageError

__all__ = ["ALL", "ALTERNATIVES", "METHODS", "ONE_SIDED", "Alternative", "Question", "ask", "check_tables"]

METHODS = ("conditional", "midp", "blaker", "minlike", "unconditional", "wald")
ALL = METHODS[:4]
"""What ``all`` means on the command line."""
ONE_SIDED = ("conditional", "midp", "wald")
"""Methods whose two tails can be taken apart."""

Alternative = Literal["two-sided", "less", "greater"]
ALTERNATIVES: tuple[Alternative, ...] = ("two-sided", "less", "greater")
LARGEST_STUDY = 4_000_000
SMALLEST_ALPHA = 1e-280  # below, weights relative to the observed table leave the range of double precision


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every table."""

    alpha: float
    alternative: Alternative

    @property
    def two_sided_alpha(self) -> float:
        """Level of the two-sided interval that has the wanted end."""
        return self.alpha if self.alternative == "two-sided" else 2.0 * self.alpha


def ask(methods: Sequence[str], alpha: float, alternative: str) -> Question:
    """Check what was asked.

    Raises
    ------
    UsageError
        If a method or the alternative is unknown, if alpha is out of range, or if a method has no one-sided form.
    """
    for method in methods:
        if method not in METHODS:
            raise UsageError(f"method {method!r} is unknown; {_allowed(method, METHODS)}")
    if alternative not in ALTERNATIVES:
        raise UsageError(f"alternative {alternative!r} is unknown; {_allowed(alternative, ALTERNATIVES)}")
    question = Question(_level(alpha), alternative)
    if alternative != "two-sided":
        _check_one_sided(methods, question)
    return question


def check_tables(n1: int, n2: int) -> None:
    """Check row totals of a coverage study.

    Raises
    ------
    UsageError
        If one is not a whole number ≥ 1, or they make more than 4·10⁶ tables.
    """
    for name, total in (("n1", n1), ("n2", n2)):
        if not isinstance(total, Real) or not 1 <= total < math.inf or int(total) != total:
            raise UsageError(f"{name} is {total!r}; a row total must be a whole number ≥ 1")
    tables = (int(n1) + 1) * (int(n2) + 1)
    if tables > LARGEST_STUDY:
        raise UsageError(f"n1 = {n1} and n2 = {n2} make {tables:,} tables; at most {LARGEST_STUDY:,}")


def _level(alpha: Any) -> float:
    level = float(alpha) if isinstance(alpha, SupportsFloat) and getattr(alpha, "ndim", 0) == 0 else math.nan
    if not 0.0 < level < 1.0:
        raise UsageError(f"alpha is {alpha!r}; it must lie between 0 and 1, for example 0.05")
    if level < SMALLEST_ALPHA:
        raise UsageError(f"alpha is {alpha!r}; the smallest that can be computed is {SMALLEST_ALPHA}")
    return level


def _check_one_sided(methods: Sequence[str], question: Question) -> None:
    for method in methods:
        if method not in ONE_SIDED:
            raise UsageError(
                f"method {method!r} has no one-sided interval; alternative {question.alternative!r} is for "
                f"{', '.join(ONE_SIDED)}"
            )
    if question.alpha >= 0.5:
        raise UsageError(f"alpha is {question.alpha!r}; a one-sided interval needs alpha below 0.5")


def _allowed(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(word), known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed: {', '.join(known)}"
