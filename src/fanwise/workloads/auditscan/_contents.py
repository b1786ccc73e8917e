"""What the workbook of a family shows: which sheets, in which order, with which rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from fanwise.errors import InputError
from fanwise.workloads.auditscan._checks import COLUMNS, findings
from fanwise.workloads.auditscan._families import admitted
from fanwise.workloads.auditscan._match import columns_of
from fanwise.workloads.auditscan._model import FAMILIES, FileResult, Match, Rule, RuleHits, ScanResult
from fanwise.workloads.auditscan._names import column_names, unique_sheet_names
from fanwise.workloads.auditscan._sheet import MOST_COLUMNS, MOST_ROWS, Cell, Rendered, Sheet, render
from fanwise.workloads.auditscan._spool import have_fields, raw_rows, row_values
from fanwise.workloads.auditscan._styles import Style, tab_colour, topic_numbers
from fanwise.workloads.auditscan._workbook import location_of

__all__ = ["Book", "RuleSheet", "books", "hits_by_rule"]

_HEADER_ROW = 3
_FIXED = ("System Name", "Line Number", "Matched Text")
_SUMMARY = ("Search Name", "Topic", "Sheet Name", "Total Results", "Unique Systems", "Has Extracted Fields")
_SYSTEMS = {  # heading: attribute of the system
    "System Name": "name",
    "OS Family": "os_family",
    "Producer": "producer",
    "Producer Version": "producer_version",
    "Linux Family": "distro_family",
    "OS Pretty Name": "os_pretty_name",
    "OS Version": "os_version",
    "Product Name": "product_name",
    "Release ID": "release_id",
    "Current Build": "current_build",
    "File Path": "",
    "File Encoding": "",
}
_BESIDE = 3  # an empty column, a label, a value
_KEEP_ROWS = 20_000  # rows of a sheet held in memory; above, they are read twice

Sources = tuple[tuple[str, Sequence[Match]], ...]


def hits_by_rule(result: ScanResult) -> list[list[tuple[FileResult, RuleHits]]]:
    """For each rule the files that it applied to, in file order, with what it found there."""
    numbers = {id(rule): n for n, rule in enumerate(result.rules.rules)}
    found: list[list[tuple[FileResult, RuleHits]]] = [[] for _ in result.rules.rules]
    for file in result.files:
        for hits in file.hits:
            found[numbers[id(hits.rule)]].append((file, hits))
    return found


@dataclass(frozen=True, slots=True)
class RuleSheet:
    """A sheet of one rule's results: the item of work that a worker renders."""

    sheet: Sheet
    fields: tuple[str, ...]
    sources: Sources
    skip: int = 0

    def __iter__(self) -> Iterator[tuple[Cell, ...]]:
        return islice(self._all(), self.skip, self.skip + self.sheet.count)

    def _all(self) -> Iterator[tuple[Cell, ...]]:
        for system, matches in self.sources:
            for row in row_values(raw_rows(matches)):
                values = row["fields"] or {}
                yield (system, row["line"], row["text"], *(values.get(name, "") for name in self.fields))

    def render(self) -> Rendered:
        """The sheet as a member of the workbook."""
        if not self.fields and not self.sources:
            return render(self.sheet, [_NOTHING])
        return render(self.sheet, list(self) if self.sheet.count <= _KEEP_ROWS else self)


_NOTHING = ("No matches found for this search configuration",)


@dataclass(frozen=True, slots=True)
class _Found:
    """A rule in one workbook."""

    rule: Rule
    sources: Sources

    @property
    def total(self) -> int:
        return sum(len(matches) for _, matches in self.sources)

    @property
    def systems(self) -> int:
        return len({system for system, _ in self.sources})

    @property
    def has_fields(self) -> bool:
        return any(have_fields(matches) for _, matches in self.sources)

    @property
    def topic(self) -> str:
        return self.rule.topic or "Unknown"


