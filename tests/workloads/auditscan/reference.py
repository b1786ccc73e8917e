"""The rules of matching, written down a second time and as plainly as they read: line by line, no candidates, no speed.

Slow and obvious on purpose. What the product finds must be what this finds.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field

from fanwise.workloads.auditscan import Rule

Result = tuple[int, str, dict[str, str] | None]

REFUSED = {*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0)}


def lines_of(text: str) -> list[str]:
    """Lines with their ends, which are line feeds, carriage returns, or both together."""
    lines, line, at = [], "", 0
    while at < len(text):
        letter = text[at]
        if letter == "\r":
            at += text[at : at + 2] == "\r\n"
            letter = "\n"
        line += letter
        if letter == "\n":
            lines.append(line)
            line = ""
        at += 1
    return [*lines, line] if line else lines


def cleaned(text: str, kpat: bool) -> str:
    if not kpat:
        while text.endswith(("\n", "\r")):
            text = text[:-1]
    return "".join(letter for letter in text if ord(letter) not in REFUSED)


def merge(rule: Rule, fields: dict[str, str], kpat: bool) -> dict[str, str]:
    """Each destination takes its first source that is not empty; then all sources go."""
    if not rule.merge_fields or not fields:
        return fields
    before = dict(fields)
    after = dict(fields)
    written = {}
    for one in rule.merge_fields:
        for name in one.source_columns:
            if before.get(name):
                written[one.dest_column] = before[name]
                break
    for one in rule.merge_fields:
        for name in one.source_columns:
            after.pop(name, None)
    sources = {name for one in rule.merge_fields for name in one.source_columns}
    for name, value in written.items():
        if not (kpat and name in sources):
            after[name] = value
    return after


@dataclass
class Taken:
    """Results of one rule in one file."""

    rule: Rule
    results: list[Result] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    @property
    def full(self) -> bool:
        return self.rule.max_results > 0 and len(self.results) >= self.rule.max_results

    def add(self, result: Result) -> None:
        if self.full:
            return
        key = result[1].strip().lower()
        if self.rule.unique and key in self.seen:
            return
        self.seen.add(key)
        self.results.append(result)


def compiled(pattern: str, flags: int) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return re.compile(pattern, flags)


def one_line(rule: Rule, lines: list[str], kpat: bool) -> list[Result]:
    pattern, taken = compiled(rule.regex, re.IGNORECASE), Taken(rule)
    with_fields = bool(rule.field_list) and (rule.only_matching or not kpat)
    for number, line in enumerate(lines, 1):
        match = None if "###" in line else pattern.search(line)
        if match is None:
            continue
        text = cleaned(match.group(0) if rule.only_matching else line.strip(), kpat)
        fields = None
        if with_fields:
            fields = {}
            for name in rule.field_list:
                value = match.group(name) if name in pattern.groupindex else ""
                fields[name] = cleaned(value, kpat) if value else ""
            fields = merge(rule, fields, kpat)
        taken.add((number, text, fields))
    return taken.results


@dataclass
class Record:
    """What was gathered so far."""

    values: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    start: int = 0
    partial: bool = False

    def take(self, number: int, line: str, groups: dict[str, str | None]) -> None:
        if not self.partial:
            self.start, self.partial = number, True
        self.lines.append(line.strip())
        for name, value in groups.items():
            if value is not None:
                self.values[name] = value


def several_lines(rule: Rule, lines: list[str], kpat: bool) -> list[Result]:
    pattern, taken, record = compiled(rule.regex, re.IGNORECASE), Taken(rule), Record()
    delimiter = compiled(rule.rs_delimiter, 0) if rule.rs_delimiter else None
    for number, line in enumerate(lines, 1):
        if "###" in line or taken.full:
            continue
        match = pattern.search(line)
        if match is not None:
            record.take(number, line, match.groupdict())
        if not record.partial:
            continue
        if delimiter is not None:
            finished = delimiter.search(line) is not None
        else:
            finished = all(name in record.values for name in rule.field_list)
        if finished and record.values:
            taken.add(emitted(rule, record, kpat))
            record = Record()
        elif finished and not kpat:
            record = Record()
    if record.partial and record.values:
        taken.add(emitted(rule, record, kpat))
    return taken.results


def emitted(rule: Rule, record: Record, kpat: bool) -> Result:
    text = "" if kpat else "\n".join(record.lines)
    for line in record.lines if kpat else ():
        text += f"\n{line}" if text else line
    fields = {name: cleaned(record.values.get(name, ""), kpat) for name in rule.field_list}
    return record.start, cleaned(text, kpat), merge(rule, fields, kpat)


def results_of(rule: Rule, text: str, kpat: bool = False) -> list[Result]:
    """What a rule that applies finds in a text."""
    search = several_lines if rule.multiline else one_line
    found = search(rule, lines_of(text), kpat)
    return found or ([(1, "NO RESULTS FOUND", None)] if rule.show_missing else [])
