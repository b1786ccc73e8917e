"""Interleaved timing: each round runs every contestant once, forwards and backwards in turn; the minimum counts."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from functools import cache, partial
from time import perf_counter
from typing import Any, NamedTuple

__all__ = ["Figure", "best_of", "burn", "burning", "in_turns", "interleaved", "spin"]


class Figure(NamedTuple):
    """One measured number; ``name`` is what `gates.toml` calls it."""

    name: str
    value: float
    unit: str = "×"


def in_turns(contestants: Mapping[str, Callable[[], float]], rounds: int) -> list[dict[str, float]]:
    """Seconds of contestants that measure themselves, in each round."""
    names = list(contestants)
    gc.collect()
    return [
        {name: contestants[name]() for name in (names if turn % 2 == 0 else reversed(names))} for turn in range(rounds)
    ]


def best_of(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Least seconds of contestants that measure themselves."""
    taken = in_turns(contestants, rounds)
    return {name: min(each[name] for each in taken) for name in contestants}


def interleaved(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Best seconds of each contestant."""
    return best_of({name: partial(seconds_of, run) for name, run in contestants.items()}, rounds)


def seconds_of(action: Callable[[], Any]) -> float:
    start = perf_counter()
    action()
    return perf_counter() - start


def spin(seconds: float) -> Callable[[Any], Any]:
    """A function that keeps a core busy for so long by the clock."""

    def work(item: Any) -> Any:
        end = perf_counter() + seconds
        while perf_counter() < end:
            pass
        return item

    return work


def burn(turns: int, item: Any) -> Any:
    """So many turns of an empty loop: work that takes longer on a shared core."""
    for _ in range(turns):
        pass
    return item


@cache
def turns_a_second() -> float:
    """How fast `burn` is, at best."""
    turns = 200_000
    return turns / interleaved({"burn": partial(burn, turns, 0)}, 20)["burn"]


def burning(seconds: float) -> Callable[[Any], Any]:
    """`burn` for about so long, as a function that every peer can pickle."""
    return partial(burn, round(seconds * turns_a_second()))
