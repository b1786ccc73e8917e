"""The record of a run, and its views: JSON, HTML, trace."""

from __future__ import annotations

from fanwise.report._builder import ReportBuilder
from fanwise.report._facts import RunFacts
from fanwise.report._report import RunReport
from fanwise.report._text import as_text, compare

__all__ = ["ReportBuilder", "RunFacts", "RunReport", "as_text", "compare"]
