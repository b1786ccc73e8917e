"""Interleaved timing: each round runs every contestant once, forwards and backwards in turn; the minimum counts."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

__all__ = ["best_of", "interleaved", "spin"]


def best_of(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Least seconds of contestants that measure themselves."""
    best = dict.fromkeys(contestants, float("inf"))
    names = list(contestants)
    gc.collect()
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            best[name] = min(best[name], contestants[name]())
    return best


def interleaved(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Best seconds of each contestant."""
    return best_of({name: partial(seconds_of, run) for name, run in contestants.items()}, rounds)


def seconds_of(action: Callable[[], Any]) -> float:
    start = perf_counter()
    action()
    return perf_counter() - start


def spin(seconds: float) -> Callable[[Any], Any]:
    """A function that keeps a core busy for so long."""

    def work(item: Any) -> Any:
        end = perf_counter() + seconds
        while perf_counter() < end:
            pass
        return item

    return work
