"""What changed between two scans: results that are new, and results that are gone. Lines may move, texts may not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fanwise.errors import InputError

__all__ = ["Change", "changes", "read_results"]

Key = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One result that only one of two scans has, and how often more it has it."""

    sign: str  # "+" new, "-" gone
    rule: str
    source: str
    file: str
    text: str
    count: int


def read_results(lines: Iterable[str], path: str) -> Counter[Key]:
    """Results of a ``results.jsonl`` without their line numbers.

    Raises
    ------
    InputError
        With the line that is no result.
    """
    found: Counter[Key] = Counter()
    for number, line in enumerate(lines, 1):
        try:
            found[_key(json.loads(line))] += 1
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path}, line {number}: not a result of fanwise scan") from None
    return found


def _key(result: dict[str, Any]) -> Key:
    fields = json.dumps(result["fields"], sort_keys=True)
    return str(result["rule"]), str(result["source"]), str(result["file"]), str(result["text"]), fields


def changes(before: Counter[Key], after: Counter[Key]) -> list[Change]:
    """New and gone results, by rule, file and text."""
    signed = [("-", before - after), ("+", after - before)]
    found = [Change(sign, *key[:4], count) for sign, counter in signed for key, count in counter.items()]
    return sorted(found, key=lambda c: (c.rule, c.source, c.file, c.text, c.sign))
