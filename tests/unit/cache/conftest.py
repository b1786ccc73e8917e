"""What the tests of single parts of the cache share: an open directory, empty segments and an empty index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fanwise.cache._directory import Directory
from fanwise.cache._index import Index, Tail
from fanwise.cache._log import MIB, Segments


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where `directory` is."""
    return tmp_path / "d"


@pytest.fixture
def directory(place: Path) -> Iterator[Directory]:
    with closing(Directory.at(str(place), given=True, label="d")) as directory:
        yield directory


@pytest.fixture
def segments(directory: Directory) -> Iterator[Segments]:
    with closing(Segments(directory, MIB)) as segments:
        yield segments


@pytest.fixture
def index(directory: Directory) -> Iterator[Index]:
    """An empty index of 128 slots."""
    Index.write(directory, 7, {}, Tail(1, 0, 0, 0))
    index = Index.open(directory)
    assert index is not None
    with closing(index):
        yield index
