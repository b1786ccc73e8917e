"""Why a rule finds what it finds: its values and their origin, the text it needs, and how it fares in a file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from typing import Any

from fanwise.workloads.auditscan._alarm import Alarm, RuleTimeout
from fanwise.workloads.auditscan._decode import Decoded
from fanwise.workloads.auditscan._families import families_of
from fanwise.workloads.auditscan._filters import holds, value_of
from fanwise.workloads.auditscan._identify import UNKNOWN, identify_lines
from fanwise.workloads.auditscan._lines import Lines, finder_for
from fanwise.workloads.auditscan._match import Matcher, Row
from fanwise.workloads.auditscan._model import Rule, System
from fanwise.workloads.auditscan._search import needed_literals

__all__ = ["describe", "explain_in", "listed"]

_SHOWN = 20
_EVERY_LINE = "no text is in every match: the rule reads every line"


def listed(rule: Rule, compat: str | None = None) -> dict[str, Any]:
    """One rule as a row of a list."""
    needed = needed_literals(rule)
    return {
        "name": rule.name,
        "source": f"{rule.source}:{rule.line}",
        "families": list(families_of(rule, compat)),
        "sheet": rule.sheet,
        "literals": sorted(needed) if needed else None,
    }


def describe(rule: Rule) -> dict[str, Any]:
    """All values of a rule, each with its origin, and the texts of which a line must contain one."""
    needed = needed_literals(rule)
    return {
        "name": rule.name,
        "source": rule.source,
        "line": rule.line,
        "values": [
            {"key": key, "value": value, "origin": _origin(rule, key)}
            for key, value in asdict(rule).items()
            if key not in {"name", "source", "line", "given", "inherited"}
        ],
        "literals": sorted(needed) if needed else None,
        "why": "every match contains one of these texts (in any case)" if needed else _EVERY_LINE,
    }


def _origin(rule: Rule, key: str) -> str:
    key = "excel_sheet_name" if key == "sheet" else key
    if key in rule.inherited:
        both = " and the rule" if key in rule.given else ""
        return f"global{both}, {rule.source}"
    return f"rule, {rule.source}" if key in rule.given else "default"


def explain_in(
    rule: Rule,
    decoded: Decoded,
    *,
    compat: str | None = None,
    rule_timeout: float = 5.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """How the rule fares in one file: filters, candidate lines, results, and what stopped it if it found nothing."""
    lines = Lines(decoded)
    system = identify_lines(lines) or UNKNOWN
    conditions = [_condition(rule, system, number, compat) for number in range(len(rule.sys_filter))]
    told: dict[str, Any] = {"system": asdict(system), "filters": conditions, "candidates": 0, "matching_lines": 0}
    failed = next((n for n, condition in enumerate(conditions, 1) if not condition["holds"]), None)
    if failed is not None:
        return told | {
            "seconds": 0.0,
            "results": [],
            "verdict": f"filter {failed} does not hold: the rule is not applied",
        }
    candidates = _candidates(rule, decoded, lines)
    began = clock()
    try:
        with Alarm(rule_timeout) as alarm:
            rows = alarm.limit(lambda: Matcher(rule, compat).rows(lines.texts, candidates))
    except RuleTimeout:
        verdict = f"the pattern takes longer than {rule_timeout:g} s in this file"
        return told | {"candidates": len(candidates), "seconds": rule_timeout, "results": [], "verdict": verdict}
    matcher = Matcher(rule, compat)
    hits = [n for n in candidates if matcher.matches(lines.texts[n])]
    return told | {
        "candidates": len(candidates),
        "matching_lines": len(hits),
        "seconds": clock() - began,
        "results": [_shown(row) for row in islice(rows, _SHOWN)],
        "verdict": _verdict(rows, candidates, hits),
    }


def _candidates(rule: Rule, decoded: Decoded, lines: Lines) -> list[int]:
    needed = needed_literals(rule)
    if needed is None:
        return lines.visible
    return lines.candidates(finder_for(sorted(needed))(decoded.folded))


def _condition(rule: Rule, system: System, number: int, compat: str | None) -> dict[str, Any]:
    condition = rule.sys_filter[number]
    value = value_of(system, condition.attr, compat)
    return {**asdict(condition), "system": value, "holds": holds(condition, value, compat)}


def _shown(row: Row) -> dict[str, Any]:
    return dict(zip(("line", "text", "fields"), row, strict=True))


def _verdict(rows: list[Row], candidates: list[int], hits: list[int]) -> str:
    if rows:
        return f"{len(rows):,} results"
    if not candidates:
        return "no line contains any of the texts that a match needs"
    if not hits:
        return f"the pattern matches none of {len(candidates):,} candidate lines"
    return f"{len(hits):,} lines match, but no named group took part in any of them"
