"""The funnel as one self-contained page: what fell where, the best, the nearest misses, and what chance would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from fanwise.workloads.modelsearch._multiplicity import Multiplicity
from fanwise.workloads.modelsearch._verdicts import VerdictTable, lines

__all__ = ["page", "picture", "statement"]

SHOWN = 20
_WIDTH, _ROW, _LABEL = 760, 26, 110
_COLUMNS = ("id", "terms", "r2", "adj_r2", "bic", "max_p", "max_vif", "cov", "oos_rmse", "wf_rmse", "sign_stability")
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2733;--paper:#fff;--kept:#2a6f97;--fell:#c9d6df;--line:#8796a5}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#11181f;--kept:#61a5c2;--fell:#3a4854;--line:#7b8a99}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
body{margin:2rem auto;max-width:64rem;padding:0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px;display:block;overflow-x:auto}
caption{text-align:left;font-weight:600;padding:.5rem 0}
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid var(--fell);white-space:nowrap}
th:nth-child(-n+2),td:nth-child(-n+2){text-align:left}
svg text{fill:var(--ink);font:13px system-ui,sans-serif}
.kept{fill:var(--kept)}.fell{fill:var(--fell)}
""".strip()


def statement(verdict: Multiplicity) -> str:
    """What may be said about the best of many, in one sentence."""
    says = (
        f"Searched {verdict.tried:,} models: at p<{verdict.level:g} about {verdict.expected_by_chance:,.1f} "
        f"pass by chance"
    )
    if verdict.p is None:
        return f"{says}; no reality check without test rows."
    name = {"reality-check": "reality-check", "spa": "SPA"}[verdict.method]
    return f"{says}; {name} p = {verdict.p:.3g}."


def picture(funnel: Mapping[str, int], tried: int) -> str:
    """Horizontal bars (SVG): for each filter how many entered, and of these how many fell."""
    height = _ROW * (len(funnel) + 1) + 10
    scale = (_WIDTH - _LABEL - 230) / max(tried, 1)
    parts = [
        f'<svg role="img" viewBox="0 0 {_WIDTH} {height}" width="100%" xmlns="http://www.w3.org/2000/svg">',
        "<title>Funnel</title>",
        f"<desc>{tried:,} specifications tried; how many fell at each of {len(funnel)} filters.</desc>",
    ]
    left = tried
    for at, (name, fell) in enumerate(funnel.items()):
        parts += _bar(at, name, (left - fell, fell), scale)
        left -= fell
    parts += [*_bar(len(funnel), "passed", (left, 0), scale), "</svg>"]
    return "\n".join(parts)


def _bar(row: int, name: str, counts: tuple[int, int], scale: float) -> list[str]:
    kept, fell = counts
    y, middle = row * _ROW + 5, row * _ROW + 20
    end = _LABEL + (kept + fell) * scale
    says = f"{kept:,} left" + (f", {fell:,} fell" if fell else "")
    return [
        f'<text x="{_LABEL - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>',
        f'<rect class="kept" x="{_LABEL}" y="{y}" width="{kept * scale:.2f}" height="{_ROW - 6}"/>',
        f'<rect class="fell" x="{_LABEL + kept * scale:.2f}" y="{y}" width="{fell * scale:.2f}" height="{_ROW - 6}"/>',
        f'<text x="{end + 8:.2f}" y="{middle}">{says}</text>',
    ]


def page(
    title: str,
    funnel: Mapping[str, int],
    multiplicity: Multiplicity,
    tables: tuple[VerdictTable, VerdictTable],
    labels: Sequence[str],
) -> str:
    """The page; ``tables`` are the best of the ranked rows and the nearest misses."""
    best, misses = tables
    passed = multiplicity.tried - sum(funnel.values())
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}: funnel</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            f"<h1>{escape(title)}: {multiplicity.tried:,} specifications, {passed:,} passed</h1>",
            f"<p>{escape(statement(multiplicity))}</p>",
            picture(funnel, multiplicity.tried),
            _table(f"The best {min(len(best), SHOWN)}", best, _COLUMNS, labels),
            _table("Nearest misses", misses, ("id", "terms", "failed_at", *_COLUMNS[2:]), labels),
            "</body>\n</html>\n",
        ]
    )


def _table(caption: str, rows: VerdictTable, names: Sequence[str], labels: Sequence[str]) -> str:
    if not len(rows):
        return f"<p>{escape(caption)}: none.</p>"
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = [line.rstrip("\n").split(",") for line in lines(rows.take(slice(0, SHOWN)), names, labels)]
    cells = "\n".join("<tr>" + "".join(f"<td>{escape(_short(cell))}</td>" for cell in row) + "</tr>" for row in body)
    top = f"<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>"
    return f"<table>\n{top}\n<tbody>\n{cells}\n</tbody>\n</table>"


def _short(cell: str) -> str:
    """Numbers with six digits, everything else as it is."""
    try:
        return f"{float(cell):.6g}" if "." in cell or "e" in cell else cell
    except ValueError:
        return cell
