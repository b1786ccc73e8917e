"""Threads of linear algebra in a worker: its share of the cores, unless the user said otherwise.

In libraries that are loaded already the setter they export is called; for those loaded later the environment decides.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

__all__ = ["copies_of_openblas", "limit_threads", "prepare", "share"]

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_SETTERS = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
    "MKL_Set_Num_Threads",
    "bli_thread_set_num_threads",
    "omp_set_num_threads",
)
_OPENBLAS = b"openblas"
_LIBRARIES = (_OPENBLAS, b"libmkl_rt", b"libblis", b"libgomp", b"libiomp5", b"libomp")


def share(cores: int, workers: int) -> int | None:
    """Threads for each of ``workers``; None if the user has set a number in the environment."""
    if any(os.environ.get(name) for name in _VARIABLES):
        return None
    return max(1, cores // max(1, workers))


def prepare() -> None:
    """Look for loaded libraries before a fork, so that the children need not (1 ms)."""
    _setters(len(sys.modules))


def limit_threads(threads: int) -> None:
    """Let libraries of this process, loaded or not yet, use this many threads."""
    os.environ.update(dict.fromkeys(_VARIABLES, str(threads)))
    for setter in _setters(len(sys.modules)):
        setter(threads)


@lru_cache(maxsize=1)  # nothing new is loaded without an import
def _setters(_modules: int) -> list[Callable[[int], object]]:
    paths = _loaded()
    if not paths:
        return []
    import ctypes

    libraries = [ctypes.CDLL(os.fsdecode(path)) for path in paths]
    found = ((library, getattr(library, name, None)) for library in libraries for name in _SETTERS)
    return [_quiet(library, setter) for library, setter in found if setter is not None]


def _quiet(library: Any, setter: Callable[[int], object]) -> Callable[[int], object]:
    """A setter that starts no threads of OpenBLAS.

    A fork ends them in the child. Its setter would start them again, and each new thread spins for 35 ms before it
    sleeps: as long as a worker is at its first chunks. The number alone is all that the first call of BLAS looks at.
    """
    from ctypes import c_int

    try:
        number, started = c_int.in_dll(library, "blas_cpu_number"), c_int.in_dll(library, "blas_server_avail")
    except ValueError:  # another library, or a build that hides them
        return setter

    def set_number(threads: int) -> None:
        if started.value:
            setter(threads)
        else:
            number.value = threads

    return set_number


def _loaded() -> set[bytes]:
    """Paths of the loaded libraries that have threads of their own."""
    with suppress(FileNotFoundError), open("/proc/self/maps", "rb") as file:  # no /proc on macOS
        maps = file.read()
        if any(name in maps for name in _LIBRARIES):
            paths = {line[line.index(b"/") :] for line in maps.splitlines() if b"/" in line and b".so" in line}
            return {path for path in paths if any(name in os.path.basename(path) for name in _LIBRARIES)}
    return set()


def copies_of_openblas() -> int:
    """How many OpenBLAS libraries are mapped: their threads survive a fork."""
    return sum(_OPENBLAS in os.path.basename(path) for path in _loaded())
