"""One rule over the lines it needs to look at: the unmodified pattern decides, one match a line.

Rows are plain tuples (line number, text, values of the columns or None): thousands of them are made for each `Match`
that anybody looks at.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile

from fanwise.workloads.auditscan._model import MergeField, Rule
from fanwise.workloads.auditscan._regex import compiled

__all__ = ["NO_RESULTS", "Fields", "Matcher", "Row", "columns_of"]

Fields = dict[str, str]
Row = tuple[int, str, Fields | None]

NO_RESULTS = "NO RESULTS FOUND"

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")


def clean(text: str) -> str:
    """Without the control characters that neither Excel nor XML takes."""
    return text if text.isprintable() else _CONTROL.sub("", text)


def clean_end(text: str) -> str:
    r"""The same, and without line ends at the right, which a ``\s*`` may have swallowed."""
    return text if text.isprintable() else _CONTROL.sub("", text.rstrip("\r\n"))


class Matcher:
    """A rule made ready to search.

    Parameters
    ----------
    rule : Rule
    compat : str or None
        ``"kpat"``: fields only beside ``only_matching``, line ends kept, records without groups live on.
    """

    def __init__(self, rule: Rule, compat: str | None = None) -> None:
        self.rule = rule
        self._compat = compat
        self._pattern = compiled(rule.regex)
        self._delimiter = compiled(rule.rs_delimiter, 0) if rule.rs_delimiter else None
        self._clean = clean if compat else clean_end
        self._columns = _captured(rule, compat)
        self._empty = dict.fromkeys(self._columns, "")
        self._wanted = frozenset(rule.field_list)
        self._groups = tuple(name for name in self._columns if name in self._pattern.groupindex)

    def rows(self, texts: Sequence[str], numbers: Iterable[int]) -> list[Row]:
        """Results in these lines (numbers from 0, ascending, none hidden)."""
        kept = _Kept(self.rule.unique, self.rule.max_results)
        search = self._records if self.rule.multiline else self._single
        search(texts, numbers, kept)
        return kept.rows

    def matches(self, line: str) -> bool:
        """Whether the pattern is found in this line."""
        return self._pattern.search(line) is not None

    def _single(self, texts: Sequence[str], numbers: Iterable[int], kept: _Kept) -> None:
        search, whole, tidy = self._pattern.search, not self.rule.only_matching, self._clean
        fields = self._fields if self._columns else None
        keep = kept.keep
        for number in numbers:
            line = texts[number]
            match = search(line)
            if match is not None:
                text = tidy(line.strip() if whole else match[0])
                if keep((number + 1, text, fields(match) if fields else None)):
                    return

    def _fields(self, match: re.Match[str]) -> Fields:
        tidy, values = self._clean, self._empty.copy()
        for name in self._groups:
            if value := match[name]:
                values[name] = tidy(value)
        return self._merged(values)

    def _merged(self, values: Fields) -> Fields:
        merges = self.rule.merge_fields
        return merged(values, merges, keep_destinations=not self._compat) if merges else values

    def _records(self, texts: Sequence[str], numbers: Iterable[int], kept: _Kept) -> None:
        record = _Record()
        for number in numbers:
            line = texts[number]
            match = self._pattern.search(line)
            if match is not None:
                record.add(number + 1, line.strip(), match.groupdict())
            if record.start and self._is_finished(record, line):
                if record.groups:
                    if kept.keep(self._row(record)):
                        return
                    record = _Record()
                elif not self._compat:
                    record = _Record()
        if record.start and record.groups:
            kept.keep(self._row(record))

    def _is_finished(self, record: _Record, line: str) -> bool:
        if self._delimiter is not None:
            return self._delimiter.search(line) is not None
        return self._wanted <= record.groups.keys()

    def _row(self, record: _Record) -> Row:
        groups, tidy = record.groups, self._clean
        values = {name: tidy(groups.get(name, "")) for name in self._columns}
        return record.start, tidy(record.text(skip_leading_blank=bool(self._compat))), self._merged(values)


def _captured(rule: Rule, compat: str | None) -> tuple[str, ...]:
    """Columns as they are before merging; kpat has none for a one-line rule that shows whole lines."""
    return rule.field_list if rule.only_matching or rule.multiline or not compat else ()


def columns_of(rule: Rule, compat: str | None = None) -> tuple[str, ...]:
    """All columns that results of the rule can have, in order."""
    columns = dict.fromkeys(_captured(rule, compat), "any")
    return tuple(merged(columns, rule.merge_fields, keep_destinations=not compat) if columns else columns)


@dataclass(slots=True)
class _Record:
    """What was gathered of a record over several lines; ``start`` is 0 before its first line."""

    start: int = 0
    lines: list[str] = field(default_factory=list)
    groups: Fields = field(default_factory=dict)

    def add(self, number: int, text: str, groups: dict[str, str | None]) -> None:
        self.start = self.start or number
        self.lines.append(text)
        self.groups.update((name, value) for name, value in groups.items() if value is not None)

    def text(self, *, skip_leading_blank: bool) -> str:
        """Lines joined; kpat puts a line end only after text that is not empty, so it drops blank lines in front."""
        lines = dropwhile(operator.not_, self.lines) if skip_leading_blank else self.lines
        return "\n".join(lines)


class _Kept:
    """Rows that count: each text once if the rule says so, and no more than it wants."""

    def __init__(self, unique: bool, most: int) -> None:  # noqa: FBT001 - the rule's own flag
        self.rows: list[Row] = []
        self._seen: set[str] | None = set() if unique else None
        self._most = most
        self.keep: Callable[[Row], bool] = self._checked if unique or most > 0 else self._plain

    def _plain(self, row: Row) -> bool:
        self.rows.append(row)
        return False

    def _checked(self, row: Row) -> bool:
        """Take a row or leave it; true once there are enough."""
        if self._seen is not None:
            key = row[1].strip().lower()
            if key in self._seen:
                return False
            self._seen.add(key)
        self.rows.append(row)
        return len(self.rows) == self._most


def merged(values: Fields, merges: Sequence[MergeField], *, keep_destinations: bool) -> Fields:
    """Columns after merging: sources go, each destination takes the first source that is not empty.

    A destination that is a source of any merge goes too, unless ``keep_destinations``.
    """
    sources = {name for merge in merges for name in merge.source_columns}
    rest = {name: value for name, value in values.items() if name not in sources}
    for merge in merges:
        first = next((value for name in merge.source_columns if (value := values.get(name))), None)
        if first is not None and (keep_destinations or merge.dest_column not in sources):
            rest[merge.dest_column] = first
    return rest
