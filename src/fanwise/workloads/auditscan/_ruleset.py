"""Rule files and what they include, put together into one rule set.

Reading is left to the caller: a function from path to text. Everything wrong in any file is told at once.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os.path
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from fanwise.errors import InputError, UsageError
from fanwise.workloads.auditscan._families import admitted
from fanwise.workloads.auditscan._model import FAMILIES, Rule, RuleSet
from fanwise.workloads.auditscan._names import sheet_name
from fanwise.workloads.auditscan._regex import dissect
from fanwise.workloads.auditscan._schema import (
    GLOBAL_KEYS,
    NATIVE_KEYS,
    RULE_KEYS,
    Findings,
    Place,
    read_names,
    read_values,
)
from fanwise.workloads.auditscan._yaml import Mapping, Node, Scalar, YamlProblem, parse

__all__ = ["assemble", "digest_of", "only", "strict"]

Read = Callable[[str], str]
_DECIDING = tuple(f.name for f in fields(Rule) if f.compare and f.name != "line")
_FLAGS = ("only_matching", "unique", "full_scan")


def assemble(paths: Sequence[str], root: str, read: Read, *, compat: str | None) -> RuleSet:
    """Read rule files in order, each with its includes after its own rules.

    Parameters
    ----------
    paths : sequence of str
        Files to begin with.
    root : str
        Folder that `Rule.source` is relative to.
    read : callable
        Gives the text of a path, or raises `OSError` or `UnicodeDecodeError`.
    compat : str or None
        ``"kpat"`` for the ways of kpat 2.1.3.

    Raises
    ------
    InputError
        With one line a problem.
    """
    reader = _Reader(root, read, compat)
    rules: list[Rule] = []
    for path in paths:
        if not reader.has_read(path):
            rules += reader.file(path, ())
    findings = reader.findings
    if findings.problems:
        raise InputError("\n".join(findings.problems))
    if not rules:
        findings.warnings.append(f"{', '.join(paths)}: no rules")
    warnings = [*findings.warnings, *_odd_together(rules, root, compat)]
    return RuleSet(tuple(rules), tuple(dict.fromkeys(warnings)), digest_of(rules), compat)


def digest_of(rules: Iterable[Rule]) -> str:
    """SHA-256 over everything of the rules but where they stand."""
    told = [[getattr(rule, name) for name in _DECIDING] for rule in rules]
    return hashlib.sha256(json.dumps(told, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> list[Any]:
    return [getattr(value, name.name) for name in fields(value)]


@dataclass(slots=True)
class _Reader:
    root: str
    read: Read
    compat: str | None
    findings: Findings = field(default_factory=Findings)
    _seen: set[str] = field(default_factory=set)

    def has_read(self, path: str) -> bool:
        return os.path.realpath(path) in self._seen

    def file(self, path: str, above: tuple[str, ...]) -> list[Rule]:
        """Rules of one file and its includes; ``above`` are the files that include it."""
        self._seen.add(os.path.realpath(path))
        place = Place(path, "", self.findings)
        top = self._top(place)
        if top is None:
            return []
        own, includes = _sorted_out(top, place, self.compat)
        shared, has_shared = _shared(place, own.pop("global", None), self.compat)
        source = posixpath.join(*os.path.relpath(path, self.root).split(os.sep))
        rules = [
            rule
            for name, (key, node) in own.items()
            if (rule := _rule(place, name, key.line, node, _Context(source, shared, has_shared, self.compat)))
        ]
        for key, target in includes:
            rules += self._included(place, key, target, (*above, path))
        return rules

    def _top(self, place: Place) -> Mapping | None:
        try:
            top = parse(self.read(place.path))
        except YamlProblem as problem:
            place.problem(problem.line, f"not valid YAML: {problem}")
        except UnicodeDecodeError as error:
            place.problem(1, f"not UTF-8: byte 0x{error.object[error.start]:02x} at offset {error.start}")
        except OSError as error:
            self.findings.problems.append(f"{place.path}: cannot be read: {_reason(error)}")
        else:
            if isinstance(top, Mapping) and (top.pairs or top.merged):
                return top
            empty = top is None or isinstance(top, Mapping) or (isinstance(top, Scalar) and top.value is None)
            place.problem(1, "the file is empty" if empty else "expected a mapping of rules")
        return None

    def _included(self, place: Place, key: Scalar, target: Scalar, above: tuple[str, ...]) -> list[Rule]:
        path = os.path.join(os.path.dirname(place.path), target.value)
        trail = [os.path.realpath(p) for p in above]
        here = os.path.realpath(path)
        if here in trail:
            circle = " -> ".join([*above[trail.index(here) :], path])
            place.problem(target.line, f"{key.value}: include cycle: {circle}")
        elif not os.path.isfile(path):
            place.problem(target.line, f"{key.value}: '{target.value}' not found")
        elif self.compat or not self.has_read(path):  # kpat reads a file again each time it is included
            return self.file(path, above)
        return []


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


Entries = dict[str, tuple[Scalar, Node]]


def _sorted_out(top: Mapping, place: Place, compat: str | None) -> tuple[Entries, list[tuple[Scalar, Scalar]]]:
    """Rules and ``global`` by name, and each included file with the key it stands under."""
    own: Entries = {}
    includes: list[tuple[Scalar, Scalar]] = []
    if not compat:
        for key in top.repeated():
            place.problem(key.line, f"'{key.raw}' is in this file twice; rename one")
    for name, (key, node) in top.entries().items():
        if not isinstance(name, str):
            place.problem(key.line, f"{key.raw!r} is not a name but a {type(name).__name__}; put it in quotes")
        elif name.startswith("include_"):
            includes += [(key, target) for target in _targets(place, name, node)]
        elif compat or not name.startswith("x-"):
            own[name] = (key, node)
    return own, includes


def _targets(place: Place, name: str, node: Node) -> Iterator[Scalar]:
    entries = node.entries() if isinstance(node, Mapping) else {}
    if "files" not in entries:
        place.problem(node.line, f"{name}: expected 'files' with a list of rule files")
        return
    files = entries["files"][1]
    if read_names(place, "files", files) is not None:
        yield from (
            item for item in getattr(files, "items", ()) if isinstance(item, Scalar) and isinstance(item.value, str)
        )


def _shared(place: Place, entry: tuple[Scalar, Node] | None, compat: str | None) -> tuple[dict[str, Any], bool]:
    """Values of ``global``, and whether there is such a block at all."""
    if entry is None:
        return {}, False
    node = entry[1]
    if not isinstance(node, Mapping):
        place.problem(node.line, "'global' must be a mapping")
        return {}, False
    owner = Place(place.path, "global", place.findings)
    _tell_repeated(owner, node, compat)
    return read_values(owner, node, GLOBAL_KEYS, warn_unknown=not compat), True


def _tell_repeated(place: Place, node: Mapping, compat: str | None) -> None:
    if not compat:
        for key in node.repeated():
            place.problem(key.line, f"'{key.raw}' is given twice")


@dataclass(frozen=True, slots=True)
class _Context:
    """What a rule takes from its file."""

    source: str
    shared: dict[str, Any]
    has_shared: bool
    compat: str | None


def _rule(file: Place, name: str, line: int, node: Node, context: _Context) -> Rule | None:
    place = Place(file.path, f"rule '{name}'", file.findings)
    if not isinstance(node, Mapping):
        place.problem(line, "expected a mapping with at least 'regex'")
        return None
    _tell_repeated(place, node, context.compat)
    keys = RULE_KEYS if context.compat else {**RULE_KEYS, **NATIVE_KEYS}
    own = read_values(place, node, keys, warn_unknown=not context.compat)
    if "regex" not in own:
        if "regex" not in node.entries():
            place.problem(line, "'regex' is missing")
        return None
    values = _merged(own, context)
    lines = {k: pair[0].line for k, pair in node.entries().items()}
    _check(place, values, lines, context.compat)
    sheet = values.pop("excel_sheet_name", "")
    inherited = tuple(sorted(k for k in context.shared if values.get(k) != own.get(k)))
    return Rule(
        name=name, sheet=sheet, source=context.source, line=line, given=tuple(own), inherited=inherited, **values
    )


def _merged(own: dict[str, Any], context: _Context) -> dict[str, Any]:
    """The rule's values with those of ``global``: filters add up, flags cannot be switched off."""
    shared, values = context.shared, dict(own)
    if shared.get("topic") and not own.get("topic"):
        values["topic"] = shared["topic"]
    if own.get("max_results", -1) == -1 and "max_results" in shared:
        values["max_results"] = shared["max_results"]
    for flag in _FLAGS:
        if shared.get(flag):
            values[flag] = True
    if shared.get("sys_filter"):
        values["sys_filter"] = (*shared["sys_filter"], *own.get("sys_filter", ()))
    if context.compat and values.get("field_list") and (context.has_shared or "only_matching" in own):
        values["only_matching"] = True
    return values


