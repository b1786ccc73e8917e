"""`make test`: the tests in parallel, then branch coverage of this process and of the workers it started.

By itself it leaves out what is marked `slow` or `faults`; with ``--rest`` it runs just that, with ``--all`` everything,
and holds the floor of coverage.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOOR = 95
COMPILE = "from fanwise.workloads.exactci._solve import ready; ready('conditional'); ready('unconditional')"
"""Kernels are compiled once, before several test processes would write the same compiler cache."""


def main() -> int:
    """Run the chosen tests."""
    os.chdir(ROOT)
    subprocess.run([sys.executable, "-c", COMPILE], check=True)
    given = [argument for argument in sys.argv[1:] if argument not in {"--all", "--rest"}]
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        str(max(2, os.cpu_count() or 2)),
        "--dist",
        "worksteal",
        *given,
    ]
    if "--all" in sys.argv:
        return measured([*pytest, "-m", "not benchmark", "--cov"])
    part = "(slow or faults)" if "--rest" in sys.argv else "not slow and not faults"
    return subprocess.run([*pytest, "-m", f"{part} and not benchmark"]).returncode


def measured(pytest: list[str]) -> int:
    """All tests under coverage, and the floor."""
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "erase"], check=True)
    tests = subprocess.run(pytest)
    if tests.returncode:
        return tests.returncode
    return subprocess.run([*coverage, "report", f"--fail-under={FLOOR}", "--skip-covered"]).returncode


if __name__ == "__main__":
    sys.exit(main())
