"""Memory that never changes, and what stands for it: bundles say so, keys ask. A leaf, so that neither needs the other."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["know_owner", "owner_of"]

_recognisers: list[Callable[[object], object | None]] = []


def know_owner(recognise: Callable[[object], object | None]) -> None:
    """Have arrays over frozen memory known by its key instead of their bytes.

    Parameters
    ----------
    recognise : callable
        Given the object at the end of an array's chain of bases (a map of memory), it returns what stands for it, an
        object with ``__fanwise_key__``, or None. The memory must never change.
    """
    _recognisers.append(recognise)


def owner_of(memory: object) -> object | None:
    """What stands for a piece of memory; None if nobody vouches for it."""
    for recognise in _recognisers:
        owner = recognise(memory)
        if owner is not None:
            return owner
    return None
