"""Objects without a form of their own: what travels outside the pickle, by value, and in which order."""

from __future__ import annotations

import datetime as dt
import decimal
import pickle
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanwise
from fanwise.bundle._codecs import pickles
from fanwise.bundle._codecs.parts import Encoded, Part, UntrustedPickleError


def buffers(encoded: Encoded) -> list[memoryview]:
    found = []
    for source in encoded.sources:
        content = bytearray()
        source.write(Collector(content))
        found.append(memoryview(bytes(content)))
    return found


class Collector:
    def __init__(self, content: bytearray) -> None:
        self.content = content

    def write(self, data: bytes | memoryview) -> int:
        self.content += data
        return len(data)


def there_and_back(value: Any) -> Any:
    encoded = pickles.encode(value)
    return pickles.decode(Part(encoded.kind, encoded.meta, buffers(encoded), trust=True))


def test_nothing_is_loaded_without_trust() -> None:
    encoded = pickles.encode({"a": 1})
    assert encoded.is_pickled
    with pytest.raises(UntrustedPickleError):
        pickles.decode(Part("pickle", {}, buffers(encoded), trust=False))


class TestArrays:
    @pytest.mark.parametrize(
        "array",
        [
            np.arange(1000.0),
            np.asfortranarray(np.arange(1000.0).reshape(10, 100)),
            np.arange(2000.0)[::2],
            np.arange(1000.0).reshape(10, 100).T[::3],
            np.ma.masked_less(np.arange(1000.0), 5),
            np.rec.fromarrays([np.arange(500), np.arange(500.0)], names="a,b"),
            np.arange(1000.0).view(type("Sub", (np.ndarray,), {"__module__": "numpy"}))[::2].view(np.ma.MaskedArray),
        ],
        ids=["C", "F", "strided", "strided too", "masked", "records", "masked strided"],
    )
    def test_bytes_travel_outside(self, array: np.ndarray) -> None:
        first, *rest = buffers(pickles.encode([array]))
        assert first.nbytes < 1500
        assert sum(b.nbytes for b in rest) >= array.nbytes
        (seen,) = there_and_back([array])
        assert type(seen) is type(array)
        np.testing.assert_array_equal(seen, array)

    def test_a_subclass_that_pickles_itself_is_left_to_it(self) -> None:
        seen = there_and_back(Named.of(np.arange(3), "x"))
        assert (type(seen), seen.label, seen.tolist()) == (Named, "x", [0, 1, 2])

    def test_arrays_of_objects_and_empty_arrays_are_left_to_numpy(self) -> None:
        for array in (np.array([None, "x"], dtype=object), np.zeros((0, 3))):
            seen = there_and_back({"a": array})["a"]
            assert seen.tolist() == array.tolist()
            assert seen.shape == array.shape


class Named(np.ndarray):
    label = ""

    @classmethod
    def of(cls, array: np.ndarray, label: str) -> Named:
        named = array.view(cls)
        named.label = label
        return named

    def __reduce__(self) -> Any:
        return Named.of, (np.asarray(self), self.label)


class TestByValue:
    def test_what_pickle_cannot_name_goes_by_value(self) -> None:
        def local(x: int) -> int:
            return x + 1

        seen = there_and_back({"f": local, "table": np.arange(100.0)[::2]})
        assert seen["f"](1) == 2
        assert seen["table"][1] == 2.0

    @pytest.mark.slow
    def test_classes_of_a_script_are_known_where_the_script_is_not(self) -> None:
        make = (
            "import sys, fanwise\n"
            "class Model:\n    def predict(self, x): return x * 2\n"
            "b = fanwise.freeze({'m': Model()})\n"
            "assert type(b['m']) is Model\n"
            "b.save(sys.argv[1])\n"
        )
        read = "import sys, fanwise; print(fanwise.Bundle.open(sys.argv[1], trust=True)['m'].predict(21))"
        path = Path(fanwise.__file__).parents[1]
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            for code in (make, read):
                done = subprocess.run(
                    [sys.executable, "-c", code, f"{folder}/f.fwb"],
                    env={"PYTHONPATH": str(path)}, capture_output=True, text=True, check=False,
                )  # fmt: skip
                assert done.returncode == 0, done.stderr
            assert done.stdout == "42\n"

    @pytest.mark.parametrize("value", [(n for n in ()), {"deep": [threading.Lock()]}])
    def test_what_neither_can_raises(self, value: Any) -> None:
        with pytest.raises(pickles.UNPICKLABLE):
            pickles.encode(value)


# What holds the name of that module goes by value, whatever it is.
text, data = st.text().filter(lambda t: "__main__" not in t), st.binary().filter(lambda b: b"__main__" not in b)
members = st.recursive(
    st.none() | st.booleans() | st.integers() | text | data | st.dates() | st.uuids() | st.decimals(allow_nan=False),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)


class TestSets:
    @given(st.lists(members, min_size=2, max_size=8, unique=True))
    def test_the_order_of_insertion_does_not_show(self, values: list[Any]) -> None:
        forwards, backwards = set(values), set[Any]()
        for value in values[::-1]:
            backwards.add(value)
        first, second = (bytes(buffers(pickles.encode({"s": s}))[0]) for s in (forwards, backwards))
        assert first == second
        assert there_and_back({"s": forwards}) == {"s": forwards}

    def test_members_of_every_ranked_type(self) -> None:
        values = {"a", b"a", 1, 2.5, 1j, None, dt.date(2026, 1, 1), decimal.Decimal(3), uuid.UUID(int=5), (1, ("x",))}
        assert there_and_back([values, frozenset(values)]) == [values, frozenset(values)]

    def test_sets_of_other_things_are_written_as_they_come(self) -> None:
        one, other = Node("one"), Node("other")
        one.near, other.near = {one, other}, frozenset({one, other})
        seen = there_and_back(one)
        assert {n.name for n in seen.near} == {"one", "other"}
        assert seen in seen.near

    def test_a_shared_set_stays_shared(self) -> None:
        shared = {"a", "b"}
        first, second = there_and_back([shared, shared])
        assert first is second

    def test_arrays_beside_a_set_travel_outside(self) -> None:
        array = np.arange(1000.0)[::2]
        first, second = buffers(pickles.encode({"s": {"a", "b"}, "x": array}))
        assert first.nbytes < 500
        assert second.nbytes == array.nbytes

    def test_a_stream_that_only_looks_as_if_it_held_a_set_is_left_as_it_is(self) -> None:
        value = [b"\x8f\x94(", b"\x91\x94"]
        assert bytes(buffers(pickles.encode(value))[0]) == pickle.dumps(value, 5)


class Node:
    def __init__(self, name: str) -> None:
        self.name = name
        self.near: Any = None
