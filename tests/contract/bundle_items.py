"""What items do with bundles that travelled. In a module of its own: a fork server imports it, and pytest takes 0.2 s."""

from __future__ import annotations

import os
import time

import numpy as np

import fanwise
from fanwise import Bundle


def maps() -> int:
    """How many maps of the bundle this process has."""
    with open("/proc/self/maps", encoding="utf-8") as lines:
        return sum("fanwise-market" in line for line in lines)


def total(bundle: Bundle, factor: int) -> tuple[float, int]:
    return factor * float(bundle["prices"].sum()), maps()


def total_of(item: tuple[Bundle, int]) -> tuple[float, int]:
    return total(*item)


class Installed:
    bundle: Bundle | None = None


def install(bundle: Bundle) -> None:
    Installed.bundle = bundle


def total_of_installed(factor: int) -> tuple[float, int]:
    assert Installed.bundle is not None
    return total(Installed.bundle, factor)


def made_there(item: int) -> Bundle:
    return fanwise.freeze({"y": np.full(3, item), "inner": fanwise.freeze({"z": b"z"})}, name="made there")


def busy(item: tuple[Bundle, int]) -> tuple[float, int]:
    return busy_with(*item)


def busy_with(bundle: Bundle, factor: int) -> tuple[float, int]:
    """Long enough for the plan to fan out."""
    until = time.perf_counter() + 0.02
    while time.perf_counter() < until:
        pass
    return factor * float(bundle["prices"].sum()), os.getpid()