class Book:
    """The workbook of one family, put together from its sheets."""

    def __init__(
        self, result: ScanResult, family: str, by_rule: Sequence[Sequence[tuple[FileResult, RuleHits]]]
    ) -> None:
        self.family = family
        self._result = result
        self._files = [f for f in result.files if f.system is not None and f.system.os_family == family]
        found = [
            _Found(rule, _sources(hits, None if result.compat else family))
            for rule, hits in zip(result.rules.rules, by_rule, strict=True)
            if admitted(rule, family, result.compat)
        ]
        self._found = sorted(found, key=lambda one: one.rule.sheet)
        self._colours = topic_numbers(one.topic for one in found)
        self._findings = list(findings(by_rule, family))

    @cached_property
    def rule_sheets(self) -> list[RuleSheet]:
        """The sheets that a worker can render, in order."""
        pieces = [(one, skip) for one in self._found for skip in range(0, max(one.total, 1), MOST_ROWS - _HEADER_ROW)]
        names = unique_sheet_names((one.rule.sheet for one, _ in pieces), ["Findings"] if self._findings else [])
        return [self._rule_sheet(one, skip, name) for (one, skip), name in zip(pieces, names, strict=True)]

    def _rule_sheet(self, one: _Found, skip: int, name: str) -> RuleSheet:
        empty = _empty_sheet(one, name, tab_colour(self._colours[one.topic]))
        if not one.total:
            return RuleSheet(empty, (), ())
        fields = columns_of(one.rule, self._result.compat)
        if len(fields) > MOST_COLUMNS - len(_FIXED) - _BESIDE:
            raise InputError(
                f"rule '{one.rule.name}': {len(fields):,} columns, more than a sheet takes; choose jsonl or csv"
            )
        count = min(one.total - skip, MOST_ROWS - _HEADER_ROW)
        columns = tuple(column_names([*_FIXED, *fields]))
        filled = replace(empty, columns=columns, count=count, table=name, header_style=Style.HEADER, least_width=10)
        return RuleSheet(filled, fields, one.sources, skip)

    def sheets(self, rendered: Iterator[Rendered]) -> Iterator[tuple[Sheet, Rendered]]:
        """All sheets in order; ``rendered`` gives those of `rule_sheets` one after the other."""
        notices = list(self._notices())
        for number, (sheet, member) in enumerate(self._in_order(rendered), 1):
            notices += _cut_notices(sheet, member)
            yield _with_table_name(sheet, number), member
        if notices:
            table = Sheet("Notices", ("Kind", "Where", "Notice"), len(notices), title="Notices", table="Notices")
            yield _with_table_name(table, 0), render(table, notices)

    def _in_order(self, rendered: Iterator[Rendered]) -> Iterator[tuple[Sheet, Rendered]]:
        for sheet, rows in (self._summary(), self._systems()):
            yield sheet, render(sheet, rows)
        if self._findings:
            title = f"Findings ({sum(row[3] != 'pass' for row in self._findings):,} of {len(self._findings):,} checks)"
            sheet = Sheet("Findings", COLUMNS, len(self._findings), title=title, table="Findings")
            yield sheet, render(sheet, self._findings)
        for job in self.rule_sheets:
            yield job.sheet, next(rendered)

    def _summary(self) -> tuple[Sheet, list[tuple[Cell, ...]]]:
        names = [job.sheet.name for job in self.rule_sheets if not job.skip]
        rows: list[tuple[Cell, ...]] = [
            (one.rule.name, one.topic, name, one.total, one.systems, "Yes" if one.has_fields else "No")
            for one, name in zip(self._found, names, strict=True)
        ]
        title = "Search Results Summary"
        if self._result.partial:
            done = sum(f.status == "done" for f in self._result.files)
            title += f" (PARTIAL: interrupted after {done} of {len(self._result.files)} files)"
        sheet = Sheet(
            "Summary",
            _SUMMARY,
            len(rows),
            title=title,
            table="Summary" if rows else None,
            row_styles=tuple(_tinted(self._colours[one.topic]) for one in self._found),
            links=tuple((f"C{n}", location_of(name)) for n, name in enumerate(names, 3)),
        )
        return sheet, rows

    def _systems(self) -> tuple[Sheet, list[tuple[Cell, ...]]]:
        rows = [_system_row(file) for file in self._files]
        title = f"Systems Summary ({len(rows)} systems discovered)"
        return Sheet(
            "Systems Summary", tuple(_SYSTEMS), len(rows), title=title, table="Systems" if rows else None
        ), rows

    def _notices(self) -> Iterator[tuple[Cell, ...]]:
        for file in self._result.files:
            if file.status != "done":
                yield file.status, file.path, file.reason
        for file in self._files:
            for hits in file.hits:
                if hits.status != "ok":
                    yield hits.status, f"{file.path}, rule {hits.rule.name}", hits.reason
        for job in self.rule_sheets:
            if job.skip:
                yield "split", job.sheet.name, f"goes on from result {job.skip + 1:,}: a sheet takes {MOST_ROWS:,} rows"
        for warning in self._result.rules.warnings:
            yield "warning", "rules", warning


