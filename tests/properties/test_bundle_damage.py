"""A file that was tampered with gives a `BundleError` or the right value: never another value, never a signal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.bundle_values import assert_same, rewrite_meta

from fanwise import Bundle, freeze
from fanwise.errors import BundleError

VALUES: dict[str, Any] = {
    "table": np.arange(12.0).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "records": np.zeros(3, [("a", "<i2"), ("b", "S3")]),
    "note": b"hello",
    "raw": bytearray(b"abc"),
    "frame": pd.DataFrame({"x": [1.0, 2.0], "s": ["a", None], "c": pd.Categorical(["u", "v"])}),
    "series": pd.Series([1, 2], index=pd.MultiIndex.from_arrays([["a", "b"], [1, 2]])),
    "polars": pl.DataFrame({"x": [1, None]}),
    "arrow": pa.table({"s": ["x", None]}),
    "sparse": sp.csr_array(np.eye(3)),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "f.fwb"
    with freeze(VALUES) as bundle:
        bundle.save(path)
    return path


def check(file: Path, content: bytes) -> None:
    """Open and read everything; an entry that can be read must be right."""
    other = file.with_name("other.fwb")
    other.write_bytes(content)
    try:
        bundle = Bundle.open(other)
    except BundleError:
        return
    with bundle:
        assert list(bundle) == list(VALUES)
        for name, wanted in VALUES.items():
            try:
                seen = bundle[name]
            except BundleError:
                continue
            assert_same(seen, wanted)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.data())
def test_flipped_bytes(file: Path, data: st.DataObject) -> None:
    content = bytearray(file.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] ^= data.draw(st.integers(1, 255))
    check(file, bytes(content))


@settings(max_examples=50)
@given(st.data())
def test_cut_and_extended_files(file: Path, data: st.DataObject) -> None:
    content = file.read_bytes()
    check(file, content[: data.draw(st.integers(0, len(content)))] + data.draw(st.binary(max_size=100)))


@settings(max_examples=50)
@given(st.data())
def test_swapped_bytes(file: Path, data: st.DataObject) -> None:
    content = bytearray(file.read_bytes())
    one, other = (data.draw(st.integers(0, len(content) - 1)) for _ in range(2))
    content[one], content[other] = content[other], content[one]
    check(file, bytes(content))


@settings(max_examples=50)
@given(st.data())
def test_swapped_pieces(file: Path, data: st.DataObject) -> None:
    content = file.read_bytes()
    a, b, c = sorted(data.draw(st.integers(0, len(content))) for _ in range(3))
    check(file, content[:a] + content[b:c] + content[a:b] + content[c:])


@settings(max_examples=300)
@given(st.data())
def test_every_byte_of_header_and_directory_counts(file: Path, data: st.DataObject) -> None:
    content = bytearray(file.read_bytes())
    at = int.from_bytes(content[40:48], "little")
    place = data.draw(st.integers(0, 71) | st.integers(at, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    other = file.with_name("other.fwb")
    other.write_bytes(content)
    with pytest.raises(BundleError):
        Bundle.open(other)


ATOMS = st.sampled_from(
    [None, True, 0, -1, 1, 3, 2**31, 2**70, 1.5, "", "C", "O", "<f8", "nan", "UTC", [], [1], [2, 3], {}, {"tuple": []},
     "ndarray", "pickle", "pandas.arrow", "pandas.category", "pandas.Index", "pandas.masked", "pandas.periods"]
)  # fmt: skip


def altered(draw: Any, value: Any) -> Any:
    """A description with one part of it exchanged."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 4)):
        places = sorted(value) if isinstance(value, dict) else range(len(value))
        place = draw(st.sampled_from(places))
        changed = value.copy()
        changed[place] = altered(draw, value[place])
        return changed
    return draw(ATOMS)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.data(), st.sampled_from(sorted(VALUES)))
def test_descriptions_made_up_by_somebody_who_knows_the_format(file: Path, data: st.DataObject, name: str) -> None:
    other = file.with_name("other.fwb")
    other.write_bytes(file.read_bytes())
    with Bundle.open(file) as bundle:
        meta = altered(data.draw, bundle.reader.entries[name].meta)
    rewrite_meta(other, name, meta if isinstance(meta, dict) else {})
    with Bundle.open(other) as bundle:
        for entry in VALUES:
            try:
                seen = bundle[entry]
            except BundleError:
                assert entry == name
            else:
                assert repr(seen)
