"""The H-P envelope as a picture: magnitude against log10 loss, a band for each tier, thresholds, events."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.envelope._curves import Curve
from fanwise.workloads.envelope._events import Event

__all__ = ["Picture", "png", "svg"]

WIDTH, HEIGHT = 720, 480
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 40, 60
LINE_PX = 14
PALETTE = ("#56b4e9", "#0072b2", "#e69f00", "#009e73", "#cc79a7")
"""Okabe & Ito (2008): told apart with any colour vision; the lightest first."""
THRESHOLD, EVENT, INK = "#d55e00", "#000000", "#1b1f24"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What is drawn; thresholds are (label, loss)."""

    title: str
    unit: str
    tiers: tuple[tuple[str, Curve], ...]
    thresholds: tuple[tuple[str, float], ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Axes:
    """From magnitudes and log10 losses to pixels."""

    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, value: float) -> float:
        return LEFT + (value - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.y0) / (self.y1 - self.y0) * (HEIGHT - TOP - BOTTOM)


def _log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log10(values, out=np.full(len(values), np.nan), where=values > 0)


def _axes(picture: Picture) -> Axes:
    curves = [curve for _, curve in picture.tiers if len(curve)]
    magnitudes = [m for curve in curves for m in curve.magnitude[[0, -1]].tolist()]
    losses = [loss for curve in curves for loss in (curve.lower[0], curve.upper[0], curve.total_loss)]
    magnitudes += [math.log10(event.area_km2) for event in picture.events if event.area_km2 > 0]
    losses += [event.loss for event in picture.events] + [loss for _, loss in picture.thresholds]
    heights = [math.log10(loss) for loss in losses if loss > 0] or [0.0]
    magnitudes = magnitudes or [0.0]
    return Axes(*(_room(magnitudes)), *(_room(heights)))


def _room(values: Sequence[float]) -> tuple[float, float]:
    """The whole numbers around the values."""
    low, high = math.floor(min(values)), math.ceil(max(values))
    return float(low), float(high if high > low else low + 1)


def svg(picture: Picture) -> str:
    """A drawing whose text stays text."""
    axes = _axes(picture)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" font-family="sans-serif" font-size="12" fill="{INK}">'
        ),
        f"<title>{escape(picture.title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-size="16">{escape(picture.title)}</text>',
        *_frame(axes, picture.unit),
    ]
    for at, (name, curve) in enumerate(picture.tiers):
        parts += _band(axes, curve, PALETTE[at % len(PALETTE)], name)
        parts.append(_key(at, name))
    parts += _thresholds(axes, picture)
    parts += _events(axes, picture)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _frame(axes: Axes, unit: str) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="{INK}"/>']
    parts += [
        f'<text x="{axes.x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>'
        for tick in _ticks(axes.x0, axes.x1)
    ]
    parts += [
        f'<text x="{LEFT - 8}" y="{axes.y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in _ticks(axes.y0, axes.y1)
    ]
    middle = (TOP + bottom) / 2
    return [
        *parts,
        (
            f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 16}" text-anchor="middle">'
            "magnitude: log10 of disrupted harvested area (km²)</text>"
        ),
        f'<text x="18" y="{middle}" text-anchor="middle" transform="rotate(-90 18 {middle})">log10 of loss ({unit})</text>',
    ]


def _ticks(low: float, high: float) -> list[float]:
    step = max(1, math.ceil((high - low) / 8))
    return [low + step * at for at in range(int((high - low) / step) + 1)]


def _key(at: int, name: str) -> str:
    x, y = WIDTH - RIGHT + 16, TOP + 20 * at
    colour = PALETTE[at % len(PALETTE)]
    return (
        f'<rect x="{x}" y="{y}" width="14" height="12" fill="{colour}" fill-opacity="0.5" stroke="{colour}"/>'
        f'<text x="{x + 20}" y="{y + 11}">{escape(name)}</text>'
    )


