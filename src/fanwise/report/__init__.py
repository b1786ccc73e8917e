"""The record of a run, and its views: JSON, HTML, trace."""

from __future__ import annotations

from fanwise.report._builder import ReportBuilder
from fanwise.report._facts import RunFacts
from fanwise.report._report import RunReport

__all__ = ["ReportBuilder", "RunFacts", "RunReport"]
