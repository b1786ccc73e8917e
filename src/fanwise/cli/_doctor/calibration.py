"""How fast this machine starts workers and moves data; measured on request and kept beside the cache."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import platform
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import fanwise
from fanwise._format import duration
from fanwise.cli._doctor.finding import Finding
from fanwise.cli._errors import reason
from fanwise.cli._outputs import replace_text

__all__ = ["calibrate", "look"]

_ROUNDS = 3
_BYTES = 32 << 20
_TRIPS = 200


def look(cache_dir: Path, *, again: bool) -> Finding:
    """What was measured, now or earlier."""
    path = cache_dir / f"calibration-{key()}.json"
    if again:
        figures = calibrate()
        try:
            cache_dir.mkdir(parents=True, exist_ok=True)
            replace_text(path, json.dumps(figures))
        except OSError as error:
            return Finding("calibration", said(figures), "note", f"Not kept: {reason(error)}.", figures)
        return Finding("calibration", said(figures), facts=figures)
    try:
        kept = json.loads(path.read_text("utf-8"))
        return Finding("calibration", said(kept), facts=kept)
    except (OSError, ValueError, KeyError, TypeError):  # none, or not ours
        return Finding("calibration", "not measured yet", advice="fanwise doctor --calibrate")


def key() -> str:
    """Names a processor, its number of cores, the Python and the fanwise that were measured."""
    parts = (_processor(), os.cpu_count(), platform.python_version(), fanwise.__version__)
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("ascii", "replace")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def said(figures: dict[str, float]) -> str:
    """The figures as a person reads them."""
    starts = ", ".join(f"{name} {duration(figures[f'{name}_s'])}" for name in ("fork", "spawn"))
    trip = duration(figures["round_trip_s"])
    speeds = ", ".join(f"{name} {figures[f'{name}_mb_s']:,.0f} MB/s" for name in ("pickle", "memcpy"))
    return f"first result by {starts}; empty item {trip}; {speeds}"


def calibrate() -> dict[str, float]:
    """Measure: seconds and megabytes per second, the best of three."""
    payload = bytearray(os.urandom(1 << 16)) * (_BYTES >> 16)
    numbers = [float(number) for number in range(200_000)]
    size_mb = len(pickle.dumps(numbers, 5)) / 1e6
    return {
        "fork_s": _best(lambda: _first_result("fork")),
        "spawn_s": _best(lambda: _first_result("spawn"), 1),
        "round_trip_s": _round_trip(),
        "pickle_mb_s": size_mb / _best(lambda: pickle.loads(pickle.dumps(numbers, 5))),
        "memcpy_mb_s": _BYTES / 1e6 / _best(lambda: bytes(payload)),
    }


def _best(call: Callable[[], object], rounds: int = _ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return min(times)


def _first_result(method: str) -> None:
    with fanwise.Executor(1, mp_context=method) as executor:
        executor.submit(abs, -1).result()


def _round_trip() -> float:
    with fanwise.Executor(1) as executor:
        executor.submit(abs, -1).result()
        return _best(lambda: [executor.submit(abs, -1).result() for _ in range(_TRIPS)]) / _TRIPS