def _band(axes: Axes, curve: Curve, colour: str, name: str) -> list[str]:
    """The area between the bounds, and a ring where they converge."""
    if not len(curve):
        return []
    upper = _points(axes, curve.upper_area_km2, curve.upper)
    lower = _points(axes, curve.lower_area_km2, curve.lower)
    x, y = upper[-1] if upper else (0.0, 0.0)
    corners = " ".join(f"{px:.1f},{py:.1f}" for px, py in [*upper, *reversed(lower)])
    return [
        (
            f'<polygon points="{corners}" fill="{colour}" fill-opacity="0.35" stroke="{colour}">'
            f"<title>{escape(name)}: width {curve.width:.4g}</title></polygon>"
        ),
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="none" stroke="{colour}" stroke-width="2"/>',
    ]


def _points(axes: Axes, area_km2: NDArray[np.float64], loss: NDArray[np.float64]) -> list[tuple[float, float]]:
    pairs = zip(_log(area_km2).tolist(), _log(loss).tolist(), strict=True)
    return [(axes.x(x), axes.y(y)) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


def _thresholds(axes: Axes, picture: Picture) -> list[str]:
    """Dashed lines, their labels beside the frame and apart from each other."""
    right = WIDTH - RIGHT
    heights = [axes.y(math.log10(loss)) for _, loss in picture.thresholds]
    parts = []
    for (label, _), y, text_y in zip(picture.thresholds, heights, apart(heights), strict=True):
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{THRESHOLD}" stroke-dasharray="6 4"/>'
            f'<path d="M{right} {y:.1f}L{right + 10} {text_y:.1f}" stroke="{THRESHOLD}" stroke-width="0.5"/>'
            f'<text x="{right + 12}" y="{text_y + 4:.1f}" fill="{THRESHOLD}">{escape(label)}</text>'
        )
    return parts


def _events(axes: Axes, picture: Picture) -> list[str]:
    """A dot for each event, its label beside it and not over another one."""
    events = [event for event in picture.events if event.area_km2 > 0 and event.loss > 0]
    spots = [(axes.x(math.log10(event.area_km2)), axes.y(math.log10(event.loss))) for event in events]
    parts = []
    for event, (x, y), text_y in zip(events, spots, apart([y for _, y in spots]), strict=True):
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{EVENT}"/>'
            f'<text x="{x + 7:.1f}" y="{text_y + 4:.1f}">{escape(event.label)}</text>'
        )
    return parts


def apart(heights: Sequence[float], least: float = LINE_PX) -> list[float]:
    """Heights moved down so far that no two are nearer than a line.

    >>> apart([10.0, 12.0, 50.0])
    [10.0, 24.0, 50.0]
    """
    moved = list(heights)
    lowest = -math.inf
    for at in sorted(range(len(heights)), key=lambda at: heights[at]):
        lowest = moved[at] = max(heights[at], lowest + least)
    return moved


def png(picture: Picture) -> bytes:
    """The same as a bitmap, by matplotlib."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    plot = figure.add_subplot()
    for at, (name, curve) in enumerate(picture.tiers):
        if len(curve):
            colour = PALETTE[at % len(PALETTE)]
            x = np.concatenate([_log(curve.upper_area_km2), _log(curve.lower_area_km2)[::-1]])
            y = np.concatenate([_log(curve.upper), _log(curve.lower)[::-1]])
            plot.fill(x, y, color=colour, alpha=0.35, label=name)
            plot.plot(math.log10(curve.total_area_km2), math.log10(curve.total_loss), "o", mfc="none", color=colour)
    for label, loss in picture.thresholds:
        plot.axhline(math.log10(loss), color=THRESHOLD, linestyle="--")
        plot.annotate(label, (1.0, math.log10(loss)), xycoords=("axes fraction", "data"), color=THRESHOLD)
    for event in picture.events:
        if event.area_km2 > 0 and event.loss > 0:
            spot = math.log10(event.area_km2), math.log10(event.loss)
            plot.plot(*spot, "o", color=EVENT, markersize=4)
            plot.annotate(event.label, spot, xytext=(5, 0), textcoords="offset points")
    plot.set(title=picture.title, xlabel="magnitude: log10 of disrupted harvested area (km²)",
             ylabel=f"log10 of loss ({picture.unit})")  # fmt: skip
    plot.legend(loc="lower right")
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # names in scripts that the font lacks
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
