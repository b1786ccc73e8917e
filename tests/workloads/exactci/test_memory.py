"""Memory grows with the number of tables by what their numbers need, and not with the text of the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.programs import COMMAND, peak_bytes


def peak(folder: Path, rows: int, note: str) -> float:
    """High water of ``fanwise ci`` on so many rows, each with a note of this length."""
    (folder / "t.csv").write_text("note,a,b,c,d\n" + f"{note},4,119,11,128\n" * rows)
    command = [*COMMAND, "ci", "t.csv", "-o", "o.csv", "--force", "--no-cache", "-q", "-p", "1"]
    return peak_bytes(command, folder, {"FANWISE_CACHE_DIR": str(folder / "cache")})


@pytest.mark.slow
def test_memory_is_bounded_by_the_numbers_and_not_by_the_text(tmp_path: Path) -> None:
    """A table is 32 bytes of counts and 40 of numbers; ten times the text changes nothing."""
    few, many = peak(tmp_path, 10_000, "x"), peak(tmp_path, 80_000, "x")
    wordy = peak(tmp_path, 80_000, "x" * 300)
    assert (many - few) / 70_000 < 250
    assert wordy - many < 15e6
