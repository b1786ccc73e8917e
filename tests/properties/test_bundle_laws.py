"""A bundle is a mapping like the one it was made of: by law, in memory, in files, in threads and in workers."""

from __future__ import annotations

import functools
import mmap
import os
import pickle
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanwise
from fanwise import Bundle, freeze
from fanwise.errors import BundleError

pytestmark = [
    pytest.mark.process,
    # the test runner's own thread; it holds no lock of ours
    pytest.mark.filterwarnings("ignore:workers are forked as requested:fanwise.FanwiseWarning"),
]

NAMES = st.text(min_size=0, max_size=8)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3) | st.tuples(inner)
    ),
    max_leaves=6,
)
ARRAYS = st.integers(0, 40).map(lambda size: np.arange(size, dtype="<i4"))
CONTENTS = st.dictionaries(NAMES, PLAIN | ARRAYS, max_size=6)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and np.array_equal(one, other)
    return type(one) is type(other) and bool(one == other)


def equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return list(one) == list(other) and all(same(one[name], other[name]) for name in other)


@given(CONTENTS, NAMES)
def test_it_answers_as_the_mapping_it_was_made_of(content: dict[str, Any], name: str) -> None:
    with freeze(content) as bundle:
        assert isinstance(bundle, Mapping)
        assert (list(bundle), len(bundle), bool(bundle)) == (list(content), len(content), bool(content))
        assert list(bundle.keys()) == list(content)
        assert equal(dict(bundle.items()), content)
        assert (name in bundle) == (name in content)
        assert same(bundle.get(name, "absent"), content.get(name, "absent"))
        if name not in content:
            with pytest.raises(KeyError):
                bundle[name]
        described = bundle.describe()
        assert [entry.name for entry in described] == list(content)
        assert sum(entry.nbytes for entry in described) <= bundle.nbytes


@given(CONTENTS)
def test_a_thawed_entry_is_the_readers_own(content: dict[str, Any]) -> None:
    with freeze(content) as bundle:
        for name, value in content.items():
            own = bundle.thaw(name)
            assert same(own, value)
            if isinstance(own, np.ndarray) and own.size:
                own += 1
                assert same(bundle[name], value)


@given(CONTENTS)
def test_the_digest_is_of_the_content(content: dict[str, Any]) -> None:
    with freeze(content) as one, freeze(content, name="other") as two, freeze({**content, "\0more": 1}) as more:
        assert one.digest == two.digest
        assert one.digest != more.digest


