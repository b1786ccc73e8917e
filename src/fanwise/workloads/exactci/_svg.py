"""SVG by hand: text as text, no date, the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

__all__ = ["document", "line", "text"]


def text(x: float, y: float, words: str, *, anchor: str = "start", fill: str = "#000000", size: int = 12) -> str:
    """A line of text; control characters, which XML has no place for, become blanks."""
    shown = escape("".join(character if character.isprintable() else " " for character in words))
    return f'<text x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}" fill="{fill}" font-size="{size}">{shown}</text>'


def line(start: tuple[float, float], end: tuple[float, float], stroke: str, more: str = "") -> str:
    """A straight line."""
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" stroke="{stroke}"{more}/>'


def document(size: tuple[float, float], title: str, description: str, body: Iterable[str]) -> str:
    """A whole picture on white, with a title that is seen and read aloud."""
    width, height = size
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" font-family="sans-serif">'
    )
    names = f"<title>{escape(title)}</title>\n<desc>{escape(description)}</desc>"
    paper = f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>'
    return "\n".join([head, names, paper, text(12, 20, title, size=14), *body, "</svg>\n"])
