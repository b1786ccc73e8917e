"""The front page of the demo: a table and one bar a job, self-contained."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fanwise.cli._demo_jobs import Measured

__all__ = ["bars", "page"]

_BAR_PX = 360
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #59636e; --loop: #9aa5b1; --ours: #1f6feb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9198a1; --loop: #6e7781; --ours: #58a6ff; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--soft); }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--loop); }
td.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
.why { color: var(--soft); }
"""


def page(done: Sequence[Measured]) -> str:
    """The whole page."""
    rows = "".join(_row(measured) for measured in done)
    reasons = "".join(f'<p class="why"><b>{escape(m.job.name)}</b>: {escape(m.report.reason)}</p>' for m in done)
    verdict = "All results are identical to the plain loop." if all(m.identical for m in done) else "Results differ."
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>fanwise demo</title>'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>fanwise demo</h1><p>{verdict}</p>{bars([(m.job.name, m.loop_s, m.fanwise_s) for m in done])}"
        "<table><caption>Each job once as a plain loop, once with fanwise</caption><thead><tr>"
        '<th scope="col">job</th><th scope="col">inputs</th><th scope="col">loop</th><th scope="col">fanwise</th>'
        '<th scope="col">gain</th><th scope="col">identical</th><th scope="col">report</th></tr></thead>'
        f"<tbody>{rows}</tbody></table><h2>Why the plan did what it did</h2>{reasons}</body></html>\n"
    )


def _row(measured: Measured) -> str:
    job = measured.job
    return (
        f'<tr><th scope="row">{escape(job.name)}</th><td>{job.items:,} {escape(job.what)}</td>'
        f'<td class="n">{measured.loop_s:.2f} s</td><td class="n">{measured.fanwise_s:.2f} s</td>'
        f'<td class="n">{measured.gain:.2f}×</td><td>{"yes" if measured.identical else "no"}</td>'
        f'<td><a href="{escape(job.name)}.html">where the time went</a></td></tr>'
    )


def bars(rows: Sequence[tuple[str, float, float]]) -> str:
    """A bar for the loop and one for fanwise, for each (name, loop seconds, fanwise seconds)."""
    longest = max((max(loop, ours) for _, loop, ours in rows), default=1.0)
    height = 64 * len(rows) + 8
    parts = []
    for at, (name, loop, ours) in enumerate(rows):
        top = 64 * at + 8
        parts.append(f'<text x="0" y="{top + 28}" font-weight="600">{escape(name)}</text>')
        for offset, label, seconds, colour in ((0, "loop", loop, "var(--loop)"), (24, "fanwise", ours, "var(--ours)")):
            width = max(1.0, _BAR_PX * seconds / longest)
            parts.append(
                f'<rect x="110" y="{top + offset}" width="{width:.1f}" height="18" rx="3" fill="{colour}"/>'
                f'<text x="{110 + width + 8:.1f}" y="{top + offset + 14}">{label} {seconds:.2f} s</text>'
            )
    return (
        f'<svg role="img" viewBox="0 0 640 {height}" width="640" height="{height}" font-family="system-ui, sans-serif" '
        f'font-size="13" fill="currentColor"><title>Seconds of the loop and of fanwise</title>'
        f"<desc>{'; '.join(f'{escape(n)}: loop {a:.2f} s, fanwise {b:.2f} s' for n, a, b in rows)}</desc>"
        f"{''.join(parts)}</svg>"
    )
