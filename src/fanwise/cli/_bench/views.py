"""Figures as a table, as a heat map, as a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fanwise._format import duration
from fanwise.cli._bench.contestants import LOOP, OURS, Contestant
from fanwise.cli._bench.figures import Figures

__all__ = ["colour", "heat_map", "page", "table"]

_WIDE, _HIGH, _LEFT, _TOP = 92, 34, 170, 64


def table(found: Sequence[Figures], contestants: Sequence[Contestant]) -> str:
    """A line for each cell: time of the loop, and everyone's time over it."""
    names = [each.name for each in contestants if each.name != LOOP]
    rows = [["work", LOOP, *names]]
    absent = {each.name for each in contestants if each.version is None}
    rows += [
        [each.cell.name, duration(each.times[LOOP].median_s), *(_cell(each, n, absent) for n in names)]
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(_aligned(row, widths)) for row in rows)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The first cell to the left, the others to the right."""
    return [row[0].ljust(widths[0]), *(text.rjust(wide) for text, wide in zip(row[1:], widths[1:], strict=True))]


def _cell(found: Figures, name: str, absent: set[str]) -> str:
    if name in absent:
        return "not installed"
    return found.out[name].partition(" ")[0] if name in found.out else f"{found.vs_loop[name].median:.2f}"


def colour(ratio: float) -> str:
    """Green where fanwise is faster than the loop, red where it is slower, the paler the closer to 1."""
    if ratio <= 1.0:
        share = min(1.0, (1.0 - ratio) / 0.5)
        return f"hsl(150 45% {92 - 32 * share:.0f}%)"
    return f"hsl(10 70% {92 - 32 * min(1.0, ratio - 1.0):.0f}%)"


def heat_map(found: Sequence[Figures]) -> str:
    """Time of fanwise over the loop's: rows by cost, columns by number of items; cells with payload are in the table only."""
    plain = {
        (each.cell.cost_s, each.cell.items): each.vs_loop[OURS].median
        for each in found
        if OURS in each.vs_loop and not each.cell.payload_bytes and not each.cell.result_bytes
    }
    costs, counts = sorted({cost for cost, _ in plain}), sorted({count for _, count in plain})
    width, height = _LEFT + _WIDE * len(counts) + 12, _TOP + _HIGH * len(costs) + 12
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13"><title>Time of fanwise over the time of the loop</title>'
        "<desc>Rows: cost of an item. Columns: number of items. Below 1 fanwise is faster.</desc>"
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
        '<text x="12" y="24" font-weight="600" fill="#1b1f24">fanwise ÷ loop (below 1: faster)</text>'
    )
    parts = [head]
    parts += [
        _text(_LEFT + _WIDE * (at + 0.5), _TOP - 12, f"{count:,} items", "middle") for at, count in enumerate(counts)
    ]
    for row, cost in enumerate(costs):
        top = _TOP + _HIGH * row
        parts.append(_text(_LEFT - 12, top + 21, f"{duration(cost)} an item", "end"))
        for column, count in enumerate(counts):
            if (cost, count) in plain:
                value, left = plain[cost, count], _LEFT + _WIDE * column
                parts.append(
                    f'<rect x="{left}" y="{top}" width="{_WIDE - 2}" height="{_HIGH - 2}" fill="{colour(value)}"/>'
                )
                parts.append(_text(left + _WIDE / 2, top + 21, f"{value:.2f}", "middle"))
    return "".join(parts) + "</svg>\n"


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="#1b1f24">{escape(words)}</text>'


def page(found: Sequence[Figures], contestants: Sequence[Contestant], host: str) -> str:
    """Heat map and table as one file without scripts."""
    names = [each.name for each in contestants if each.name != LOOP]
    absent = {each.name for each in contestants if each.version is None}
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("work", LOOP, *names))
    rows = "".join(
        f'<tr><th scope="row">{escape(each.cell.name)}</th><td>{duration(each.times[LOOP].median_s)}</td>'
        + "".join(f"<td>{_cell(each, name, absent)}</td>" for name in names)
        + "</tr>"
        for each in found
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>fanwise bench</title>'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width"><style>:root{color-scheme:light dark}'
        "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse}td,th{padding:.3rem .7rem;text-align:right;white-space:nowrap;"
        "border-bottom:1px solid #8886}"
        "th:first-child{text-align:left}th[scope=row]{font-weight:400}caption{text-align:left}svg{max-width:100%;height:auto}</style></head><body>"
        f"<h1>fanwise bench</h1><p>{escape(host)}</p>{heat_map(found)}"
        f"<table><caption>Time over the loop’s: medians of rounds, below 1 is faster</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></body></html>\n"
    )
