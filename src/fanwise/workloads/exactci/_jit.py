"""Compilation by Numba where it is installed; without it the same source runs as plain Python, slower."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

__all__ = ["COMPILED", "entry", "inner"]

Function = TypeVar("Function", bound=Callable[..., object])

try:
    from numba import njit
except ImportError:
    COMPILED = False
else:
    COMPILED = True


def inner(function: Function) -> Function:
    """Compile a function that is called from compiled code of the same file only.

    Numba's default error model would raise `ZeroDivisionError` where a derivative underflows.
    """
    return _dispatcher(function, cache=False) if COMPILED else function


def _dispatcher(function: Function, *, cache: bool) -> Function:
    compiled: Any = njit(nogil=True, error_model="numpy", cache=cache)(function)
    return cast("Function", compiled)


def entry(function: Function) -> Function:
    """Compile a function that Python calls; its machine code is kept on disk where a directory can be written."""
    if not COMPILED:
        return function
    try:
        return _dispatcher(function, cache=True)
    except RuntimeError:  # no directory for the cache can be written: compile once a process
        return _dispatcher(function, cache=False)
