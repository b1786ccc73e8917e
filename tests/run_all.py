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
OF_PROCESSES = ["tests/contract", "tests/faults", "tests/integrations", "tests/peers"]
OTHERS = ["docs", "README.md", "tests", *(f"--ignore={folder}" for folder in OF_PROCESSES)]
"""What starts processes has test processes of its own: to fork one that has loaded the libraries of all workloads, and to
see its copy end, takes 35 ms; without them, 10 ms. Pages come first: blocks build on those before them, and what one test
process takes over from another is the end of its list."""


def main() -> int:
    """Run the chosen tests."""
    os.chdir(ROOT)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process that a test starts compiles all that it imports
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
    ]
    runs = [[*pytest, *given]] if given else [[*pytest, *OF_PROCESSES], [*pytest, *OTHERS]]
    if "--all" in sys.argv:
        return measured([[*run, "-m", "not benchmark", "--cov", "--cov-append"] for run in runs])
    part = "(slow or faults)" if "--rest" in sys.argv else "not slow and not faults"
    return tested([[*run, "-m", f"{part} and not benchmark"] for run in runs])


def tested(runs: list[list[str]]) -> int:
    """All runs, those after one that failed too; the first failure is the answer."""
    ends = [subprocess.run(run).returncode for run in runs]
    return next(filter(None, ends), 0)


def measured(runs: list[list[str]]) -> int:
    """All tests under coverage, and the floor."""
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "erase"], check=True)
    failed = tested(runs)
    if failed:
        return failed
    return subprocess.run([*coverage, "report", f"--fail-under={FLOOR}", "--skip-covered"]).returncode


if __name__ == "__main__":
    sys.exit(main())
