"""Which way an object is pickled, and what is noticed on the way."""

from __future__ import annotations

import os
import pickle
import threading
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.backends.process import _pickling
from fanwise.backends.process._pickling import (
    Packed,
    attach,
    detach,
    dumps,
    dumps_by_value,
    is_plain,
    loads,
    pack_results,
    register_attachment,
    register_resolver,
)
from fanwise.errors import NotPicklableError
from fanwise.typing import Attachment

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


class Named:
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    __hash__ = None  # type: ignore[assignment]


class Explodes:
    def __reduce__(self) -> Any:
        raise LookupError("not today")


@given(PLAIN, st.booleans(), st.booleans())
def test_what_is_dumped_is_loaded(value: Any, main_by_value: bool, noticing: bool) -> None:
    packed = dumps(value, main_by_value=main_by_value, noticing=noticing)
    assert loads(packed.data, packed.buffers) == value
    assert not packed.reduced or main_by_value


def test_a_plain_pickle_comes_first() -> None:
    assert dumps([1, "a"], main_by_value=True).data == pickle.dumps([1, "a"], 5)


def test_a_mention_of_main_goes_by_value() -> None:
    text = ["__main__"]
    assert dumps(text, main_by_value=False).data == pickle.dumps(text, 5)
    by_value = dumps(text, main_by_value=True)
    assert by_value.reduced
    assert loads(by_value.data) == text


def test_what_pickle_cannot_goes_by_value() -> None:
    factor = 3
    assert loads(dumps(lambda x: factor * x, main_by_value=False).data)(2) == 6


def test_what_nothing_can_is_an_error_with_its_cause() -> None:
    with pytest.raises(NotPicklableError, match="LookupError: not today") as caught:
        dumps([Explodes()], main_by_value=False)
    assert isinstance(caught.value.__cause__, LookupError)
    with pytest.raises(NotPicklableError, match="cannot pickle"):
        dumps_by_value(threading.Lock())


def test_recursion_and_memory_are_no_exceptions_to_that() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(NotPicklableError, match="recursion"):
        dumps(nested, main_by_value=False)
    while nested:  # else its deletion recurses
        nested = nested[0]


@pytest.mark.parametrize("size", [8 << 10, 1 << 20])
def test_large_buffers_travel_beside_the_stream(size: int) -> None:
    data = bytearray(size)
    packed = dumps(pickle.PickleBuffer(data), main_by_value=False)
    assert [view.nbytes for view in packed.buffers] == [size]
    assert packed.size == len(packed.data) + size
    assert len(packed.data) < 100
    back = loads(packed.data, [memoryview(bytearray(packed.buffers[0]))])
    assert bytes(back) == bytes(data)


def test_small_buffers_stay_in_the_stream() -> None:
    packed = dumps(pickle.PickleBuffer(bytearray(100)), main_by_value=False)
    assert not packed.buffers
    assert loads(packed.data) == bytearray(100)


@given(st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()))
def test_plain_values_are_known_at_a_glance(values: list[Any]) -> None:
    assert is_plain(values)
    assert not is_plain([*values, []])


def test_results_without_reducers_are_one_pickle() -> None:
    for values in ([1, 2.5, "a"], [[1], {"a": (2,)}], [{1}, frozenset({2})]):
        (packed,) = pack_results(values)
        assert isinstance(packed, Packed)
        assert not packed.reduced
        assert loads(packed.data) == values


def test_results_with_a_reducer_are_one_pickle_each() -> None:
    values = [[1], Named(), [2]]
    packs = pack_results(values)
    assert [loads(p.data) for p in packs if isinstance(p, Packed)] == [[v] for v in values]


def test_a_result_that_cannot_be_pickled_is_an_error_in_its_place() -> None:
    packs = pack_results([threading.Lock(), Named(), threading.Lock()])
    assert [type(p) for p in packs] == [NotPicklableError, Packed, NotPicklableError]
    packs = pack_results([[1], threading.Lock()])
    assert [type(p) for p in packs] == [Packed, NotPicklableError]


def test_a_result_that_exits_while_it_is_pickled_is_a_failure_of_its_item() -> None:
    class Exits:
        def __reduce__(self) -> Any:
            raise SystemExit(3)

    (packed,) = pack_results([Exits()])
    assert isinstance(packed, SystemExit)


class TestAttachments:
    @pytest.fixture(autouse=True)
    def _registries(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_pickling, "_reduces", {})
        monkeypatch.setattr(_pickling, "_resolvers", [])
        monkeypatch.setattr(_pickling, "_arrived", deque())

    @pytest.mark.parametrize(
        "dump", [lambda o: dumps(o, main_by_value=False), dumps_by_value], ids=["plain", "by value"]
    )
    def test_a_registered_type_leaves_its_attachment(self, dump: Any) -> None:
        attachment = Attachment(b"0123456789abcdef", 5, 100)
        register_attachment(Named, lambda obj: ([attachment], (str, ("in its place",))))
        packed = dump({"a": Named()})
        assert packed.attachments == [attachment]
        assert loads(packed.data) == {"a": "in its place"}

    def test_what_arrives_before_there_is_a_resolver_waits_for_it(self) -> None:
        heard: list[tuple[Attachment, bool]] = []
        first, second = (Attachment(bytes([n]) * 16, 5, 100) for n in (1, 2))
        attach(first, keep=True)
        register_resolver(lambda a, *, keep: heard.append((a, keep)), lambda _: None)
        assert heard == [(first, True)]
        attach(second, keep=False)
        assert heard == [(first, True), (second, False)]

    def test_what_its_owner_has_closed_waits_for_nobody(self) -> None:
        heard: list[Attachment] = []
        fd = os.open(os.devnull, os.O_RDONLY)
        closed, open_still = (Attachment(bytes([n]) * 16, number, 100) for n, number in ((1, fd), (2, 5)))
        attach(closed, keep=True)
        attach(open_still, keep=True)
        detach(closed.id)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        register_resolver(lambda a, *, keep: heard.append(a), lambda _: None)
        assert heard == [open_still]

    def test_a_resolver_hears_of_what_was_closed(self) -> None:
        forgotten: list[bytes] = []
        register_resolver(lambda a, *, keep: None, forgotten.append)
        detach(b"0123456789abcdef")
        assert forgotten == [b"0123456789abcdef"]
