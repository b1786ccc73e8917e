"""Functions have numbers: equal ones the same, so that a worker is sent each once; and how they are packed."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.crew_driver import work

from fanwise.backends.process._messages import FunctionOptions
from fanwise.backends.process._parcel import Numbering, pack_function
from fanwise.backends.process._pickling import Packed, loads
from fanwise.backends.process._sections import split
from fanwise.errors import NotPicklableError
from fanwise.typing import Attachment

OPTIONS = FunctionOptions(single=False, capture=True, seed=None, isolate=False, state=b"")


@given(st.lists(st.tuples(st.binary(max_size=2), st.sampled_from([None, 1, 2])), max_size=40))
def test_equal_functions_share_a_number_and_others_do_not(asked: list[tuple[bytes, int | None]]) -> None:
    numbering = Numbering()
    numbers: dict[tuple[bytes, int | None], int] = {}
    for data, seed in asked:
        options = FunctionOptions(single=False, capture=True, seed=seed, isolate=False, state=b"")
        number = numbering.number(Packed(data), options)
        assert numbers.setdefault((data, seed), number) == number
    assert len(set(numbers.values())) == len(numbers)


@pytest.mark.parametrize(
    "packed",
    [
        Packed(b"f", [memoryview(b"x" * 9000)]),
        Packed(b"f", attachments=[Attachment(b"i" * 16, 3, 1)]),
        Packed(b"f" * ((1 << 20) + 1)),
    ],
    ids=["buffers", "attachments", "large"],
)
def test_what_is_too_large_to_keep_is_new_each_time(packed: Packed) -> None:
    numbering = Numbering()
    assert numbering.number(packed, OPTIONS) != numbering.number(packed, OPTIONS)


def test_the_functions_used_last_are_the_ones_remembered() -> None:
    numbering = Numbering()
    first, second = (numbering.number(Packed(data), OPTIONS) for data in (b"first", b"second"))
    for other in range(63):
        numbering.number(Packed(b"%d" % other), OPTIONS)
        assert numbering.number(Packed(b"first"), OPTIONS) == first, "used again, so kept"
    assert numbering.number(Packed(b"second"), OPTIONS) != second


def test_a_reserved_number_is_nobody_elses() -> None:
    numbering = Numbering()
    numbers = [numbering.reserve(), numbering.number(Packed(b"f"), OPTIONS), numbering.reserve()]
    assert len(set(numbers)) == 3


def test_threads_never_share_a_number() -> None:
    numbering, found = Numbering(), []
    threads = [threading.Thread(target=lambda: found.extend(numbering.reserve() for _ in range(200))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 800


def test_a_parcel_carries_the_options_of_its_work_and_the_state_of_the_moment() -> None:
    parcel = pack_function(work(abs, [], seed=7, capture=False, stops=True), Numbering(), isolate=True)
    payload = memoryview(bytearray(b"".join(parcel.parts(b"now"))))
    told, function = split(payload, lasting=True)
    import pickle

    assert pickle.loads(told.data) == FunctionOptions(False, False, 7, True, b"now", True)
    assert loads(function.data, function.buffers) is abs


@pytest.mark.parametrize("by_value", [False, True])
def test_a_function_that_cannot_be_pickled_is_explained(by_value: bool) -> None:
    lock = threading.Lock()
    with pytest.raises(NotPicklableError, match="fn") as caught:
        pack_function(work(lambda x: (lock, x), []), Numbering(), isolate=False, by_value=by_value)
    assert "lock" in str(caught.value)


def helper(x: int) -> int:
    return x + 1


def test_by_value_a_function_brings_its_module_along() -> None:
    import cloudpickle

    by_reference = pack_function(work(helper, []), Numbering(), isolate=False).packed
    by_value = pack_function(work(helper, []), Numbering(), isolate=False, by_value=True).packed
    assert len(by_value.data) > len(by_reference.data)
    assert loads(by_reference.data, []) is helper
    assert loads(by_value.data, []) is not helper
    assert loads(by_value.data, [])(3) == 4
    assert __name__ not in cloudpickle.list_registry_pickle_by_value(), "for this one function only"
