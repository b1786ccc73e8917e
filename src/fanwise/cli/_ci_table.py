"""``fanwise ci --table A,B,C,D``: the intervals of one table, printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fanwise.cli._options import RunOptions
from fanwise.cli._summary import Summary, print_json
from fanwise.errors import InputError, UsageError
from fanwise.workloads.exactci._counts import CELLS, EXPECTED, count_of_text
from fanwise.workloads.exactci._methods import Question

if TYPE_CHECKING:
    from fanwise.workloads.exactci import Interval

__all__ = ["print_table"]


def print_table(text: str, methods: Sequence[str], question: Question, options: RunOptions) -> int:
    """Print the intervals of one table by each method, aligned for people or as one object for machines."""
    words = [word.strip() for word in text.split(",")]
    if len(words) != 4:
        raise UsageError(f"--table {text}: {len(words)} counts; expected four, as in --table 12,5,8,10.")
    for name, word in zip(CELLS, words, strict=True):
        if count_of_text(word)[1]:
            raise InputError(f'--table {text}: {name} is "{word}", not a count (expected {EXPECTED}).')
    a, b, c, d = (count_of_text(word)[0] for word in words)
    from fanwise.workloads.exactci import interval

    found = [
        interval(a, b, c, d, method=method, alpha=question.alpha, alternative=question.alternative)
        for method in methods
    ]
    if options.json:
        own = {"workload": "ci", "alternative": question.alternative, "methods": list(methods), "alpha": question.alpha}
        print_json(Summary("ci", 0, own=own | {"table": [a, b, c, d], "intervals": [_fields(one) for one in found]}))
    else:
        print(_aligned(found, question))
    return 0


def _fields(one: Interval) -> dict[str, object]:
    numbers = {name: getattr(one, name) for name in ("odds_ratio", "estimate", "lower", "upper", "p_value")}
    words = {name: "inf" if value == math.inf else value for name, value in numbers.items()}
    return {"method": one.method, **words, "status": one.status.name.lower()}


def _aligned(found: Sequence[Interval], question: Question) -> str:
    head = f"{'method':<14}{'lower':>12}{'upper':>12}{'p_value':>12}"
    rows = [f"{one.method:<14}{one.lower:>12.6g}{one.upper:>12.6g}{one.p_value:>12.4g}" for one in found]
    level = f"{100.0 * (1.0 - question.alpha):g} % interval, {question.alternative}"
    first = f"odds ratio {found[0].odds_ratio:.6g}, conditional estimate {found[0].estimate:.6g}, {level}"
    return "\n".join([first, head, *rows])