@settings(max_examples=30)
@given(CONTENTS)
def test_saving_and_opening_changes_nothing(content: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, freeze(content) as bundle:
        bundle.save(Path(folder, "a.fwb"))
        with Bundle.open(Path(folder, "a.fwb"), trust=True, verify="all") as opened:
            assert equal(opened, content)
            assert opened.digest == bundle.digest
            opened.save(Path(folder, "b.fwb"))
        with Bundle.open(Path(folder, "b.fwb"), trust=True) as again, freeze(again) as refrozen:
            assert equal(refrozen, content)
            assert refrozen.digest == bundle.digest


@settings(max_examples=30)
@given(CONTENTS, CONTENTS)
def test_bundles_may_hold_bundles(outer: dict[str, Any], inner: dict[str, Any]) -> None:
    with freeze(inner) as held, freeze({**outer, "held": held}) as bundle:
        assert equal(bundle["held"], inner)
        assert isinstance(bundle["held"], Bundle)


@given(CONTENTS)
def test_pickled_in_its_own_process_it_is_itself(content: dict[str, Any]) -> None:
    with freeze(content) as bundle:
        assert pickle.loads(pickle.dumps(bundle)) is bundle
        assert pickle.loads(pickle.dumps({"deep": [bundle]}))["deep"][0] is bundle


def total(bundle: Bundle, name: str) -> float:
    return float(bundle[name].sum())


def shape_of(item: Any) -> Any:
    return {"bundle": item["bundle"]["b"].shape, "flags": item["bundle"]["b"].flags.writeable}


def give_back(bundle: Bundle, _: object) -> Bundle:
    return bundle


def view_of(bundle: Bundle, name: str) -> np.ndarray:
    return bundle[name][1:]


PLACES: list[dict[str, Any]] = [{"workers": 1}, {}, {"backend": "thread", "workers": 2}, {"workers": 2, "warm": True}]


@pytest.fixture(params=PLACES, ids=["here", "auto", "threads", "processes"])
def place(request: pytest.FixtureRequest) -> Any:
    if "warm" not in request.param:
        yield request.param
        return
    with fanwise.Executor(2, "fork", backend="process") as executor:
        executor.submit(abs, 1).result(30)  # its workers are older than the bundle
        yield {"executor": executor}


@pytest.fixture
def bundle() -> Any:
    with freeze({"a": np.arange(5.0), "b": np.ones((3, 300_000)), "c": {"plain": [1, 2]}}, name="market") as made:
        yield made


class TestInMaps:
    def test_bound_to_the_function(self, bundle: Bundle, place: dict[str, Any]) -> None:
        assert fanwise.map(functools.partial(total, bundle), ["a", "b"] * 3, **place) == [10.0, 900_000.0] * 3

    def test_in_a_closure(self, bundle: Bundle, place: dict[str, Any]) -> None:
        assert fanwise.map(lambda name: bundle[name].shape, ["a", "b"], **place) == [(5,), (3, 300_000)]

    def test_inside_items_read_only(self, bundle: Bundle, place: dict[str, Any]) -> None:
        items = [{"bundle": bundle, "number": number} for number in range(4)]
        assert fanwise.map(shape_of, iter(items), **place) == [{"bundle": (3, 300_000), "flags": False}] * 4

    def test_it_comes_back_as_itself(self, bundle: Bundle, place: dict[str, Any]) -> None:
        back = fanwise.map(functools.partial(give_back, bundle), range(3), **place)
        assert all(each is bundle for each in back)

    def test_a_view_comes_back_as_an_array(self, bundle: Bundle, place: dict[str, Any]) -> None:
        (view,) = fanwise.map(functools.partial(view_of, bundle), ["a"], **place)
        assert view.tolist() == [1.0, 2.0, 3.0, 4.0]

    def test_a_closed_one_is_an_error_that_says_so(self, place: dict[str, Any]) -> None:
        gone = freeze({"a": np.arange(3)}, name="gone")
        gone.close()
        with pytest.raises(BundleError, match=r"gone.* is closed"):
            fanwise.map(functools.partial(total, gone), ["a", "a"], **place)

    def test_an_item_that_dies_does_not_take_it_along(self, bundle: Bundle) -> None:
        def die_once(name: str) -> float:
            task = fanwise.current_task()
            if task is not None and task.index == 1 and task.attempt == 1:
                os._exit(9)
            return total(bundle, name)

        with fanwise.Executor(2, "fork", backend="process") as executor:
            assert fanwise.map(die_once, ["a"] * 4, executor=executor) == [10.0] * 4


class TestMemory:
    @pytest.mark.parametrize(
        "attack",
        [
            lambda fd: os.pwrite(fd, b"x", 4096),
            lambda fd: os.ftruncate(fd, 0),
            lambda fd: os.ftruncate(fd, 1 << 30),
            lambda fd: mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE),
        ],
        ids=["write", "shrink", "grow", "map to write"],
    )
    def test_nobody_can_change_it_through_its_descriptor(self, attack: Any, bundle: Bundle) -> None:
        descriptors = [
            int(fd)
            for fd in os.listdir("/proc/self/fd")
            if os.path.lexists(f"/proc/self/fd/{fd}") and "memfd:" in os.readlink(f"/proc/self/fd/{fd}")
        ]
        assert descriptors
        for fd in descriptors:
            with pytest.raises(OSError, match=r"not permitted|Bad file|Invalid argument|denied"):
                attack(fd)
        assert bundle["a"].sum() == 10.0

    def test_a_view_of_a_view_is_as_read_only(self, bundle: Bundle) -> None:
        for view in (bundle["a"], bundle["a"][1:], bundle["b"].T, np.asarray(bundle["a"]), bundle["a"].view("u8")):
            assert not view.flags.writeable
            with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
                view.setflags(write=True)

    def test_many_threads_read_one_entry_and_get_one_object(self, bundle: Bundle) -> None:
        seen: list[int] = []
        start = threading.Barrier(6)

        def read() -> None:
            start.wait()
            seen.append(id(bundle["c"]))

        readers = [threading.Thread(target=read) for _ in range(6)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert len(set(seen)) == 1

    def test_a_look_up_beside_a_close_is_a_value_or_says_closed(self) -> None:
        answers: list[bool] = []

        def read(bundle: Bundle) -> None:
            try:
                while True:
                    answers.append(bundle["a"].sum() == 3)
            except BundleError as error:
                answers.append("is closed" in str(error))

        for _ in range(5):
            bundle = freeze({"a": np.arange(3)})
            readers = [threading.Thread(target=read, args=(bundle,)) for _ in range(3)]
            for reader in readers:
                reader.start()
            bundle.close()
            for reader in readers:
                reader.join()
        assert all(answers)
