"""HTML pages taken apart: which elements they have, how these nest, what they would ask the network for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})
FETCHING = frozenset({"script", "img", "iframe", "object", "embed", "link", "base", "audio", "video", "source", "use"})


@dataclass
class Page:
    """What a page holds. ``faults`` are end tags without a start, starts without an end, and attributes said twice."""

    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    @property
    def ids(self) -> list[str]:
        return [value for _, name, value in self.attributes if name == "id"]

    @property
    def requests(self) -> list[str]:
        """Whatever makes a browser fetch something that is not in the page itself."""
        found = [tag for tag in self.tags if tag in FETCHING]
        found += [f"{tag} {name}" for tag, name, _ in self.attributes if name.startswith("on") or name == "src"]
        found += [
            f"{tag} {value}" for tag, name, value in self.attributes if name == "href" and re.match(r"\w+:|//", value)
        ]
        return found + re.findall(r"@import|url\((?!#)", "".join(self.words))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.tags.append(tag)
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.page.faults.append(f"{tag} has an attribute twice")
        self.page.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.page.faults.append(f"</{tag}> where {self.open[-1:]} is open")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.page.words.append(data)


def read_page(text: str) -> Page:
    """The page taken apart."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.page.faults += [f"<{tag}> is never ended" for tag in reader.open]
    return reader.page
