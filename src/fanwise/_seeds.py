"""Random numbers per item: the same for any number of workers, and for a retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["generator"]


def generator(seed: int, index: int) -> Generator:
    """The generator of item ``index``: PCG64 seeded by ``SeedSequence(seed, spawn_key=(index,))``."""
    from numpy.random import PCG64, Generator, SeedSequence

    return Generator(PCG64(SeedSequence(seed, spawn_key=(index,))))