def _check(place: Place, values: dict[str, Any], lines: dict[str, int], compat: str | None) -> None:
    """Values that do not go together, patterns that are none."""
    if values.get("multiline") and not values.get("field_list"):
        place.problem(lines["multiline"], "'multiline' needs 'field_list'")
    if values.get("rs_delimiter") and not (values.get("multiline") and values.get("field_list")):
        place.problem(lines["rs_delimiter"], "'rs_delimiter' needs 'multiline' and 'field_list'")
    if values.get("rs_delimiter"):
        _check_pattern(place, lines["rs_delimiter"], "rs_delimiter", values["rs_delimiter"])
    if _check_pattern(place, lines["regex"], "regex", values["regex"]):
        _tell_odd(place, values, lines, compat)


def _check_pattern(place: Place, line: int, key: str, pattern: str) -> bool:
    try:
        dissect(pattern)
    except re.error as error:
        where = f" at position {error.pos}" if error.pos is not None else ""
        place.problem(line, f"'{key}' is not a regular expression: {error.msg}{where}")
    except OverflowError as error:
        place.problem(line, f"'{key}' is not a regular expression: {error}")
    except RecursionError:
        place.problem(line, f"'{key}' is nested too deeply")
    else:
        return True
    return False


def _tell_odd(place: Place, values: dict[str, Any], lines: dict[str, int], compat: str | None) -> None:
    anatomy = dissect(values["regex"])
    for note in anatomy.warnings:
        place.warn(lines["regex"], f"'regex': {note}")
    if anatomy.matches_empty:
        place.warn(lines["regex"], "'regex' matches the empty string, so every line")
    elif anatomy.literals is None:
        place.warn(lines["regex"], "'regex' has no text that every match contains: the rule reads every line")
    for name in values.get("field_list", ()):
        if name not in anatomy.groups:
            place.warn(lines["field_list"], f"'field_list': '{name}' is no group of 'regex'; its column stays empty")
    if not compat:
        for merge in values.get("merge_fields", ()):
            if merge.dest_column in {s for m in values["merge_fields"] for s in m.source_columns}:
                place.warn(
                    lines["merge_fields"],
                    f"'merge_fields': '{merge.dest_column}' is source and destination; it is kept",
                )


