"""Numbers and errors as people read them; the same words in progress, reports and messages."""

from __future__ import annotations

from types import TracebackType

__all__ = [
    "clock",
    "count",
    "duration",
    "message_of",
    "notable",
    "percent",
    "plural",
    "printable",
    "rate",
    "size",
    "traceback_of",
]

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def count(number: int) -> str:
    """``1,220``: thousands are separated, never abbreviated."""
    return f"{number:,}"


def plural(number: int, word: str) -> str:
    """``1 item``, ``2,000 items``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def percent(done: int, total: int) -> int:
    """Share in whole percent, rounded down: 100 only when all is done."""
    return 100 if done >= total else 100 * done // total


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.995 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """``5.0 ns``, ``840 µs``, ``2.1 ms``, ``0.37 s``, ``6.4 s``, ``3 min 20 s``, ``3 h 05``, ``2 d 4 h``."""
    if seconds >= _HOUR:
        return clock(seconds)
    if seconds >= 99.5:
        return "{} min {:02} s".format(*divmod(round(seconds), _MINUTE))
    if seconds >= 0.0995:
        return f"{_digits(seconds)} s"
    if seconds >= 0.000995:
        return f"{_digits(seconds * 1e3)} ms"
    if seconds >= 0.0995e-6:
        return f"{_digits(seconds * 1e6)} µs"
    return f"{_digits(seconds * 1e9)} ns" if seconds > 0 else "0 s"


def clock(seconds: float) -> str:
    """Time left as a clock shows it: ``0:03``, ``12:40``, ``3 h 05``, ``2 d 4 h``."""
    whole = max(0, round(seconds))
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02}"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02}"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def rate(per_second: float) -> str:
    """``312 item/s``, ``0.83 item/s``; slow ones by the minute or the hour."""
    if per_second >= 0.0995 or per_second == 0:
        return f"{_digits(per_second)} item/s"
    if per_second * _MINUTE >= 0.0995:
        return f"{_digits(per_second * _MINUTE)} item/min"
    return f"{_digits(per_second * _HOUR)} item/h"


def size(number: float) -> str:
    """Bytes in decimal units: ``180 MB``, ``1.9 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} B" if unit == "B" else f"{_digits(number)} {unit}"
        number /= 1000
    return f"{_digits(number)} TB"


def notable(*, cached: int = 0, resumed: int = 0, failed: int = 0, lost: int = 0) -> list[str]:
    """What is worth saying of a run's items beside their number: ``["41 from cache", "3 failed"]``."""
    said = ((cached, "from cache"), (resumed, "from the journal"), (failed, "failed"), (lost, "lost"))
    return [f"{number:,} {word}" for number, word in said if number]


def printable(text: str) -> str:
    """The text without anything that moves the cursor, colours, or ends the line."""
    return "".join(character if character.isprintable() else " " for character in text)


def message_of(error: BaseException) -> str:
    """``str(error)``, also of an error that cannot be made into text."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001  # a user's own __str__
        return f"<{type(error).__name__}, whose str raises {type(failure).__name__}>"


def traceback_of(error: BaseException, trace: TracebackType | None) -> str:
    """A traceback as Python prints it, also of an error that Python cannot print (one that has no truth value)."""
    from traceback import format_exception, format_tb

    try:
        return "".join(format_exception(type(error), error, trace))
    except Exception:  # noqa: BLE001  # a user's own special methods
        return "".join(format_tb(trace)) + f"{type(error).__qualname__}: {message_of(error)}\n"
