"""Files that are complete or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fanwise._whole import atomic


def test_a_file_is_there_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    with atomic(path) as file:
        file.write(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half"
    with pytest.raises(ValueError, match="stop"), atomic(path) as file:
        file.write(b"other")
        raise ValueError("stop")
    assert os.listdir(tmp_path) == ["o.csv"]
    assert path.read_bytes() == b"half"


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, atomic(tmp_path / "o.csv") as file:
        with open("/dev/full", "wb") as full:
            os.dup2(full.fileno(), file.fileno())
        file.write(b"x")
    assert caught.value.filename == str(tmp_path / "o.csv")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_of_the_same_number_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / f".o.csv.{os.getpid()}.tmp").write_bytes(b"half of something")
    with atomic(tmp_path / "o.csv") as file:
        file.write(b"whole")
    assert os.listdir(tmp_path) == ["o.csv"]
    assert (tmp_path / "o.csv").read_bytes() == b"whole"
