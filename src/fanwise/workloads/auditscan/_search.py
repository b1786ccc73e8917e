"""One text, all rules: who it is about, which rules apply, which lines each must read, what it finds there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fanwise.workloads.auditscan._alarm import Alarm, RuleTimeout
from fanwise.workloads.auditscan._decode import Decoded
from fanwise.workloads.auditscan._filters import applies
from fanwise.workloads.auditscan._lines import Finder, Lines, finder_for
from fanwise.workloads.auditscan._match import NO_RESULTS, Matcher, Row
from fanwise.workloads.auditscan._model import Match, Rule, RuleHits, RuleSet, System
from fanwise.workloads.auditscan._regex import dissect

__all__ = ["Found", "Searcher", "as_hits", "needed_literals"]

Strings = frozenset[str]
_SAMPLE = 64


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of one rule (its number in the rule set) in one text; ``missing``: the one row says that there are none."""

    rule: int
    rows: list[Row] = field(default_factory=list)
    missing: bool = False
    status: str = "ok"
    reason: str = ""


def needed_literals(rule: Rule) -> Strings | None:
    """Texts of which a line must contain one to matter to the rule; None: every line matters."""
    needed = dissect(rule.regex).literals
    if not (rule.multiline and rule.rs_delimiter):
        return needed
    ending = dissect(rule.rs_delimiter).literals
    return None if needed is None or ending is None else _shortest(needed | ending)


def _shortest(texts: Strings) -> Strings:
    """Without texts that contain another one: the other finds their lines too."""
    return frozenset(text for text in texts if not any(other in text for other in texts if other != text))


def further_literals(rule: Rule) -> tuple[Strings, ...]:
    """Sets of which a line must have members besides; none if lines without a match may end a record."""
    return () if rule.multiline and rule.rs_delimiter else dissect(rule.regex).further


def narrowed(texts: Sequence[str], numbers: Sequence[int], further: Sequence[Strings]) -> Sequence[int]:
    """Candidate lines that have a member of each further set too.

    The automaton looks for one set a rule, since others are often as common as ``/etc``. Asking each candidate spares a
    fifth of the time in `re`; where a sample shows that most pass, the others are not asked.
    """
    if not further:
        return numbers
    sample = _having(texts, numbers[:_SAMPLE], further)
    if len(sample) > _SAMPLE * 3 // 4:
        return numbers
    return sample + _having(texts, numbers[_SAMPLE:], further)


def _having(texts: Sequence[str], numbers: Sequence[int], further: Sequence[Strings]) -> list[int]:
    """Lines with a member of each set. Lines with other than ASCII letters stay: they may match by folding."""
    return [n for n in numbers if not (text := texts[n]).isascii() or _has_each(text.lower(), further)]


def _has_each(folded: str, sets: Sequence[Strings]) -> bool:
    for members in sets:
        for member in members:
            if member in folded:
                break
        else:
            return False
    return True


class Searcher:
    """A rule set made ready to search texts. Patterns are compiled when the first candidate line turns up."""

    def __init__(self, rules: RuleSet, compat: str | None = None) -> None:
        self._rules = rules.rules
        self._compat = compat
        self._needed = [needed_literals(rule) for rule in self._rules]
        self._further = [further_literals(rule) for rule in self._rules]
        self._matchers: dict[int, Matcher] = {}
        self._finders: dict[tuple[int, ...], tuple[list[str], Finder]] = {}

    def applicable(self, system: System) -> tuple[int, ...]:
        """Numbers of the rules whose filters hold."""
        return tuple(n for n, rule in enumerate(self._rules) if applies(rule, system, self._compat))

    def search(self, decoded: Decoded, lines: Lines, system: System, rule_timeout: float = 0.0) -> list[Found]:
        """Results of every rule that applies, in rule order."""
        numbers = self.applicable(system)
        candidates = self._candidates(numbers, decoded, lines)
        with Alarm(rule_timeout) as alarm:
            found = [self._one(number, lines.texts, candidates(number), alarm) for number in numbers]
        if self._compat:
            found = self._united(found)
        return [self._told_missing(one, numbers) for one in found]

    def _candidates(self, numbers: tuple[int, ...], decoded: Decoded, lines: Lines) -> Callable[[int], list[int]]:
        """The lines each rule must read; many rules share a section prefix, so they are kept by literal set."""
        literals, find = self._finder(numbers)
        offsets = dict(zip(literals, find(decoded.folded), strict=True))
        kept: dict[Strings, list[int]] = {}

        def of(number: int) -> list[int]:
            needed = self._needed[number]
            if needed is None:
                return lines.visible
            if needed not in kept:
                kept[needed] = lines.candidates([offsets[literal] for literal in needed])
            return kept[needed]

        return of

    def _finder(self, numbers: tuple[int, ...]) -> tuple[list[str], Finder]:
        if numbers not in self._finders:
            literals = sorted(set[str]().union(*(self._needed[n] or () for n in numbers)))
            self._finders[numbers] = literals, finder_for(literals)
        return self._finders[numbers]

    def _one(self, number: int, texts: Sequence[str], candidates: Sequence[int], alarm: Alarm) -> Found:
        if not candidates:
            return Found(number)
        try:
            matcher = self._matcher(number)
            chosen = narrowed(texts, candidates, self._further[number])
            return Found(number, alarm.limit(lambda: matcher.rows(texts, chosen)))
        except RuleTimeout as error:
            return Found(number, status="timeout", reason=str(error))
        except (re.error, RecursionError) as error:
            return Found(number, status="error", reason=f"{type(error).__name__}: {error}")

    def _matcher(self, number: int) -> Matcher:
        if number not in self._matchers:
            self._matchers[number] = Matcher(self._rules[number], self._compat)
        return self._matchers[number]

    def _united(self, found: Sequence[Found]) -> list[Found]:
        """Rules of one name, in two files: kpat keeps results by name, so each of them reports those of all."""
        by_name: dict[str, list[Row]] = {}
        for one in found:
            by_name.setdefault(self._rules[one.rule].name, []).extend(one.rows)
        states = {one.rule: one for one in found}
        return [
            Found(
                n,
                by_name[rule.name],
                status=states[n].status if n in states else "ok",
                reason=states[n].reason if n in states else "",
            )
            for n, rule in enumerate(self._rules)
            if rule.name in by_name and (n in states or by_name[rule.name])
        ]

    def _told_missing(self, one: Found, applicable: tuple[int, ...]) -> Found:
        if one.rows or one.status != "ok" or not self._rules[one.rule].show_missing or one.rule not in applicable:
            return one
        return Found(one.rule, [(1, NO_RESULTS, None)], missing=True)


def as_hits(rules: RuleSet, found: Sequence[Found]) -> list[RuleHits]:
    """Results as the records of the public API."""
    return [
        RuleHits(
            rules.rules[one.rule],
            tuple(Match(line, text, fields, one.missing) for line, text, fields in one.rows),
            one.status,
            one.reason,
        )
        for one in found
    ]
