"""Scan results made by hand, for outputs that need no search."""

from __future__ import annotations

from typing import Any

from fanwise.workloads.auditscan import FileResult, Match, Rule, RuleHits, RuleSet, ScanResult, System

LINUX = System(
    "web1", "Linux", "KPNIXAUDIT", "0.6.22", distro_family="deb", os_pretty_name="Ubuntu 22.04", os_version="22.04"
)
WINDOWS = System(
    "dc1",
    "Windows",
    "KPWINAUDIT",
    "0.4.8",
    product_name="Windows Server 2022",
    release_id="21H2",
    current_build="20348",
)


def result(*hits: RuleHits, rules: tuple[Rule, ...] | None = None, system: System = LINUX, **values: Any) -> ScanResult:
    """One file with these hits."""
    file = FileResult(f"{system.name}.txt", "0" * 64, "utf-8", system, hits, size=100)
    return several([file], rules or tuple(one.rule for one in hits), **values)


def several(files: list[FileResult], rules: tuple[Rule, ...], **values: Any) -> ScanResult:
    """Several files."""
    settings = {"partial": False, "report": None, **values}
    return ScanResult(tuple(files), RuleSet(rules, digest="d" * 64), **settings)


def hits(rule: Rule, *matches: Match | str | tuple) -> RuleHits:
    """Results of a rule: matches, or texts on lines 1, 2, 3, …"""
    made = (
        m if isinstance(m, Match) else Match(n, m) if isinstance(m, str) else Match(n, *m)
        for n, m in enumerate(matches, 1)
    )
    return RuleHits(rule, tuple(made))
