"""Memory does not grow with the number of tables, nor with the text of the file."""

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
def test_memory_grows_with_neither_the_rows_nor_the_text_of_a_file(tmp_path: Path) -> None:
    """In memory the counts and numbers of 150,000 tables are 11 MB; ten times as many would be 108 MB."""
    some, many = peak(tmp_path, 150_000, "x"), peak(tmp_path, 1_500_000, "x")
    assert many - some < 70e6
    few, wordy = peak(tmp_path, 80_000, "x"), peak(tmp_path, 80_000, "x" * 300)
    assert wordy - few < 15e6
