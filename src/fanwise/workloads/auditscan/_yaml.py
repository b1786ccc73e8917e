"""YAML as a tree whose every node knows its line.

The tree is built from parser events with a stack of its own: the composer of libyaml's binding recurses in C and ends
the process on some ten thousand nested brackets (seen).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Listing", "Mapping", "Node", "Scalar", "YamlProblem", "parse"]

_DEEPEST = 50
_MOST_EXPANSIONS = 100  # of one alias; a chain of ten aliases ten times over would be 10^10 values
_TAG = "tag:yaml.org,2002:"


class YamlProblem(ValueError):
    """The text is not one YAML document that may be read; ``line`` counts from 1."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


@dataclass(slots=True)
class Scalar:
    """A single value; ``raw`` is how it was written."""

    line: int
    value: Any
    raw: str
    expansions: int = 0


@dataclass(slots=True)
class Listing:
    """A sequence of nodes."""

    line: int
    items: list[Node] = field(default_factory=list)
    expansions: int = 0

    def add(self, node: Node) -> None:
        self.items.append(node)


@dataclass(slots=True)
class Mapping:
    """Pairs of nodes in the order written; a key may occur twice. ``merged`` are pairs that came by ``<<``."""

    line: int
    pairs: list[tuple[Scalar, Node]] = field(default_factory=list)
    merged: list[tuple[Scalar, Node]] = field(default_factory=list)
    expansions: int = 0
    _key: Scalar | None = None

    def add(self, node: Node) -> None:
        if self._key is None:
            self._key = _as_key(node)
            return
        key, self._key = self._key, None
        if key.value is _MERGE:
            self.merged.extend(_inherited(node))
        else:
            self.pairs.append((key, node))

    def entries(self) -> dict[Any, tuple[Scalar, Node]]:
        """The pair that counts for each key: the last one written here, else the first one merged in."""
        found = {key.value: (key, node) for key, node in reversed(self.merged)}
        found.update({key.value: (key, node) for key, node in self.pairs})
        return found

    def repeated(self) -> Iterator[Scalar]:
        """Keys that were written before in this mapping."""
        seen: set[Any] = set()
        for key, _ in self.pairs:
            if key.value in seen:
                yield key
            seen.add(key.value)


Node = Scalar | Listing | Mapping

_MERGE = object()


def _as_key(node: Node) -> Scalar:
    if not isinstance(node, Scalar):
        raise YamlProblem(node.line, "a key must be plain text, not a list or mapping")
    return node


def _inherited(node: Node) -> list[tuple[Scalar, Node]]:
    if isinstance(node, Mapping):
        return list(node.entries().values())
    if isinstance(node, Listing) and all(isinstance(item, Mapping) for item in node.items):
        return [pair for item in node.items for pair in _inherited(item)]
    raise YamlProblem(node.line, "'<<' takes a mapping or a list of mappings")


def parse(text: str) -> Node | None:
    """Read one YAML document; None if there is nothing in it.

    Raises
    ------
    YamlProblem
        With the line, if the text is not YAML, nests deeper than 50, expands an alias more than 100 times, or has tags.
    """
    import yaml

    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.on(event)
    except yaml.MarkedYAMLError as error:
        raise _syntax(error) from None
    except yaml.YAMLError as error:
        raise YamlProblem(1, str(error).replace("\n", " ")) from None
    except ValueError as error:
        if isinstance(error, YamlProblem):
            raise
        raise YamlProblem(builder.line, str(error)) from None  # 2024-13-45 looks like a date and is none
    return builder.root


def _syntax(error: Any) -> YamlProblem:
    """What the parser says, and where it thinks the trouble began."""
    mark, before = error.problem_mark or error.context_mark, error.context_mark
    text = str(error.problem or error.context)
    if error.context and before:
        text += f" ({error.context}, line {before.line + 1})"
    return YamlProblem(mark.line + 1 if mark else 1, text)


class _Builder:
    """Puts parser events together."""

    def __init__(self) -> None:
        from yaml import constructor, nodes, resolver

        self.root: Node | None = None
        self.line = 1
        self._resolver: Any = resolver.Resolver()
        self._constructor = constructor.SafeConstructor()
        self._scalar_node = nodes.ScalarNode
        self._open: list[Listing | Mapping] = []
        self._names: list[str | None] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._handlers = {
            "DocumentStartEvent": self._document,
            "ScalarEvent": self._scalar,
            "SequenceStartEvent": self._sequence,
            "MappingStartEvent": self._mapping,
            "SequenceEndEvent": self._end,
            "MappingEndEvent": self._end,
            "AliasEvent": self._alias,
        }

    def on(self, event: Any) -> None:
        self.line = event.start_mark.line + 1
        handler = self._handlers.get(type(event).__name__)
        if handler:
            handler(event)

    def _document(self, _event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise YamlProblem(self.line, "a second document begins here; one file holds one")

    def _scalar(self, event: Any) -> None:
        node = Scalar(self.line, self._value_of(event), event.value)
        if event.anchor:
            self._anchors[event.anchor] = node
        self._place(node)

    def _value_of(self, event: Any) -> Any:
        """What a scalar stands for by the rules of YAML 1.1: ``on`` is a boolean, ``1.10`` the number 1.1."""
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._resolver.resolve(self._scalar_node, event.value, event.implicit)
        if tag == _TAG + "str":
            return event.value
        if tag == _TAG + "merge":
            return _MERGE
        return self._constructor.construct_object(self._scalar_node(tag, event.value, event.start_mark))

    def _begin(self, event: Any, node: Listing | Mapping, tag: str) -> None:
        if event.tag not in {None, "!", _TAG + tag}:
            raise YamlProblem(self.line, f"tag {event.tag} is not allowed here")
        if len(self._open) == _DEEPEST:
            raise YamlProblem(self.line, f"nested deeper than {_DEEPEST}")
        self._open.append(node)
        self._names.append(event.anchor)

    def _sequence(self, event: Any) -> None:
        self._begin(event, Listing(self.line), "seq")

    def _mapping(self, event: Any) -> None:
        self._begin(event, Mapping(self.line), "map")

    def _end(self, _event: Any) -> None:
        node, name = self._open.pop(), self._names.pop()
        if name:
            self._anchors[name] = node
        self._place(node)

    def _alias(self, event: Any) -> None:
        if event.anchor in self._names:
            raise YamlProblem(self.line, f"alias *{event.anchor} contains itself")
        if event.anchor not in self._anchors:
            raise YamlProblem(self.line, f"alias *{event.anchor} has no anchor above it")
        node = self._anchors[event.anchor]
        if node.expansions >= _MOST_EXPANSIONS:
            raise YamlProblem(self.line, f"alias *{event.anchor} expands more than {_MOST_EXPANSIONS} aliases")
        self._place(node, expansions=1 + node.expansions)

    def _place(self, node: Node, expansions: int | None = None) -> None:
        if not self._open:
            self.root = node
            return
        self._open[-1].add(node)
        self._open[-1].expansions += node.expansions if expansions is None else expansions
