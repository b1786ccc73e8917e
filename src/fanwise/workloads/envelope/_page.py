"""The report of a run as one self-contained page: figures, tables, what was dropped, where the time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

__all__ = ["page"]

_STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #59636e; --line: #d0d7de; --bar: #56b4e9; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff; max-width: 64rem; margin: 2rem auto;
  padding: 0 1rem; }
table { border-collapse: collapse; } caption { text-align: left; color: var(--soft); }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; }
th[data-sort] { cursor: pointer; text-decoration: underline dotted; }
.bar { display: inline-block; height: .7em; background: var(--bar); margin-right: .4em; }
"""
_SCRIPT = """
document.querySelectorAll("th[data-sort]").forEach((head) => head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0], at = head.cellIndex, down = head.dataset.down !== "1";
  head.dataset.down = down ? "1" : "0";
  const value = (row) => { const c = row.cells[at], n = parseFloat(c.dataset.value); return isNaN(n) ? c.innerText : n; };
  [...body.rows].sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (down ? -1 : 1))
    .forEach((row) => body.appendChild(row));
}));
"""
SHOWN = ("scenario", "crop", "segment", "tier", "status", "used", "area_km2", "production", "width")


def page(summary: pd.DataFrame, figures: Sequence[str], facts: Mapping[str, Any], unit: str) -> str:
    """The whole page.

    Parameters
    ----------
    summary : DataFrame
        As `Sweep.summary` makes it.
    figures : sequence of str
        SVG.
    facts : mapping
        Tables of two columns, by heading.
    unit : str
    """
    table = summary.rename(columns={f"production_{unit}": "production"})
    world = table[table["segment"] == "World"]
    others = table[table["segment"] != "World"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>fanwise envelope</title>',
        (
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
            "script-src 'unsafe-inline'\">"
        ),
        f"<style>{_STYLE}</style></head><body><h1>Harvest-production envelopes</h1>",
        *figures,
        _table("World", world, unit),
        _table("Segments", others, unit) if len(others) else "",
        *(_facts(heading, rows) for heading, rows in facts.items()),
        f"<script>{_SCRIPT}</script></body></html>\n",
    ]
    return "".join(parts)


def _table(caption: str, rows: pd.DataFrame, unit: str) -> str:
    heads = "".join(f'<th scope="col" data-sort>{escape(_head(name, unit))}</th>' for name in SHOWN)
    body = "".join(_row(row) for row in rows[list(SHOWN)].itertuples(index=False, name=None))
    return f"<h2>{caption}</h2><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _head(name: str, unit: str) -> str:
    return {"area_km2": "area (km²)", "production": f"production ({unit})", "used": "cells"}.get(name, name)


def _row(values: tuple[Any, ...]) -> str:
    cells = [_cell(value) for value in values[:-1]]
    width = values[-1]
    bar = "" if pd.isna(width) else f'<span class="bar" style="width:{100 * width:.1f}px"></span>{width:.4f}'
    return f'<tr>{"".join(cells)}<td data-value="{"" if pd.isna(width) else repr(float(width))}">{bar}</td></tr>'


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    if pd.isna(value):
        return '<td data-value=""></td>'
    return f'<td data-value="{float(value)!r}">{value:,.6g}</td>'


def _facts(heading: str, rows: Mapping[str, Any]) -> str:
    body = "".join(f'<tr><th scope="row">{escape(str(k))}</th><td>{escape(str(v))}</td></tr>' for k, v in rows.items())
    return f"<h2>{escape(heading)}</h2><table><tbody>{body}</tbody></table>"
