"""Values of a rule file: which keys there are, what they may hold, and how to say that one does not.

Every reader takes the node and where it stands, returns the value, or complains and returns None. All problems of all
files are collected before any is raised.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fanwise.workloads.auditscan._model import MergeField, SysFilter
from fanwise.workloads.auditscan._yaml import Listing, Mapping, Node, Scalar

__all__ = ["ATTRIBUTES", "GLOBAL_KEYS", "OPERATORS", "RULE_KEYS", "Findings", "Place", "read_names", "read_values"]

ATTRIBUTES = (
    "os_family",
    "distro_family",
    "producer",
    "producer_version",
    "product_name",
    "release_id",
    "current_build",
    "ubr",
    "os_pretty_name",
    "os_version",
)
OPERATORS = ("eq", "gt", "lt", "ge", "le", "in")
SEVERITIES = ("note", "warning", "error")
EXPECTATIONS = ("none", "some")


@dataclass(slots=True)
class Findings:
    """What is wrong, and what is merely odd, as whole lines."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: file and rule."""

    path: str
    owner: str
    findings: Findings

    def problem(self, line: int, text: str) -> None:
        self.findings.problems.append(self._line(line, text))

    def warn(self, line: int, text: str) -> None:
        self.findings.warnings.append(self._line(line, text))

    def wrong(self, key: str, node: Node, expected: str) -> None:
        self.problem(node.line, f"'{key}' is {_shown(node)}; expected {expected}")

    def _line(self, line: int, text: str) -> str:
        return f"{self.path}:{line}: {self.owner}: {text}" if self.owner else f"{self.path}:{line}: {text}"


def _shown(node: Node) -> str:
    if isinstance(node, Scalar):
        text = node.raw if len(node.raw) <= 60 else node.raw[:57] + "..."
        return f"'{text}'" if isinstance(node.value, str) else text or "empty"
    return "a list" if isinstance(node, Listing) else "a mapping"


def _text(place: Place, key: str, node: Node) -> str | None:
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return node.value
    hint = " (put it in quotes)" if isinstance(node, Scalar) else ""
    place.wrong(key, node, "text" + hint)
    return None


def _flag(place: Place, key: str, node: Node) -> bool | None:
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    place.wrong(key, node, "true or false")
    return None


def _count(place: Place, key: str, node: Node) -> int | None:
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, int) and not isinstance(value, bool) and (value == -1 or value >= 1):
        return value
    place.wrong(key, node, "-1 or a positive whole number")
    return None


def _choice(*words: str) -> Callable[[Place, str, Node], str | None]:
    def read(place: Place, key: str, node: Node) -> str | None:
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, str) and value.lower() in words:
            return value.lower()
        place.wrong(key, node, one_of(words))
        return None

    return read


def one_of(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"


def read_names(place: Place, key: str, node: Node) -> tuple[str, ...] | None:
    """A list of texts."""
    if not isinstance(node, Listing):
        place.wrong(key, node, "a list of names")
        return None
    names = [_text(place, key, item) for item in node.items]
    return tuple(name for name in names if name is not None)


def _entries(place: Place, key: str, node: Node, keys: tuple[str, ...]) -> list[dict[str, Node]]:
    """A list of mappings that have exactly these keys."""
    expected = f"a list of mappings with {', '.join(keys)}"
    if not isinstance(node, Listing):
        place.wrong(key, node, expected)
        return []
    found = []
    for number, item in enumerate(node.items, 1):
        values = {k: pair[1] for k, pair in item.entries().items()} if isinstance(item, Mapping) else {}
        if missing := [k for k in keys if k not in values]:
            place.problem(item.line, f"'{key}' entry {number} has no {one_of(missing) if missing[1:] else missing[0]}")
            continue
        for unknown in sorted(str(k) for k in values if k not in keys):
            place.warn(item.line, f"'{key}' entry {number}: '{unknown}': unknown key{_nearest(unknown, keys)}")
        found.append({k: values[k] for k in keys})
    return found


def _merges(place: Place, key: str, node: Node) -> tuple[MergeField, ...]:
    found = []
    for entry in _entries(place, key, node, ("source_columns", "dest_column")):
        sources = read_names(place, "source_columns", entry["source_columns"])
        dest = _text(place, "dest_column", entry["dest_column"])
        if sources is not None and len(sources) < 2:
            place.problem(
                entry["source_columns"].line, f"'source_columns' has {len(sources)}; expected at least 2 names"
            )
        elif sources is not None and dest is not None:
            found.append(MergeField(sources, dest))
    return tuple(found)


def _filters(place: Place, key: str, node: Node) -> tuple[SysFilter, ...]:
    found = []
    for entry in _entries(place, key, node, ("attr", "comp", "value")):
        attr = _choice(*ATTRIBUTES)(place, "attr", entry["attr"])
        comp = _choice(*OPERATORS)(place, "comp", entry["comp"])
        if attr is None or comp is None:
            continue
        value = _filter_values(place, entry["value"]) if comp == "in" else _filter_value(place, comp, entry["value"])
        if value is not None:
            found.append(SysFilter(attr, comp, value))
    return tuple(found)


def _filter_value(place: Place, comp: str, node: Node) -> str | int | float | None:
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        place.wrong("value", node, f"one text or number (comp is {comp})")
        return None
    if isinstance(value, float):
        place.warn(
            node.line,
            f"'value' {node.raw if isinstance(node, Scalar) else value} is read as the number {value}; quote it",
        )
    return value


def _filter_values(place: Place, node: Node) -> tuple[str | int | float, ...] | None:
    if not isinstance(node, Listing):
        place.wrong("value", node, "a list (comp is in)")
        return None
    values = [_filter_value(place, "in", item) for item in node.items]
    return tuple(value for value in values if value is not None)


Reader = Callable[[Place, str, Node], Any]

GLOBAL_KEYS: dict[str, Reader] = {
    "topic": _text,
    "sys_filter": _filters,
    "max_results": _count,
    "only_matching": _flag,
    "unique": _flag,
    "full_scan": _flag,
}
RULE_KEYS: dict[str, Reader] = {
    "regex": _text,
    "excel_sheet_name": _text,
    "comment": _text,
    "field_list": read_names,
    "multiline": _flag,
    "rs_delimiter": _text,
    "merge_fields": _merges,
    "show_missing": _flag,
    **GLOBAL_KEYS,
}
NATIVE_KEYS: dict[str, Reader] = {"severity": _choice(*SEVERITIES), "expect": _choice(*EXPECTATIONS)}


def read_values(place: Place, node: Mapping, keys: dict[str, Reader], *, warn_unknown: bool) -> dict[str, Any]:
    """The known values of a mapping; an empty value counts as not given."""
    values = {}
    for name, (key, value) in node.entries().items():
        if name not in keys:
            if warn_unknown:
                place.warn(key.line, f"'{key.raw}': unknown key{_nearest(key.raw, keys)}")
        elif not (isinstance(value, Scalar) and value.value is None):
            found = keys[name](place, name, value)
            if found is not None:
                values[name] = found
    return values


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean '{close[0]}'?" if close else ""
