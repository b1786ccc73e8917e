"""What becomes of an item: `Ok`, `Failed` or `Lost`; and `Batch`, many `Ok` without an object each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

__all__ = ["Batch", "Failed", "Lost", "Ok", "Outcome", "Said", "Settled", "count_of", "first_of"]


@dataclass(frozen=True, slots=True)
class Said:
    """One thing an item wrote: a piece of text, a log record (as a dict) or a warning (as a dict)."""

    index: int
    stream: str  # "stdout", "stderr", "log" or "warning"
    payload: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one item.

    Attributes
    ----------
    index : int
        Position of the item in the input, from 0.
    attempts : int
        How often the item was begun, at least 1.
    seconds : float
        Wall time of the last attempt, measured where it ran. Items below about 20 µs share the mean of their block.
    worker : int or None
        Process id of the worker; ``None`` if the item ran in the calling process.
    output : str
        Text that the item wrote to stdout and stderr, in order.
    """

    index: int
    attempts: int = 1
    seconds: float = 0.0
    worker: int | None = None
    said: tuple[Said, ...] = ()

    ok: ClassVar[bool] = False

    @property
    def output(self) -> str:
        return "".join(s.payload for s in self.said if s.stream in {"stdout", "stderr"})

    def unwrap(self) -> Any:
        """Return the value, or raise the error of the item."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ok(Outcome):
    """The item returned ``value``."""

    value: Any
    ok: ClassVar[bool] = True

    def unwrap(self) -> Any:
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Outcome):
    """The item raised ``error``; ``traceback`` is the remote one as text."""

    error: BaseException
    traceback: str = ""

    def unwrap(self) -> NoReturn:
        raise self.error


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost(Outcome):
    """The process that ran the item died; ``reason`` says of what."""

    error: BaseException
    reason: str

    def unwrap(self) -> NoReturn:
        raise self.error


@dataclass(frozen=True, slots=True)
class Batch:
    """`Ok` results of consecutive items, kept without one object per item.

    ``seconds`` is one number (the mean of a block of short items) or one number an item.
    """

    first: int
    values: Sequence[Any]
    seconds: float | Sequence[float] = 0.0
    worker: int | None = None
    attempts: int = 1
    said: tuple[Said, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def outcomes(self) -> Iterator[Ok]:
        """One `Ok` an item, made when asked for."""
        spread = self.seconds
        for offset, value in enumerate(self.values):
            index = self.first + offset
            yield Ok(
                index=index,
                value=value,
                attempts=self.attempts,
                seconds=spread if isinstance(spread, float) else spread[offset],
                worker=self.worker,
                said=tuple(s for s in self.said if s.index == index) if self.said else (),
            )


Settled = Batch | Failed | Lost | Ok
"""Results as the layers pass them on: a batch of good ones, or one outcome."""


def count_of(settled: Settled) -> int:
    """How many items a settled record stands for."""
    return len(settled.values) if isinstance(settled, Batch) else 1


def first_of(settled: Settled) -> int:
    """The index of the first item that a settled record stands for."""
    return settled.first if isinstance(settled, Batch) else settled.index
