"""All measurements, and the gates that they must pass: ``python -m benchmarks [--gate FILE] [--quick] [NAME ...]``.

A gate names a figure and its least or greatest value. Figures are ratios of times taken in turn in one run, so that a
slow or shared machine moves both. Each module runs in a process of its own: what one loads cannot slow the next.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("[a-z]*.py"))


def measured(name: str, quick: bool) -> list[dict[str, Any]]:
    """The figures of one module, from a new process."""
    words = [sys.executable, "-m", "benchmarks", "--only", name, *(["--quick"] if quick else [])]
    done = subprocess.run(words, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True)
    figures: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return figures


def machine() -> str:
    """Cores, processor and Python, in a line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    return f"{len(os.sched_getaffinity(0))} cores ({model}), {platform.system()}, Python {platform.python_version()}"


def verdict(value: float, gate: Mapping[str, float]) -> str:
    """What a gate says of a figure."""
    kept = ", ".join(f"{bound} {limit:g}" for bound, limit in gate.items())
    inside = gate.get("min", value) <= value <= gate.get("max", value)
    return kept if inside else f"BROKEN: {kept}"


def table(name: str, figures: list[dict[str, Any]], gates: Mapping[str, Mapping[str, float]]) -> int:
    """Print a module's figures; how many gates are broken or without a figure."""
    print(f"\n{name}")
    bad = 0
    for figure in figures:
        said = verdict(figure["value"], gates.get(figure["name"], {}))
        bad += said.startswith("BROKEN")
        print(f"  {figure['name']:<74}{figure['value']:>12,.3f} {figure['unit']:<6} {said}", flush=True)
    missing = gates.keys() - {figure["name"] for figure in figures}
    for gate in sorted(missing):
        print(f"  {gate:<74}{'not measured':>12}")
    return bad


def main() -> int:
    """Print a table; 1 if a gate is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--gate", type=Path, default=HERE / "gates.toml")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller data")
    parser.add_argument("--json", type=Path, help="write all figures there too")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps([f._asdict() for f in import_module(f"benchmarks.{given.only}").figures(given.quick)]))
        return 0
    if unknown := sorted(set(given.names) - set(NAMES)):
        parser.error(f"no measurement is called {unknown[0]!r}; there are {', '.join(NAMES)}")
    gates = tomllib.loads(given.gate.read_text("utf-8"))
    every = {name: measured(name, given.quick) for name in given.names or NAMES}
    bad = sum(table(name, figures, gates.get(name, {})) for name, figures in every.items())
    if given.json:
        told = {"machine": machine(), "date": date.today().isoformat(), "figures": every}  # noqa: DTZ011 - local
        given.json.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"\n{bad} gates broken" if bad else "\nevery gate that was measured holds")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
