"""One line of the doctor's table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Finding", "Verdict", "worst"]

Verdict = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was found, whether that is good, and what to do if not.

    Attributes
    ----------
    facts : Mapping
        The bare figures, for machines. Sizes are in bytes.
    """

    check: str
    found: str
    verdict: Verdict = "ok"
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def worst(findings: Iterable[Finding]) -> Verdict:
    """The verdict on all of them."""
    verdicts = {finding.verdict for finding in findings}
    return "problem" if "problem" in verdicts else "note" if "note" in verdicts else "ok"
