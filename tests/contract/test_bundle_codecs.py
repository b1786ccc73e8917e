"""One suite for every kind of value: it comes back the same from memory, from a file, and as a writable copy."""

from __future__ import annotations

import array
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.contract.bundle_values import FAMILIES, arrays, assert_same, frames

from fanwise import Bundle, freeze
from fanwise.errors import BundleError


@pytest.fixture(scope="module", params=FAMILIES)
def values(request: pytest.FixtureRequest) -> dict[str, Any]:
    return FAMILIES[request.param]()


@contextmanager
def frozen(values: dict[str, Any]) -> Iterator[Iterator[tuple[str, Bundle, Any]]]:
    """Each value in a bundle of its own, between two others; what fails says which it was."""
    at = ""

    def each() -> Iterator[tuple[str, Bundle, Any]]:
        nonlocal at
        for at, wanted in values.items():
            with freeze({"before": b"x", "it": wanted, "after": b"y"}) as bundle:
                yield at, bundle, wanted

    try:
        yield each()
    except BaseException as error:
        error.add_note(f"value: {at}")
        raise


class TestEveryKind:
    def test_comes_back_the_same_and_is_one_object(self, values: dict[str, Any]) -> None:
        with frozen(values) as cases:
            for _, bundle, wanted in cases:
                assert_same(bundle["it"], wanted)
                assert bundle["it"] is bundle["it"]

    def test_comes_back_the_same_from_a_file(self, values: dict[str, Any], tmp_path: Path) -> None:
        with freeze(values) as bundle:
            bundle.save(tmp_path / "saved.fwb")
            with Bundle.open(tmp_path / "saved.fwb", trust=True, verify="all") as opened:
                assert list(opened) == list(values)
                assert opened.digest == bundle.digest
                assert opened.describe() == bundle.describe()
                for name, wanted in values.items():
                    assert_same(opened[name], wanted)

    def test_a_thawed_copy_is_the_value_again(self, values: dict[str, Any]) -> None:
        with frozen(values) as cases:
            for _, bundle, wanted in cases:
                mine = bundle.thaw("it")
                if isinstance(wanted, bytearray | array.array):
                    assert type(mine) is type(wanted)
                    assert mine == wanted
                else:
                    assert_same(mine, wanted)

    def test_a_view_outlives_its_bundle(self, values: dict[str, Any]) -> None:
        with frozen(values) as cases:
            for _, bundle, wanted in cases:
                view = bundle["it"]
                bundle.close()
                assert_same(view, wanted)

    def test_nothing_but_a_pickle_needs_trust(self, values: dict[str, Any], tmp_path: Path) -> None:
        with freeze(values) as bundle:
            bundle.save(tmp_path / "saved.fwb")
            pickled = {
                e.name
                for e in bundle.describe()
                if "pickle" in json.dumps([e.kind, bundle.reader.entries[e.name].meta])
            }
            with Bundle.open(tmp_path / "saved.fwb") as opened:
                for name, wanted in values.items():
                    if name in pickled:
                        with pytest.raises(BundleError, match=r"(is|holds) a pickle; Bundle\.open\(path, trust=True\)"):
                            opened[name]
                    else:
                        assert_same(opened[name], wanted)


def test_no_byte_of_an_array_can_be_written() -> None:
    with freeze(arrays()) as bundle:
        for entry in bundle.describe():
            seen = bundle[entry.name]
            if entry.kind == "pickle":
                continue
            assert not seen.flags.writeable
            with pytest.raises(ValueError, match="WRITEABLE"):
                seen.setflags(write=True)
            if seen.size:
                with pytest.raises(ValueError, match="read-only"):
                    seen[...] = seen


def test_arrays_are_aligned_and_share_the_memory_of_the_segment() -> None:
    with freeze({"a": np.arange(3, dtype=np.int8), "b": np.arange(5.0)}) as bundle:
        for name in bundle:
            assert bundle[name].ctypes.data % 64 == 0
            assert np.shares_memory(bundle[name], np.frombuffer(bundle.reader.segment.view, np.uint8))


def test_a_frame_is_built_without_copying_its_blocks() -> None:
    frame = pd.DataFrame(np.arange(30.0).reshape(10, 3), columns=list("abc")).assign(
        n=1, s=pd.array(["text"] * 10, "string[pyarrow]")
    )
    frame["c2"] = frame["a"].astype("Float64")
    with freeze({"frame": frame}) as bundle:
        whole = np.frombuffer(bundle.reader.segment.view, np.uint8)
        seen = bundle["frame"]
        for column in ("a", "b", "c", "n"):
            assert np.shares_memory(seen[column].to_numpy(), whole)
        address = pa.chunked_array(seen["s"].array.__arrow_array__()).chunk(0).buffers()[2].address
        assert whole.ctypes.data <= address < whole.ctypes.data + whole.nbytes


