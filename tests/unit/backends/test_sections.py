"""Several pickles and their buffers in one payload."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.backends.process._pickling import Packed
from fanwise.backends.process._sections import join, split

SECTIONS = st.lists(st.tuples(st.binary(max_size=100), st.lists(st.binary(max_size=100), max_size=3)), max_size=5)


def payload(sections: list[tuple[bytes, list[bytes]]]) -> memoryview:
    parts = join([Packed(data, [memoryview(bytearray(b)) for b in buffers]) for data, buffers in sections])
    return memoryview(bytearray(b"".join(parts)))


@given(SECTIONS, st.booleans())
def test_what_is_joined_is_split(sections: list[tuple[bytes, list[bytes]]], lasting: bool) -> None:
    found = split(payload(sections), lasting=lasting)
    assert [(bytes(s.data), [bytes(b) for b in s.buffers]) for s in found] == sections


def test_buffers_are_aligned_for_vectors() -> None:
    view = payload([(b"abc", [b"x" * 10, b"y" * 100]), (b"de", [b"z"])])
    found = split(view, lasting=True)
    whole = bytes(view)
    assert [whole.index(bytes(b)) % 64 for s in found for b in s.buffers] == [0, 0, 0]


def test_buffers_of_a_passing_payload_are_copied() -> None:
    view = payload([(b"", [b"first"])])
    ((_, (copied,)),) = split(view, lasting=False)
    ((_, (kept,)),) = split(view, lasting=True)
    view[-5:] = b"later"
    assert (bytes(copied), bytes(kept)) == (b"first", b"later")
    copied[:1] = b"F"  # writable


@given(st.binary(max_size=200))
def test_anything_else_is_an_error(data: bytes) -> None:
    try:
        found = split(memoryview(data), lasting=False)
    except ValueError:
        return
    again = join([Packed(bytes(s.data), [memoryview(b) for b in s.buffers]) for s in found])
    assert len(b"".join(again)) == len(data)


@pytest.mark.parametrize("words", [[0], [9], [3, 1, 5], [4, 0, 2, 1], [3, 100, 0]])
def test_lengths_that_do_not_add_up_are_errors(words: list[int]) -> None:
    data = b"".join(word.to_bytes(8, "little") for word in words)
    with pytest.raises(ValueError):
        split(memoryview(data), lasting=False)
