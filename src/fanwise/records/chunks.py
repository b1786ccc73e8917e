"""Items that go to a worker together, and what it measured over them: all that a worker needs to know of scheduling."""

from __future__ import annotations

from fanwise.records._record import record

__all__ = ["HERE", "UNMEASURED", "Chunk", "ChunkStats"]

HERE = 0
"""The calling process, where workers are numbered."""


@record
class Chunk:
    """Consecutive items ``first … first+count-1`` sent to one worker. ``attempt`` counts from 1."""

    id: int
    first: int
    count: int
    attempt: int = 1


@record
class ChunkStats:
    """What a worker measured over one chunk, beside what its results say. Times in seconds, sizes in bytes."""

    busy: float = 0.0  # wall time inside the function
    cpu: float = 0.0
    codec: float = 0.0  # pickling in the worker, both ways
    bytes_in: int = 0
    bytes_out: int = 0
    rss: int = 0  # resident size of the worker at the end of the chunk
    greatest: float = 0.0  # seconds of the slowest item; a block of short ones counts as its mean
    counts: tuple[float, ...] = ()  # by a function that looks items up: items found, seconds of that, further counts


UNMEASURED = ChunkStats()
