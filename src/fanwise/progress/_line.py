"""The moving line: what fits into the width of the terminal, and how it is drawn."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from itertools import accumulate, takewhile

from fanwise._format import clock, count, notable, percent, plural, printable, rate
from fanwise.progress._tally import Snapshot
from fanwise.progress._terminal import Painter, encodable, unpainted

__all__ = ["bar_line", "bar_lines", "clipped", "width"]

_BAR_LEAST, _BAR_MOST = 8, 40
_LABEL_MOST = 32
_NARROW = 24
_BRIEF = 100
_GAP = "  "
_DROPPED_FIRST = ("workers", "rate", "label", "bar")


def width(text: str) -> int:
    """Columns that the text takes on a terminal."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clipped(text: str, most: int, *, utf8: bool = True) -> str:
    """The text in at most so many columns, without anything that moves the cursor."""
    text = printable(text)
    if width(text) > most:
        text = _cut(text, most - 1) + "…" if most > 0 else ""
    return encodable(text, "utf-8" if utf8 else "ascii")


def _cut(text: str, most: int) -> str:
    ends = takewhile(lambda used: used <= most, accumulate(map(_columns, text)))
    return text[: sum(1 for _ in ends)].rstrip()


def bar_line(shown: Snapshot, columns: int, paint: Painter = unpainted, *, utf8: bool = True) -> str:
    """The line for a terminal of so many columns; it takes at most one less, so that it never wraps.

    As it narrows, workers, rate, label and bar are left out, in this order; below 24 columns share and time are left.
    """
    fields = _fields(shown, brief=columns < _BRIEF)
    line = _fitted(fields, _share(shown), columns, paint, utf8=utf8)
    return line if line is not None else clipped(_shortest(shown), columns - 1, utf8=utf8)


def bar_lines(shown: Snapshot, columns: int, paint: Painter = unpainted, *, utf8: bool = True) -> list[str]:
    """A line for the whole and one for the part that is running."""
    part = shown.part
    if part is None:
        return [bar_line(shown, columns, paint, utf8=utf8)]
    share = (part.number - 1 + _share(shown)) / part.parts
    of = f"part {part.number}/{part.parts}"
    fields = {"label": part.whole, "bar": "", "share": f"{int(100 * share)} %", "count": of}
    fields["time"] = clock(part.before_s + shown.elapsed)
    whole = _fitted(fields, share, columns, paint, utf8=utf8)
    inner = replace(shown, label=part.label)
    return [
        whole if whole is not None else clipped(of, columns - 1, utf8=utf8),
        bar_line(inner, columns, paint, utf8=utf8),
    ]


def _fitted(fields: dict[str, str], share: float, columns: int, paint: Painter, *, utf8: bool) -> str | None:
    """The fields that fit, the bar in what is left over; None if not even the last ones do."""
    fields["label"] = clipped(fields["label"], _LABEL_MOST, utf8=utf8)
    for dropped in ("", *_DROPPED_FIRST):
        fields.pop(dropped, None)
        spare = columns - 1 - sum(width(text) + len(_GAP) for text in fields.values() if text) + len(_GAP)
        least = _BAR_LEAST + len(_GAP) if "bar" in fields else 0
        if spare >= least and columns >= _NARROW:
            return _joined(fields, share, min(_BAR_MOST, spare - len(_GAP)), paint, utf8=utf8)
    return None


def _share(shown: Snapshot) -> float:
    return min(1.0, shown.done / shown.total) if shown.total else float(shown.total == 0)


def _fields(shown: Snapshot, *, brief: bool) -> dict[str, str]:
    """What the line says, in its order."""
    trouble = ", ".join(notable(failed=shown.failed, lost=shown.lost))
    workers = plural(shown.workers, "worker") if shown.workers else ""
    known = {"rate": rate(shown.rate) if shown.rate else "", "workers": workers, "trouble": trouble}
    if shown.total is None:
        return {"label": shown.label, "count": plural(shown.done, "item"), **known, "time": clock(shown.elapsed)}
    share = f"{percent(shown.done, shown.total)} %"
    of = f"{count(shown.done)}/{count(shown.total)}"
    return {"label": shown.label, "bar": "", "share": share, "count": of, **known, "time": _time(shown, brief=brief)}


def _time(shown: Snapshot, *, brief: bool) -> str:
    if shown.eta is None:
        return ""
    if shown.eta.finishing:
        return "finishing" if brief else shown.eta.text
    return f"ETA {shown.eta.text}"


def _shortest(shown: Snapshot) -> str:
    if shown.total is None:
        return f"{count(shown.done)} {clock(shown.elapsed)}"
    return f"{percent(shown.done, shown.total)} % {_time(shown, brief=True)}".rstrip()


def _joined(fields: dict[str, str], share: float, bar: int, paint: Painter, *, utf8: bool) -> str:
    drawn = dict(fields)
    if "bar" in drawn:
        drawn["bar"] = _bar(share, bar, paint, utf8=utf8)
    if drawn.get("trouble"):
        drawn["trouble"] = paint(drawn["trouble"], "bad")
    return _GAP.join(text for text in drawn.values() if text)


def _bar(share: float, length: int, paint: Painter, *, utf8: bool) -> str:
    """``━━━━╸───``, or ``[####----]`` where there is only ASCII; never full before the end."""
    if not utf8:
        full = int(share * (length - 2))
        return f"[{'#' * full}{'-' * (length - 2 - full)}]"
    halves = int(2 * length * share)
    full, half = divmod(halves, 2)
    rest = "━" if paint is not unpainted else "─"  # without colour the rest must look different
    done = "━" * full + "╸" * half
    return paint(done, "done") + paint(rest * (length - full - half), "dim")
