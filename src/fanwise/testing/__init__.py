"""For those who test code that uses fanwise: scripted faults, fakes, simulation, and a look at what is left behind."""

from __future__ import annotations

from fanwise._task import current_task
from fanwise.testing._clock import FakeClock
from fanwise.testing._leaks import leaks
from fanwise.testing._memory_cache import MemoryCache
from fanwise.testing._recording import RecordingProgress
from fanwise.testing._scripted import BadException, Exit, Hang, Kill, Raise, Return, Scripted, Unpicklable
from fanwise.testing._simulate import Simulation, simulate, simulate_cluster
from fanwise.testing._simulated_backend import SimulatedBackend

__all__ = [
    "BadException",
    "Exit",
    "FakeClock",
    "Hang",
    "Kill",
    "MemoryCache",
    "Raise",
    "RecordingProgress",
    "Return",
    "Scripted",
    "SimulatedBackend",
    "Simulation",
    "Unpicklable",
    "current_task",
    "leaks",
    "simulate",
    "simulate_cluster",
]
