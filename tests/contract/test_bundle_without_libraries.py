"""Where a library is missing: values that do not need it are read, the others say what they need."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.contract.bundle_values import assert_same, polars_values

from fanwise import Bundle, freeze
from fanwise.bundle import _files, resolve
from fanwise.errors import BundleError


@pytest.fixture
def no_pyarrow(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    return monkeypatch


@pytest.mark.usefixtures("no_pyarrow")
def test_polars_writes_and_reads_its_tables_itself() -> None:
    for name, wanted in polars_values().items():
        if wanted.shape == (3, 0):  # its format has no rows without columns
            continue
        with freeze({name: wanted}) as bundle:
            assert_same(bundle[name], wanted)


def test_what_polars_wrote_is_read_with_pyarrow_and_the_other_way_round(no_pyarrow: pytest.MonkeyPatch) -> None:
    wanted = pl.DataFrame({"x": [1, None], "s": ["a", "a text that does not fit in twelve bytes"]})
    with freeze({"x": wanted}) as by_polars:
        no_pyarrow.undo()
        assert_same(by_polars["x"], wanted)
    with freeze({"x": wanted}) as by_pyarrow:
        no_pyarrow.setitem(sys.modules, "pyarrow", None)
        assert_same(by_pyarrow["x"], wanted)


def test_a_table_of_a_library_that_is_not_here_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with freeze({"frame": pd.DataFrame({"s": ["a"]}), "x": np.arange(3)}) as bundle:
        bundle.save(tmp_path / "f.fwb")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with Bundle.open(tmp_path / "f.fwb") as bundle:
        with pytest.raises(BundleError, match=r"^entry 'frame' is a pandas\.DataFrame; reading it needs pyarrow"):
            bundle["frame"]
        assert bundle["x"].tolist() == [0, 1, 2]
        assert bundle.describe()[0].shape == (1, 1)


def test_a_file_system_without_hard_links_gets_the_file_by_a_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with freeze({"x": b"abc"}) as bundle:
        bundle.save(tmp_path / "f.fwb")
    assert os.listdir(tmp_path) == ["f.fwb"]
    with Bundle.open(tmp_path / "f.fwb") as bundle:
        assert bundle["x"] == b"abc"


def test_memory_that_cannot_be_mapped_is_said_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with freeze({"x": b"abc"}) as bundle:
        bundle.save(tmp_path / "f.fwb")
        attachment = bundle.attachment()
        fd = os.dup(attachment.fd)

    def refuse(fd: int, size: int) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(_files.Segment.map.__func__.__globals__["_memfd"], "map_read", refuse)
    with pytest.raises(BundleError, match=r"can't be mapped: .*Cannot allocate"):
        resolve(attachment.id, fd, attachment.size)
    with pytest.raises(BundleError, match="can't be opened: Cannot allocate memory"):
        Bundle.open(tmp_path / "f.fwb")
    with pytest.raises(BundleError, match="no memory for a bundle can be had: Cannot allocate memory"):
        freeze({"x": b"abc"})