def test_writing_to_a_frame_copies_or_raises_and_leaves_the_bundle_as_it_was() -> None:
    with freeze({"frame": pd.DataFrame({"x": [1.0, 2.0]})}) as bundle:
        before = bundle.digest
        seen = bundle["frame"]
        with pytest.raises(ValueError, match="read-only"):
            seen.iloc[0, 0] = 5.0
        changed = bundle["frame"].copy()
        changed.loc[0, "x"] = 5.0
        again = bundle["frame"] + 1
        assert bundle["frame"]["x"].tolist() == [1.0, 2.0]
        assert changed["x"].tolist() == [5.0, 2.0]
        assert again["x"].tolist() == [2.0, 3.0]
        assert bundle.reader.digest() == before


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_tables_are_read_where_they_lie(library: str) -> None:
    wanted = pl.DataFrame({"x": np.arange(1000.0), "s": [f"some longer text, number {n}" for n in range(1000)]})
    with freeze({"table": wanted if library == "polars" else wanted.to_arrow()}) as bundle:
        seen = bundle["table"]
        table = seen.to_arrow(compat_level=pl.CompatLevel.newest()) if library == "polars" else seen
        whole = np.frombuffer(bundle.reader.segment.view, np.uint8)
        inside = [
            whole.ctypes.data <= b.address < whole.ctypes.data + whole.nbytes
            for column in table.columns
            for b in column.chunk(0).buffers()
            if b is not None and b.size > 1000
        ]
        assert inside
        assert all(inside)


def test_arrays_inside_plain_objects_are_read_only_views() -> None:
    model = {"weights": np.arange(6.0), "strided": np.arange(10)[::3], "masked": np.ma.masked_less(np.arange(5), 2)}
    with freeze({"model": model}) as bundle:
        whole = np.frombuffer(bundle.reader.segment.view, np.uint8)
        for part in bundle["model"].values():
            assert np.shares_memory(np.ma.getdata(part), whole)
            assert not np.ma.getdata(part).flags.writeable


def test_a_thawed_array_can_be_written_and_the_bundle_does_not_notice() -> None:
    for name, wanted in arrays().items():
        with freeze({"it": wanted}) as bundle:
            mine = bundle.thaw("it")
            assert mine.flags.writeable, name
            if wanted.size and not wanted.dtype.hasobject:
                mine[...] = np.zeros((), wanted.dtype)
                assert_same(bundle["it"], wanted)


def test_a_thawed_frame_can_be_written() -> None:
    with freeze({"frame": frames()["one of everything"]}) as bundle:
        mine = bundle.thaw("frame")
        mine.loc[0, "f"] = 99.0
        mine.loc[1, "s"] = "new"
        assert mine.loc[0, "f"] == 99.0
        assert bundle["frame"].loc[0, "f"] == 0.0


def test_a_subclass_of_a_frame_comes_back_as_itself() -> None:
    class Prices(pd.DataFrame):
        @property
        def _constructor(self) -> type:
            return Prices

    with freeze({"prices": Prices({"x": [1.0, 2.0]})}) as bundle:
        assert type(bundle["prices"]).__name__ == "Prices"
        assert bundle["prices"]["x"].tolist() == [1.0, 2.0]


def test_a_lazy_frame_is_collected() -> None:
    with freeze({"lazy": pl.LazyFrame({"x": [1, 2]}).filter(pl.col("x") > 1)}) as bundle:
        assert bundle["lazy"].equals(pl.DataFrame({"x": [2]}))


def test_a_slice_of_a_text_column_does_not_drag_the_whole_along() -> None:
    text = pl.DataFrame({"s": [f"{n} is a number of many letters" for n in range(200_000)]})
    with freeze({"few": text.head(3)}) as bundle:
        assert bundle.nbytes < 10_000


def test_a_memory_view_that_was_released_is_made_anew() -> None:
    with freeze({"raw": bytearray(b"abc")}) as bundle:
        with bundle["raw"] as view:
            assert view.tobytes() == b"abc"
        assert bundle["raw"].tobytes() == b"abc"


def test_bytes_that_are_no_view_of_single_letters_are_not_guessed_at() -> None:
    strange = memoryview(np.zeros(3, ">i4"))
    with pytest.raises(TypeError), freeze({"x": strange}):
        pickle.dumps(strange)


def test_an_error_while_an_object_is_loaded_travels_unchanged_and_says_where() -> None:
    with freeze({"x": Unloadable()}, name="market") as bundle:
        with pytest.raises(ZeroDivisionError) as caught:
            bundle["x"]
        assert caught.value.__notes__ == ["while loading entry 'x' of bundle 'market'"]


class Unloadable:
    def __getstate__(self) -> Any:
        return {"a": 1}

    def __setstate__(self, state: Any) -> None:
        raise ZeroDivisionError


def test_a_sparse_form_that_is_none_is_damage() -> None:
    with freeze({"x": FAMILIES["sparse"]()["csr_array"]}) as bundle:
        object.__setattr__(bundle.reader.entries["x"], "kind", "scipy.evil")
        with pytest.raises(BundleError, match="entry 'x' is damaged"):
            bundle["x"]


def test_an_unknown_kind_spoils_only_its_own_entry(tmp_path: Path) -> None:
    with freeze({"a": np.arange(3), "b": b"fine"}) as bundle:
        entry = bundle.reader.entries["a"]
        object.__setattr__(entry, "kind", "tensor")
        with pytest.raises(BundleError, match="entry 'a' is of a kind that this fanwise does not know: tensor"):
            bundle["a"]
        assert bundle["b"] == b"fine"
