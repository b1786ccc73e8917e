"""Interleaved timing: each round runs every contestant once, forwards and backwards in turn; the minimum counts."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

__all__ = ["interleaved", "spin"]


def interleaved(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Best seconds of each contestant."""
    best = dict.fromkeys(contestants, float("inf"))
    names = list(contestants)
    gc.collect()
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            start = perf_counter()
            contestants[name]()
            best[name] = min(best[name], perf_counter() - start)
    return best


def spin(seconds: float) -> Callable[[Any], Any]:
    """A function that keeps a core busy for so long."""

    def work(item: Any) -> Any:
        end = perf_counter() + seconds
        while perf_counter() < end:
            pass
        return item

    return work
