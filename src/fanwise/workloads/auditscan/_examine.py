"""One audit file from its bytes to spooled results."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fanwise.workloads.auditscan._decode import Decoded, NotText, decode
from fanwise.workloads.auditscan._identify import UNKNOWN, identify_lines
from fanwise.workloads.auditscan._lines import Lines
from fanwise.workloads.auditscan._model import Rule, RuleHits, RuleSet, System
from fanwise.workloads.auditscan._options import check_options
from fanwise.workloads.auditscan._search import Searcher, as_hits
from fanwise.workloads.auditscan._spool import Spooled, spool

__all__ = ["Reading", "Rule", "examine", "scan_text"]

_NO_PRODUCER = "no KPNIXVERSION, KPWINVERSION or KPMACVERSION line: not an audit report"


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read and searched; with the rules, all that decides results."""

    compat: str | None = None
    unknown: str = "skip"
    encoding: str | None = None
    rule_timeout: float = 0.0


def examine(data: bytes, searcher: Searcher, reading: Reading) -> Spooled:
    """Decode, identify, search; what is not to be searched comes back ``skipped`` or ``failed``."""
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        decoded = decode(data, reading.encoding, compat=reading.compat)
    except NotText as verdict:
        return Spooled(sha256, len(data), status="failed" if verdict.failed else "skipped", reason=verdict.reason)
    lines = Lines(decoded)
    system = identify_lines(lines)
    if system is None and reading.unknown == "skip":
        return Spooled(sha256, len(data), decoded.encoding, None, "skipped", _NO_PRODUCER, excusable=True)
    system = system or UNKNOWN
    blocks, body = spool(searcher.search(decoded, lines, system, reading.rule_timeout))
    return Spooled(sha256, len(data), decoded.encoding, system, blocks=blocks, body=body)


def scan_text(
    text: str,
    rules: RuleSet,
    *,
    system: System | None = None,
    compat: str | None = None,
    rule_timeout: float | None = None,
) -> list[RuleHits]:
    r"""Search one text with every rule that applies to it.

    Parameters
    ----------
    text : str
        A whole audit file; any line ends.
    rules : RuleSet
    system : System or None
        What the filters of rules are held against; None: what the text itself says, `identify`.
    compat : {None, "kpat"}
        None: as the rules were loaded.
    rule_timeout : float or None
        Seconds that each rule may take; None or 0: no limit. Needs the main thread.

    Returns
    -------
    list of RuleHits
        One a rule that applies, in rule order.

    Examples
    --------
    >>> rule = Rule("root", r"^PermitRootLogin (?P<value>\w+)", field_list=("value",))
    >>> [hits] = scan_text("KPNIXVERSION: 1.0\nPermitRootLogin yes\n", RuleSet((rule,)))
    >>> hits.matches
    (Match(line=2, text='PermitRootLogin yes', fields={'value': 'yes'}, missing=False),)
    """
    mode = compat or rules.compat
    check_options(mode, "scan", None, rule_timeout)
    decoded = Decoded.of(text)
    lines = Lines(decoded)
    about = system or identify_lines(lines) or UNKNOWN
    return as_hits(rules, Searcher(rules, mode).search(decoded, lines, about, rule_timeout or 0.0))
