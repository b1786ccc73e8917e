"""Arrays that would fill the memory: one behind the other in a temporary file, on disk once there are many."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["CountRows", "Rows", "Scratch", "Spilled", "scratch"]

IN_MEMORY = 1 << 24  # bytes up to which there is no file: the numbers of 400,000 tables
CELLS = 4
ROW_BYTES = 8 * CELLS


class Rows(Protocol):
    """Counts of tables, shape (N, 4), read by ranges: an array is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> NDArray[np.int64]: ...


class Scratch:
    """Arrays of numbers in a file."""

    def __init__(self, file: tempfile.SpooledTemporaryFile[bytes]) -> None:
        self._file = file
        self._size = 0

    def append(self, array: NDArray[Any]) -> int:
        """Write an array behind the others; returns where it begins."""
        start = self._size
        self._file.seek(start)
        self._file.write(array.tobytes())
        self._size += array.nbytes
        return start

    def fill(self, array: NDArray[Any], start: int) -> None:
        """Read an array from where it begins."""
        self._file.seek(start)
        self._file.readinto(array.reshape(-1).view(np.uint8).data)


@contextlib.contextmanager
def scratch() -> Iterator[Scratch]:
    """A place for arrays as long as they are needed."""
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        yield Scratch(file)


@dataclass(frozen=True, slots=True)
class Spilled:
    """An array of float64 in a scratch file."""

    place: Scratch
    start: int
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: NDArray[np.float64], place: Scratch) -> Spilled:
        """Write an array behind the others."""
        return cls(place, place.append(array), array.shape)

    def load(self) -> NDArray[np.float64]:
        """Read it back."""
        array = np.empty(self.shape)
        self.place.fill(array, self.start)
        return array


class CountRows:
    """Counts of tables, row behind row in a scratch file that holds nothing else."""

    def __init__(self, place: Scratch) -> None:
        self._place = place
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, rows: slice, /) -> NDArray[np.int64]:
        start, stop, _ = rows.indices(self._length)
        counts = np.empty((max(0, stop - start), CELLS), np.int64)
        self._place.fill(counts, start * ROW_BYTES)
        return counts

    def append(self, counts: NDArray[np.int64]) -> None:
        """Add rows, shape (n, 4)."""
        self._place.append(counts)
        self._length += len(counts)
