"""A clock that stands still until it is told to move."""

from __future__ import annotations

__all__ = ["FakeClock"]


class FakeClock:
    """A `fanwise.typing.Clock` whose time passes only by `sleep` and `advance`.

    Parameters
    ----------
    start : float
        What `now` and `time` return first, in seconds.

    Examples
    --------
    >>> clock = FakeClock(start=100.0)
    >>> clock.sleep(2.5)
    >>> clock.now()
    102.5
    """

    __slots__ = ("_now",)

    def __init__(self, start: float = 0.0) -> None:
        self._now = float(start)

    def now(self) -> float:
        """Seconds, never going back."""
        return self._now

    def time(self) -> float:
        """Seconds since 1970: the same number as `now`."""
        return self._now

    def sleep(self, seconds: float, /) -> None:
        """Let this much time pass; returns at once."""
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float, /) -> None:
        """Move the clock on.

        Raises
        ------
        ValueError
            If ``seconds`` is negative: this clock never goes back.
        """
        if seconds < 0:
            raise ValueError(f"a clock cannot go back by {-seconds} s")
        self._now += seconds
