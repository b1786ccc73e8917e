"""Rules, systems and results of a scan, as frozen records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import fanwise

__all__ = [
    "FAMILIES",
    "FileResult",
    "Match",
    "MergeField",
    "Rule",
    "RuleHits",
    "RuleSet",
    "ScanResult",
    "SysFilter",
    "System",
]

FAMILIES = ("Linux", "Windows", "Darwin", "Other")

FilterValue = str | int | float | tuple[str | int | float, ...]


@dataclass(frozen=True, slots=True)
class SysFilter:
    """A condition on a system: its ``attr``, ``comp`` (``eq gt lt ge le in``) and the value to compare with."""

    attr: str
    comp: str
    value: FilterValue


@dataclass(frozen=True, slots=True)
class MergeField:
    """Columns that become one: ``dest_column`` takes the first of ``source_columns`` that is not empty."""

    source_columns: tuple[str, ...]
    dest_column: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One search.

    Attributes
    ----------
    name : str
        Key of the rule in its file.
    regex : str
        Searched in one line at a time, without regard to case.
    sheet : str
        Sheet name before it is made acceptable to Excel; the rule's name if empty.
    max_results : int
        Results after which the rule stops in a file; -1: never.
    source : str
        Rule file, relative to the one that was named, with ``/``.
    line : int
        Line of the rule in that file, from 1.
    severity : str or None
        ``note``, ``warning`` or ``error``: level of the rule's results in SARIF (not under ``compat``).
    expect : str or None
        ``none`` or ``some``: the matches of a healthy system (not under ``compat``).
    given, inherited : tuple of str
        Which values the rule has itself, and which it has from ``global``; the others are defaults.
    """

    name: str
    regex: str
    comment: str | None = None
    sheet: str = ""
    topic: str | None = None
    max_results: int = -1
    field_list: tuple[str, ...] = ()
    only_matching: bool = False
    unique: bool = False
    full_scan: bool = False
    rs_delimiter: str | None = None
    multiline: bool = False
    merge_fields: tuple[MergeField, ...] = ()
    sys_filter: tuple[SysFilter, ...] = ()
    show_missing: bool = False
    source: str = ""
    line: int = 0
    severity: str | None = None
    expect: str | None = None
    given: tuple[str, ...] = field(default=(), compare=False)
    inherited: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not self.sheet:
            object.__setattr__(self, "sheet", self.name)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules in order, what to know about them, and a digest of all that decides results.

    ``compat`` is the mode they were read in: None or ``"kpat"``.
    """

    rules: tuple[Rule, ...]
    warnings: tuple[str, ...] = ()
    digest: str = ""
    compat: str | None = None


@dataclass(frozen=True, slots=True)
class System:
    """The machine that an audit file describes; what the file does not say is None."""

    name: str
    os_family: str
    producer: str
    producer_version: str | None = None
    system_os: str | None = None
    product_name: str | None = None
    release_id: str | None = None
    current_build: str | None = None
    ubr: str | None = None
    distro_family: str | None = None
    os_pretty_name: str | None = None
    os_version: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """One result: line number from 1, text, named fields or None; ``missing`` marks a row of ``show_missing``."""

    line: int
    text: str
    fields: Mapping[str, str] | None = None
    missing: bool = False


@dataclass(frozen=True, slots=True)
class RuleHits:
    """What one rule found in one file. A rule that ran out of time has no matches there: all or nothing."""

    rule: Rule
    matches: Sequence[Match]
    status: str = "ok"  # "ok", "timeout" or "error"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one audit file.

    Attributes
    ----------
    path : str
        Relative to the folder that was named, with ``/``; of a file that was named, its name.
    encoding : str or None
        What the bytes were read as.
    hits : sequence of RuleHits
        One a rule that applies, in rule order; may be read from disk when asked for.
    status : str
        ``done``, ``skipped``, ``failed`` or ``unfinished``; ``reason`` says why.
    size : int
        Bytes.
    excused : bool
        True if skipping it is no news: a text file inside a folder that is no audit report.
    """

    path: str
    sha256: str | None = None
    encoding: str | None = None
    system: System | None = None
    hits: Sequence[RuleHits] = ()
    status: str = "done"
    reason: str = ""
    size: int = 0
    excused: bool = False


@dataclass(frozen=True, slots=True)
class ScanResult:
    """All files in order, the rules they were searched with, and the record of the run.

    ``resumed`` and ``cached`` count files that were not searched again; ``partial`` is True after an interrupt;
    ``seconds`` is wall time of the search.
    """

    files: tuple[FileResult, ...]
    rules: RuleSet
    partial: bool
    report: fanwise.RunReport | None
    compat: str | None = None
    resumed: int = 0
    cached: int = 0
    rule_timeout: float = 0.0
    seconds: float = 0.0
