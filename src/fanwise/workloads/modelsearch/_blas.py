"""One BLAS thread: results may depend on how many there are, and threads times workers is too many."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache

__all__ = ["can_limit", "one_thread"]

_SYMBOLS = (
    *(
        (f"{prefix}openblas_get_num_threads{suffix}", f"{prefix}openblas_set_num_threads{suffix}")
        for prefix in ("", "scipy_")
        for suffix in ("", "64_", "_64")
    ),
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
)
_LIBRARY = re.compile(r"(/.*/[^/]*(?:openblas|mkl_rt)[^/]*)(?<! \(deleted\))$")  # a path may hold blanks

Pair = tuple[Callable[[], int], Callable[[int], object]]


@cache
def _switches() -> tuple[Pair, ...]:
    """Functions that read and set the number of threads of each BLAS in this process."""
    if not os.path.exists("/proc/self/maps"):
        return ()
    with open("/proc/self/maps", encoding="utf-8") as maps:
        paths = _libraries(maps)
    return tuple(pair for path in paths if (pair := _pair(ctypes.CDLL(path))) is not None)


def _libraries(maps: Iterable[str]) -> list[str]:
    """Paths of the BLAS libraries among the lines of ``/proc/self/maps``."""
    return sorted({found[1] for line in maps if (found := _LIBRARY.search(line.rstrip("\n")))})


def _pair(library: ctypes.CDLL) -> Pair | None:
    for getter, setter in _SYMBOLS:
        if hasattr(library, setter):
            return getattr(library, getter), getattr(library, setter)
    return None


def can_limit() -> bool:
    """Whether the BLAS of this process lets its threads be counted and set."""
    return bool(_switches())


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep every BLAS to one thread; what was set before is set again."""
    switches = _switches()
    before = [get() for get, _ in switches]
    for _, put in switches:
        put(1)
    try:
        yield
    finally:
        for (_, put), count in zip(switches, before, strict=True):
            put(count)
