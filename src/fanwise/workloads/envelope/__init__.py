"""Harvest-production envelopes: the largest and smallest loss that a disruption of each area can cause."""

from __future__ import annotations

from fanwise.workloads.envelope._compare import compare
from fanwise.workloads.envelope._curves import Curve, bounds
from fanwise.workloads.envelope._engine import EnvelopeEngine
from fanwise.workloads.envelope._generate import generate_grid
from fanwise.workloads.envelope._grid import Grid
from fanwise.workloads.envelope._risk import risk, risks
from fanwise.workloads.envelope._sweep import Sweep
from fanwise.workloads.envelope._thresholds import crossings
from fanwise.workloads.envelope.io import read_grid
from fanwise.workloads.envelope.study import bands, sweep

__all__ = [
    "Curve",
    "EnvelopeEngine",
    "Grid",
    "Sweep",
    "bands",
    "bounds",
    "compare",
    "crossings",
    "generate_grid",
    "read_grid",
    "risk",
    "risks",
    "sweep",
]
