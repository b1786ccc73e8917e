"""Compilation by Numba where it is installed; without it the same source runs as plain Python, slower."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["COMPILED", "entry", "inner"]

Function = TypeVar("Function", bound=Callable[..., object])

try:
    from numba import njit
except ImportError:
    COMPILED = False
else:
    COMPILED = True

# Numba's default error model raises ZeroDivisionError where a derivative underflows.
_OPTIONS = {"nogil": True, "error_model": "numpy"}


def inner(function: Function) -> Function:
    """Compile a function that is called from compiled code of the same file only."""
    compiled: Function = njit(**_OPTIONS)(function) if COMPILED else function
    return compiled


def entry(function: Function) -> Function:
    """Compile a function that Python calls; its machine code is kept on disk where a directory can be written."""
    if not COMPILED:
        return function
    try:
        compiled: Function = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # no directory for the cache can be written: compile once a process
        compiled = inner(function)
    return compiled
