"""Every allowed regression, tested, ranked, explained.

`search` assesses all specifications of a configuration in parallel; `plan`, `evaluate`, `why`, `verify` and `forecast`
answer questions about single ones in the calling process.
"""

from __future__ import annotations

from fanwise.workloads.modelsearch._answers import evaluate, forecast, plan, prepare, verify, why
from fanwise.workloads.modelsearch._config import Config
from fanwise.workloads.modelsearch._frame import Frame
from fanwise.workloads.modelsearch._items import Item, parse_items
from fanwise.workloads.modelsearch._multiplicity import Multiplicity
from fanwise.workloads.modelsearch._replay import DriftError
from fanwise.workloads.modelsearch._results import Plan, Problem, Result
from fanwise.workloads.modelsearch._space import Space
from fanwise.workloads.modelsearch._transforms import Recipe
from fanwise.workloads.modelsearch._verdicts import VerdictTable
from fanwise.workloads.modelsearch._verify import Verification
from fanwise.workloads.modelsearch._why import Check, Neighbour, Verdict
from fanwise.workloads.modelsearch.io import load_config
from fanwise.workloads.modelsearch.study import search

__all__ = [
    "Check",
    "Config",
    "DriftError",
    "Frame",
    "Item",
    "Multiplicity",
    "Neighbour",
    "Plan",
    "Problem",
    "Recipe",
    "Result",
    "Space",
    "Verdict",
    "VerdictTable",
    "Verification",
    "evaluate",
    "forecast",
    "load_config",
    "parse_items",
    "plan",
    "prepare",
    "search",
    "verify",
    "why",
]