def books(result: ScanResult) -> list[Book]:
    """One workbook for each family of which a system was scanned."""
    by_rule = hits_by_rule(result)
    scanned = {file.system.os_family for file in result.files if file.system is not None}
    return [Book(result, family, by_rule) for family in FAMILIES if family in scanned]


def _sources(hits: Iterable[tuple[FileResult, RuleHits]], family: str | None) -> Sources:
    """Systems with results; ``family`` None: of all families, as kpat shows them."""
    return tuple(
        (file.system.name, one.matches)
        for file, one in hits
        if file.system is not None and len(one.matches) and family in {None, file.system.os_family}
    )


def _empty_sheet(one: _Found, name: str, tab: str) -> Sheet:
    """The sheet of a rule as it is when nothing was found."""
    comment = one.rule.comment
    return Sheet(
        name=name,
        columns=("Search Results",),
        count=1,
        header_row=_HEADER_ROW,
        title=comment,
        title_style=Style.COMMENT,
        title_height=min(max(30, 15 * (len(comment or "") // 120)), 409),
        title_columns=4,
        tab=tab,
        side=_facts(one),
        header_style=Style.FAINT,
        least_width=50,
    )


def _facts(one: _Found) -> tuple[tuple[str, Cell], ...]:
    rule = one.rule
    return (
        ("Search Configuration:", ""),
        ("Name:", rule.name),
        ("Total Results:", one.total),
        ("Unique Systems:", one.systems),
        ("Max Results:", "Unlimited" if rule.max_results == -1 else rule.max_results),
        ("Only Matching:", "Yes" if rule.only_matching else "No"),
        ("Unique Results:", "Yes" if rule.unique else "No"),
        ("Full Scan:", "Yes" if rule.full_scan else "No"),
        ("Extracted Fields:", ", ".join(rule.field_list) or "None"),
    )


def _tinted(colour: int) -> tuple[int, ...]:
    data, link = Style.TINTED + colour, Style.TINTED_LINK + colour
    return (data, data, link, data, data, data)


def _system_row(file: FileResult) -> tuple[Cell, ...]:
    values = [getattr(file.system, name) for name in _SYSTEMS.values() if name]
    return tuple(value or "N/A" for value in (*values, file.path, file.encoding))


def _cut_notices(sheet: Sheet, member: Rendered) -> Iterator[tuple[Cell, ...]]:
    if member.cuts:
        more = " and others" if member.cuts > len(member.first_cuts) else ""
        text = f"{member.cuts:,} too long for a cell and cut: {', '.join(member.first_cuts)}{more}"
        yield "truncated", sheet.name, text


def _with_table_name(sheet: Sheet, number: int) -> Sheet:
    """A name for the sheet's table that no other has and that is no cell reference."""
    if sheet.table is None:
        return sheet
    plain = re.sub(r"[^A-Za-z0-9_]", "_", sheet.table)
    return replace(sheet, table=f"T{number:03d}_{plain}")
