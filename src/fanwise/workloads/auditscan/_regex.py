"""What can be said of a regular expression without running it: its groups, and text that every match contains.

The standard parser's tree is read, not the pattern text. A *required-literal set* is a set of lower-case ASCII strings
of which every match contains at least one, so lines without any of them need not be searched.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["FLAGS", "Anatomy", "compiled", "dissect"]

FLAGS = re.IGNORECASE
_MOST_MEMBERS = 12
_SHORTEST = 2
_MOST_SETS = 4

Strings = frozenset[str]
_EMPTY: Strings = frozenset({""})


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What a pattern needs.

    Attributes
    ----------
    groups : tuple of str
        Named groups.
    literals : frozenset of str or None
        The best required-literal set; None: every line must be read.
    further : tuple of frozenset of str
        Other sets of which a match contains a member too, best first.
    warnings : tuple of str
        What the parser warned of.
    """

    groups: tuple[str, ...]
    literals: Strings | None
    further: tuple[Strings, ...]
    matches_empty: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """``exact``: all strings this part can match, if few; ``required``: sets of each of which a match has a member."""

    exact: Strings | None = None
    required: tuple[Strings, ...] = ()

    def needs(self) -> tuple[Strings, ...]:
        """All required sets, best first."""
        return _ranked([s for s in (self.exact, *self.required) if s])


def compiled(pattern: str, flags: int = FLAGS) -> re.Pattern[str]:
    """The pattern as `re` compiles it; what the compiler warns of is told by `dissect`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return re.compile(pattern, flags)


@lru_cache(maxsize=4096)
def dissect(pattern: str) -> Anatomy:
    """Take a pattern apart.

    Raises
    ------
    re.error
        If it is none.
    """
    parser = _module("re._parser")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if parser is None or "(?<" in pattern:
            re.compile(pattern, FLAGS)  # that a look-behind has one width is checked by the compiler, not by the parser
        tree = parser.parse(pattern, FLAGS) if parser else None
    notes = tuple(dict.fromkeys(str(w.message) for w in caught))
    if tree is None:
        found = re.compile(pattern, FLAGS)
        return Anatomy(tuple(found.groupindex), None, (), found.search("") is not None, notes)
    may_be_empty = tree.getwidth()[0] == 0 and compiled(pattern).search("") is not None
    best, *further = _sequence(tree).needs() or (None,)
    return Anatomy(tuple(tree.state.groupdict), best, tuple(further), may_be_empty, notes)


def _module(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError:
        return None


def _sequence(items: Iterable[tuple[Any, Any]]) -> _Part:
    """Parts that follow each other: neighbours that match few strings grow together into longer ones."""
    run, sets, whole = _EMPTY, list[Strings](), True
    for operator, argument in items:
        part = _part(str(operator), argument)
        grown = _joined(run, part.exact)
        if grown is not None:
            run = grown
            continue
        whole = False
        sets += (run, *part.required)
        run = part.exact or _EMPTY
    return _Part(run if whole else None, _ranked([*sets, run]))


def _joined(run: Strings, more: Strings | None) -> Strings | None:
    if more is None or len(run) * len(more) > _MOST_MEMBERS:
        return None
    return frozenset(a + b for a in run for b in more)


def _ranked(sets: Iterable[Strings]) -> tuple[Strings, ...]:
    """Usable sets, best first: longest shortest member, then fewest members; sorted so that ties fall alike."""
    usable = {s for s in sets if len(s) <= _MOST_MEMBERS and min(map(len, s)) >= _SHORTEST}
    return tuple(sorted(usable, key=lambda s: (-min(map(len, s)), len(s), sorted(s)))[:_MOST_SETS])


def _part(operator: str, argument: Any) -> _Part:
    reader = _PARTS.get(operator)
    return reader(argument) if reader else _Part()


def _literal(code: int) -> _Part:
    return _Part(frozenset({chr(code).lower()})) if code < 128 else _Part()


def _width_zero(_argument: Any) -> _Part:
    return _Part(_EMPTY)


def _group(argument: tuple[Any, int, int, Any]) -> _Part:
    return _sequence(argument[3])


def _branch(argument: tuple[Any, list[Any]]) -> _Part:
    """A match takes one branch: it has a member of the union of any choice of one required set a branch."""
    parts = [_sequence(alternative) for alternative in argument[1]]
    exact = _union([part.exact for part in parts])
    needs = [part.needs() for part in parts]
    if exact or not all(needs):
        return _Part(exact)
    unions = [_union([sets[min(n, len(sets) - 1)] for sets in needs]) for n in range(max(map(len, needs)))]
    return _Part(None, _ranked([union for union in unions if union]))


def _union(sets: list[Strings | None]) -> Strings | None:
    whole: set[str] = set()
    for one in sets:
        if one is None:
            return None
        whole |= one
    return frozenset(whole) if len(whole) <= _MOST_MEMBERS else None


def _repeat(argument: tuple[int, Any, Any]) -> _Part:
    return _Part(None, _sequence(argument[2]).needs() if int(argument[0]) >= 1 else ())


_PARTS: dict[str, Callable[[Any], _Part]] = {
    "LITERAL": _literal,
    "AT": _width_zero,
    "ASSERT": _width_zero,
    "ASSERT_NOT": _width_zero,
    "SUBPATTERN": _group,
    "ATOMIC_GROUP": _sequence,
    "BRANCH": _branch,
    "MAX_REPEAT": _repeat,
    "MIN_REPEAT": _repeat,
    "POSSESSIVE_REPEAT": _repeat,
}
