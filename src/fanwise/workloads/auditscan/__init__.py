"""Search audit files with rule sets: which lines of which machines match, in workbooks and machine-readable files."""

from fanwise.workloads.auditscan._examine import scan_text
from fanwise.workloads.auditscan._identify import identify
from fanwise.workloads.auditscan._model import (
    FileResult,
    Match,
    MergeField,
    Rule,
    RuleHits,
    RuleSet,
    ScanResult,
    SysFilter,
    System,
)
from fanwise.workloads.auditscan._session import ScanInterrupted
from fanwise.workloads.auditscan.io import example_rules, load_rules, write_samples
from fanwise.workloads.auditscan.study import ScanService, scan, write

__all__ = [
    "FileResult",
    "Match",
    "MergeField",
    "Rule",
    "RuleHits",
    "RuleSet",
    "ScanInterrupted",
    "ScanResult",
    "ScanService",
    "SysFilter",
    "System",
    "example_rules",
    "identify",
    "load_rules",
    "scan",
    "scan_text",
    "write",
    "write_samples",
]
