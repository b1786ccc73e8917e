"""The moving line: what fits into the width of the terminal, and how it is drawn."""

from __future__ import annotations

import unicodedata

from fanwise._format import clock, count, notable, percent, plural, rate
from fanwise.progress._tally import Snapshot
from fanwise.progress._terminal import Painter, encodable, unpainted

__all__ = ["bar_line", "clipped", "width"]

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


def clipped(text: str, most: int) -> str:
    """The text in at most so many columns, without anything that moves the cursor."""
    text = "".join(character if character.isprintable() else " " for character in text)
    if width(text) <= most or most < 1:
        return text[:most]
    kept, used = "", 1
    for character in text:
        used += _columns(character)
        if used > most:
            break
        kept += character
    return kept.rstrip() + "…"


def bar_line(shown: Snapshot, columns: int, paint: Painter = unpainted, *, utf8: bool = True) -> str:
    """The line for a terminal of so many columns; it takes at most one less, so that it never wraps.

    As it narrows, workers, rate, label and bar are left out, in this order; below 24 columns share and time are left.
    """
    room = columns - 1
    fields = _fields(shown, brief=columns < _BRIEF, utf8=utf8)
    for dropped in (None, *_DROPPED_FIRST):
        fields.pop(dropped or "", None)
        spare = room - sum(width(text) + len(_GAP) for text in fields.values() if text) + len(_GAP)
        least = _BAR_LEAST + len(_GAP) if "bar" in fields else 0
        if spare >= least and columns >= _NARROW:
            return _joined(fields, shown, min(_BAR_MOST, spare - len(_GAP)), paint, utf8=utf8)
    return encodable(clipped(_shortest(shown), max(0, room)), "utf-8" if utf8 else "ascii")


def _fields(shown: Snapshot, *, brief: bool, utf8: bool) -> dict[str, str]:
    """What the line says, in its order; the bar is drawn into what is left over."""
    label = encodable(clipped(shown.label, _LABEL_MOST), "utf-8" if utf8 else "ascii")
    trouble = ", ".join(notable(failed=shown.failed, lost=shown.lost))
    workers = plural(shown.workers, "worker") if shown.workers else ""
    known = {"rate": rate(shown.rate) if shown.rate else "", "workers": workers, "trouble": trouble}
    if shown.total is None:
        return {"label": label, "count": plural(shown.done, "item"), **known, "time": clock(shown.elapsed)}
    share = f"{percent(shown.done, shown.total)} %"
    of = f"{count(shown.done)}/{count(shown.total)}"
    return {"label": label, "bar": "", "share": share, "count": of, **known, "time": _time(shown, brief=brief)}


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


def _joined(fields: dict[str, str], shown: Snapshot, bar: int, paint: Painter, *, utf8: bool) -> str:
    drawn = dict(fields)
    if "bar" in drawn:
        drawn["bar"] = _bar(min(1.0, shown.done / shown.total) if shown.total else 1.0, bar, paint, utf8=utf8)
    if drawn["trouble"]:
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
