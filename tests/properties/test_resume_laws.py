"""A run that was killed at any byte of its journal goes on: the same list, and no item whose record is whole runs again."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanwise

ITEMS: list[Any] = [1, "two", (3, 3.5), None, b"five", ["six", [6]], 1, {"eight": 8}]
EXPECTED = [repr(item) for item in ITEMS]
CALLS: list[str] = []
_RECORD = struct.Struct("<II")


def described(item: Any) -> str:
    CALLS.append(repr(item))
    return CALLS[-1]


def resumed(path: Path) -> tuple[list[str], int]:
    """The answer of a run with this journal, and how often the function was called for it."""
    CALLS.clear()
    values = fanwise.map(described, ITEMS, workers=1, resume=path)
    return values, len(CALLS)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "journal"
    assert resumed(path) == (EXPECTED, len(ITEMS))
    assert resumed(path) == (EXPECTED, 0)
    return path.read_bytes()


def ends_of_records(journal: bytes) -> list[int]:
    """Offsets at which a record ends; the first is the end of the header, two lines of text."""
    at = journal.index(b"\n", journal.index(b"\n") + 1) + 1
    ends = [at]
    while at < len(journal):
        at += _RECORD.size + _RECORD.unpack_from(journal, at)[0]
        ends.append(at)
    return ends


def killed_at(folder: Path, journal: bytes, cut: int) -> Path:
    path = folder / "journal"
    path.write_bytes(journal[:cut])
    os.chmod(path, 0o600)
    return path


def test_a_run_killed_at_any_record_boundary_or_beside_it_goes_on(journal: bytes, tmp_path: Path) -> None:
    ends = ends_of_records(journal)
    assert len(ends) == len(ITEMS) + 1
    for whole, end in enumerate(ends):
        for cut in {end, min(end + 1, len(journal)), min(end + _RECORD.size, len(journal))}:
            known = whole if cut < len(journal) else len(ITEMS)
            assert resumed(killed_at(tmp_path, journal, cut)) == (EXPECTED, len(ITEMS) - known)
            assert resumed(tmp_path / "journal") == (EXPECTED, 0)


@given(cuts=st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_a_run_killed_again_and_again_at_any_byte_loses_at_most_the_torn_record(
    journal: bytes, tmp_path_factory: pytest.TempPathFactory, cuts: list[float]
) -> None:
    """Each attempt is cut somewhere behind the header and then taken up again."""
    path = killed_at(tmp_path_factory.mktemp("cut"), journal, len(journal))
    for share in cuts:
        content = path.read_bytes()
        ends = ends_of_records(content)
        cut = ends[0] + int(share * (len(content) - ends[0]))
        os.truncate(path, cut)
        whole = sum(end <= cut for end in ends) - 1
        assert resumed(path) == (EXPECTED, len(ITEMS) - whole)