def _odd_together(rules: Sequence[Rule], root: str, compat: str | None) -> Iterator[str]:
    """Names used twice, sheets that Excel would not take apart."""
    names: dict[str, Rule] = {}
    sheets: dict[tuple[str, str], Rule] = {}
    for rule in rules:
        where = f"{os.path.join(root, rule.source)}:{rule.line}: rule '{rule.name}'"
        first = names.setdefault(rule.name, rule)
        if first is not rule:
            yield f"{where}: the name is also used in {first.source}:{first.line}"
        plain = sheet_name(rule.sheet)
        if plain.endswith("...") and not rule.sheet.endswith("..."):
            yield f"{where}: sheet name '{rule.sheet}' is shortened to '{plain}'"
        taken = {sheets.setdefault((f, plain.casefold()), rule).name for f in FAMILIES if admitted(rule, f, compat)}
        for other in sorted(taken - {rule.name}):
            yield f"{where}: sheet name '{plain}' is also that of rule '{other}'"


def only(rules: RuleSet, patterns: Sequence[str]) -> RuleSet:
    """The rules whose names match one of the shell patterns.

    Raises
    ------
    UsageError
        If a pattern matches no rule.
    """
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(rule.name, pattern) for rule in rules.rules):
            raise UsageError(f"no rule is called '{pattern}'")
    chosen = tuple(r for r in rules.rules if any(fnmatch.fnmatchcase(r.name, pattern) for pattern in patterns))
    return replace(rules, rules=chosen, digest=digest_of(chosen))


def strict(rules: RuleSet) -> RuleSet:
    """The same rules.

    Raises
    ------
    InputError
        If there are warnings, with all of them.
    """
    if rules.warnings:
        raise InputError("\n".join(rules.warnings))
    return rules
