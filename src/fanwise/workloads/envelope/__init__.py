"""Harvest-production envelopes: the largest and smallest loss that a disruption of each area can cause."""

from __future__ import annotations

from fanwise.workloads.envelope._curves import Curve, bounds
from fanwise.workloads.envelope._grid import Grid
from fanwise.workloads.envelope._sweep import Sweep
from fanwise.workloads.envelope.io import read_grid
from fanwise.workloads.envelope.study import sweep

__all__ = ["Curve", "Grid", "Sweep", "bounds", "read_grid", "sweep"]
