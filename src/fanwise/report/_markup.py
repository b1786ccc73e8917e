"""HTML and SVG from Python values. Text is escaped unless it is `Markup`, so nothing from a user gets through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["Markup", "join", "table", "tag"]


_MANY = 5  # columns that a small screen has no room for


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def _escaped(text: str) -> str:
    return text if isinstance(text, Markup) else escape(text)


def join(parts: Iterable[str], between: str = "\n") -> Markup:
    """Parts one after the other."""
    return Markup(_escaped(between).join(_escaped(part) for part in parts))


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """An element. ``class_`` stands for ``class``, ``_`` in names for ``-``; attributes that are None are left out."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_number(value) if isinstance(value, float) else escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{said}>{''.join(map(_escaped, children))}</{name}>")


def _number(value: float) -> str:
    """A coordinate: a tenth of a pixel is enough."""
    return f"{value:.1f}".removesuffix(".0")


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> Markup:
    """A table whose first column names its rows; ``numbers`` are the columns set flush right."""
    right = set(numbers)
    classes = ["n" if column in right else None for column in range(len(head))]
    columns = join((tag("th", text, scope="col", class_=c) for text, c in zip(head, classes, strict=True)), "")
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row", class_=classes[0]),
            *(tag("td", cell, class_=c) for cell, c in zip(row[1:], classes[1:], strict=True)),
        )
        for row in rows
    ]
    whole = tag("table", tag("caption", caption), tag("thead", tag("tr", columns)), tag("tbody", join(body)))
    return tag("div", whole, class_="scroll wide" if len(head) >= _MANY else "scroll")
