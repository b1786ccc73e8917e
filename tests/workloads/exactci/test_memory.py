"""Memory grows with the number of tables by what their numbers need, and not with the text of the file."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "import sys; from fanwise.cli import main; sys.exit(main(sys.argv[1:]))"
PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_bytes(folder: Path, rows: int, note: str) -> float:
    """High water of ``fanwise ci`` on so many rows, each with a note of this length."""
    (folder / "t.csv").write_text("note,a,b,c,d\n" + f"{note},4,119,11,128\n" * rows)
    command = [sys.executable, "-c", MAIN, "ci", "t.csv", "-o", "o.csv", "--force", "--no-cache", "-q", "-p", "1"]
    environment = os.environ | {"FANWISE_CACHE_DIR": str(folder / "cache")}
    ended = subprocess.run(
        [sys.executable, "-c", PEAK, *command], capture_output=True, text=True, check=True, cwd=folder, env=environment
    )
    code, kilobytes = ended.stdout.split()
    assert code == "0", ended.stderr
    return 1024.0 * float(kilobytes)


@pytest.mark.slow
def test_memory_is_bounded_by_the_numbers_and_not_by_the_text(tmp_path: Path) -> None:
    """A table is 32 bytes of counts and 40 of numbers; ten times the text changes nothing."""
    few, many = peak_bytes(tmp_path, 10_000, "x"), peak_bytes(tmp_path, 80_000, "x")
    wordy = peak_bytes(tmp_path, 80_000, "x" * 300)
    assert (many - few) / 70_000 < 250
    assert wordy - many < 15e6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
