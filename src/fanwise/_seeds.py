"""Random numbers per item: the same for any number of workers, and for a retry."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from fanwise._task import current_task

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["bind", "generator"]


def generator(seed: int, index: int) -> Generator:
    """The generator of item ``index``: PCG64 seeded by ``SeedSequence(seed, spawn_key=(index,))``."""
    from numpy.random import PCG64, Generator, SeedSequence

    return Generator(PCG64(SeedSequence(seed, spawn_key=(index,))))


def bind(fn: Callable[..., Any], seed: int | None) -> Callable[[Any], Any]:
    """Return ``fn`` as a function of the item alone: ``rng`` follows from the seed and the item's index."""
    return fn if seed is None else partial(_call_seeded, fn, seed)


def _call_seeded(fn: Callable[..., Any], seed: int, item: Any) -> Any:
    task = current_task()
    return fn(item, rng=generator(seed, task.index if task is not None else 0))
