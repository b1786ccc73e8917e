"""Any iterable is an input: drawn once, in order, by the caller; what it raises comes where the loop would raise it."""

from __future__ import annotations

import array
import collections
import csv
import enum
import io
import itertools
import os
import string
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fanwise

pytestmark = [
    pytest.mark.process,
    # the test runner's own thread; it holds no lock of ours
    pytest.mark.filterwarnings("ignore:workers are forked as requested:fanwise.FanwiseWarning"),
]

Place = dict[str, Any]


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


Point = collections.namedtuple("Point", "x y")


class Doubled(list[int]):
    """A list whose loop gives something else than its slices."""

    def __iter__(self) -> Iterator[int]:
        return (2 * item for item in super().__iter__())


class Offset(tuple[int, ...]):
    """A tuple whose items are looked up differently."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(index) if isinstance(index, slice) else 100 + super().__getitem__(index)


class OldProtocol:
    def __getitem__(self, index: int) -> int:
        if index > 4:
            raise IndexError
        return index * index


class Shelf:
    """Can be looped over again and again, and has no length."""

    def __iter__(self) -> Iterator[str]:
        return iter(("a", "b", "c"))


def text_file() -> Iterable[str]:
    return io.StringIO("one\ntwo\nthree\n")


INPUTS: dict[str, Callable[[], Iterable[Any]]] = {
    "list": lambda: [1, "a", None],
    "tuple of tuples": lambda: ((1, 2), (3,), ()),
    "namedtuple": lambda: Point(1, 2),
    "list with a loop of its own": lambda: Doubled([1, 2, 3]),
    "tuple with look-ups of its own": lambda: Offset((1, 2, 3)),
    "text": lambda: "größe",
    "bytes": lambda: b"\x00\xff",
    "bytearray": lambda: bytearray(b"abc"),
    "memoryview": lambda: memoryview(b"abc"),
    "array": lambda: array.array("d", [0.5, -1.0]),
    "range backwards": lambda: range(10, 0, -3),
    "empty range": lambda: range(5, 5),
    "set": lambda: frozenset(range(20)),
    "dictionary": lambda: {"b": 1, "a": 2},
    "items of a dictionary": lambda: {"b": 1, "a": 2}.items(),
    "values of a dictionary": lambda: {"b": 1, "a": 2}.values(),
    "counter": lambda: collections.Counter("abracadabra"),
    "chain map": lambda: collections.ChainMap({"a": 1}, {"b": 2}),
    "deque": lambda: collections.deque(range(9), maxlen=4),
    "user list": lambda: collections.UserList([3, 2, 1]),
    "user string": lambda: collections.UserString("abc"),
    "generator": lambda: (item**2 for item in range(9)),
    "iterator": lambda: iter(range(9)),
    "reversed": lambda: reversed([1, 2, 3]),
    "zip": lambda: zip("abc", itertools.count(), strict=False),
    "enumerate": lambda: enumerate("abc"),
    "map": lambda: map(str, range(5)),
    "product": lambda: itertools.product("ab", repeat=3),
    "nested chain": lambda: itertools.chain.from_iterable([[1], [], [2, 3]]),
    "file": text_file,
    "rows of a file": lambda: csv.reader(text_file()),
    "enumeration": lambda: Colour,
    "iter with a sentinel": lambda: iter(iter("ab.cd").__next__, "."),
    "old protocol": OldProtocol,
    "no length": Shelf,
    "one-dimensional array": lambda: np.arange(5) / 2,
    "rows of an array": lambda: np.arange(6).reshape(3, 2),
    "column-major array": lambda: np.asfortranarray(np.arange(6).reshape(2, 3)),
    "strided array": lambda: np.arange(20)[::-3],
    "array of text": lambda: np.array(["a", "bc"]),
    "array of records": lambda: np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i4"), ("b", "f8")]),
    "array of dates": lambda: np.array(["2020-01-01", "NaT"], dtype="M8[D]"),
    "array without rows": lambda: np.empty((0, 3)),
    "flat array": lambda: np.arange(4).reshape(2, 2).flat,
    "masked array": lambda: np.ma.masked_equal([1, 2, 3], 2),
    "series": lambda: pd.Series([1.5, 2.5], index=["x", "y"]),
    "columns of a frame": lambda: pd.DataFrame({"b": [1], "a": [2]}),
    "rows of a frame": lambda: pd.DataFrame({"b": [1, 2], "a": [3, 4]}).itertuples(index=False, name=None),
    "groups of a frame": lambda: ((key, len(rows)) for key, rows in pd.DataFrame({"k": [1, 2, 1]}).groupby("k")),
    "index": lambda: pd.date_range("2020-01-01", periods=3),
}


def seen(item: Any) -> str:
    return f"{type(item).__name__} {item!r}"


@pytest.mark.parametrize("name", INPUTS)
def test_every_kind_of_input_gives_what_the_loop_gives(name: str, place: Place) -> None:
    expected = [seen(item) for item in INPUTS[name]()]
    assert fanwise.map(seen, INPUTS[name](), **place) == expected
    assert list(fanwise.stream(seen, INPUTS[name](), **place)) == expected


class Tape(Sequence[int]):
    """Reads one item at a time, as from one open file: look-ups must not meet, and are counted."""

    def __init__(self, length: int, broken_at: int | None = None) -> None:
        self.length = length
        self.broken_at = broken_at
        self.read: list[int] = []
        self.readers: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> int:
        if not 0 <= index < self.length:
            raise IndexError(index)
        if index == self.broken_at:
            raise OSError("the tape broke")
        self.read.append(index)
        self.readers.add((os.getpid(), threading.get_ident()))
        return index * 10


class TestSequencesOfTheUser:
    def test_items_are_looked_up_once_in_order_by_the_caller(self, place: Place) -> None:
        tape = Tape(50)
        assert fanwise.map(abs, tape, **place) == [index * 10 for index in range(50)]
        assert tape.read == list(range(50))
        assert tape.readers == {(os.getpid(), threading.get_ident())}

    def test_a_look_up_that_raises_ends_the_run_behind_the_items_before_it(self, place: Place) -> None:
        with pytest.raises(OSError, match="the tape broke") as caught:
            fanwise.map(abs, Tape(50, broken_at=20), **place)
        run = caught.value.__fanwise_run__
        assert [outcome.index for outcome in run.outcomes] == list(range(20))
        assert run.missing == tuple(range(20, 50))

    def test_it_raises_although_outcomes_are_wanted(self, place: Place) -> None:
        with pytest.raises(OSError, match="the tape broke"):
            fanwise.run(abs, Tape(10, broken_at=9), **place)

    def test_the_length_is_known_to_the_note(self, place: Place) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            fanwise.map(lambda item: 1 // item, Tape(5), **place)
        assert caught.value.__notes__[0] == "item 0 of 5: 0"

    def test_a_stream_reads_no_further_than_it_must(self, place: Place) -> None:
        tape = Tape(10_000)
        stream = fanwise.stream(abs, tape, lookahead=8, **place)
        assert [next(stream) for _ in range(4)] == [0, 10, 20, 30]
        stream.close()
        assert len(tape.read) <= 4 + 8


class TestRangesWithoutALength:
    def test_a_failing_item_ends_them(self, place: Place) -> None:
        with pytest.raises(ValueError, match="at 40"):
            fanwise.map(fail_at_forty, range(10**30), **place)

    def test_they_can_be_streamed(self, place: Place) -> None:
        stream = fanwise.stream(abs, range(-(10**25), 0), **place)
        assert next(stream) == 10**25
        stream.close()


def fail_at_forty(item: int) -> int:
    if item == 40:
        raise ValueError("at 40")
    return item


class Odd(BaseException):
    """Not an Exception."""


def broken_after(good: int, error: BaseException) -> Iterator[int]:
    yield from range(good)
    raise error


class Breaks:
    """An iterator that raises at each call from some item on; a loop would have stopped at the first."""

    def __init__(self, good: int) -> None:
        self.left = good
        self.raised = 0

    def __iter__(self) -> Breaks:
        return self

    def __next__(self) -> int:
        self.left -= 1
        if self.left < 0:
            self.raised += 1
            raise LookupError(f"call {self.raised}")
        return self.left


class TestInputsThatRaise:
    @pytest.mark.parametrize("good", [0, 1, 2, 63, 64, 65, 300])
    def test_what_came_before_is_finished(self, good: int, place: Place) -> None:
        with pytest.raises(LookupError, match="input") as caught:
            fanwise.map(abs, broken_after(good, LookupError("input")), **place)
        run = caught.value.__fanwise_run__
        assert [outcome.unwrap() for outcome in run.outcomes] == list(range(good))
        assert (run.report.items, run.report.ok, run.report.ended) == (good, good, "error")

    @pytest.mark.parametrize(
        "error", [RuntimeError("bad"), AssertionError("bad"), UnicodeDecodeError("a", b"", 0, 1, "")]
    )
    def test_its_own_exception_arrives(self, error: Exception, place: Place) -> None:
        with pytest.raises(type(error)) as caught:
            fanwise.map(abs, broken_after(3, error), **place)
        assert caught.value is error

    def test_an_iterator_is_not_asked_again_after_it_raised(self, place: Place) -> None:
        source = Breaks(5)
        with pytest.raises(LookupError, match="call 1"):
            fanwise.map(abs, source, **place)
        assert source.raised == 1

    def test_a_stream_yields_what_came_before(self, place: Place) -> None:
        stream = fanwise.stream(abs, broken_after(5, LookupError("input")), **place)
        assert [next(stream) for _ in range(5)] == list(range(5))
        with pytest.raises(LookupError, match="input"):
            next(stream)

    def test_an_input_that_cannot_begin_raises_at_once(self, place: Place) -> None:
        class NoBeginning:
            def __iter__(self) -> Iterator[int]:
                raise PermissionError("closed")

        with pytest.raises(PermissionError, match="closed"):
            fanwise.map(abs, NoBeginning(), **place)

    def test_a_failing_item_before_the_break_comes_first(self, place: Place) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            fanwise.map(lambda item: 1 // (item - 2), broken_after(5, LookupError("input")), **place)
        assert caught.value.__notes__[0].startswith("item 2")

    def test_a_retry_does_not_draw_again(self, place: Place) -> None:
        drawn = []

        def source() -> Iterator[int]:
            for item in range(6):
                drawn.append(item)
                yield item

        retry = fanwise.typing.Retry(1, delay=0.001)
        assert fanwise.map(fail_at_first, source(), retries=retry, **place) == list(range(6))
        assert drawn == list(range(6))


def fail_at_first(item: int) -> int:
    task = fanwise.current_task()
    assert task is not None
    if task.attempt == 1:
        raise ValueError(item)
    return item


class TestGenerators:
    def test_a_generator_runs_in_the_calling_thread(self, place: Place) -> None:
        def source() -> Iterator[tuple[int, int]]:
            for _ in range(30):
                yield os.getpid(), threading.get_ident()

        assert set(fanwise.map(lambda where: where, source(), **place)) == {(os.getpid(), threading.get_ident())}

    def test_a_generator_is_read_to_its_end(self, place: Place) -> None:
        ended = []

        def source() -> Iterator[int]:
            try:
                yield from range(5)
            finally:
                ended.append(True)

        fanwise.map(abs, source(), **place)
        assert ended == [True]

    def test_one_generator_serves_two_calls_in_turn(self, place: Place) -> None:
        letters = iter(string.ascii_lowercase)
        first = fanwise.map(str.upper, itertools.islice(letters, 5), **place)
        second = fanwise.map(str.upper, letters, **place)
        assert "".join(first + second) == string.ascii_uppercase

    def test_a_generator_may_itself_call_map(self, place: Place) -> None:
        def source() -> Iterator[int]:
            for size in range(4):
                yield sum(fanwise.map(abs, range(-size, 0), workers=1))

        assert fanwise.map(abs, source(), **place) == [0, 1, 3, 6]

    def test_a_stream_can_feed_another(self, place: Place) -> None:
        first = fanwise.stream(abs, range(-40, 0), **place)
        second = fanwise.stream(lambda item: item + 1, first, **place)
        assert list(second) == [item + 1 for item in range(40, 0, -1)]

    def test_a_map_inside_the_loop_over_a_stream_with_the_same_place(self, place: Place) -> None:
        sums = [sum(fanwise.map(abs, range(-item, 0), **place)) for item in fanwise.stream(abs, range(5), **place)]
        assert sums == [0, 1, 3, 6, 10]

    def test_the_lookahead_holds_for_unordered_streams(self, place: Place) -> None:
        drawn: list[int] = []
        source = (drawn.append(item) or item for item in itertools.count())
        stream = fanwise.stream(abs, source, ordered=False, lookahead=6, **place)
        for step in range(50):
            next(stream)
            assert len(drawn) - step <= 6
        stream.close()

    def test_a_lookahead_of_one_draws_one_at_a_time(self, place: Place) -> None:
        drawn: list[int] = []
        source = (drawn.append(item) or item for item in range(20))
        for step, _ in enumerate(fanwise.stream(abs, source, lookahead=1, **place), 1):
            assert len(drawn) <= step + 1


class TestEnds:
    """Without a display nothing wakes the driver but its workers: an end that it does not see is one it sleeps through."""

    @pytest.fixture
    def alone(self, place: Place) -> Place:
        return {**place, "progress": "none"}

    @pytest.mark.parametrize("make", [iter, set, dict.fromkeys, collections.deque])
    def test_nothing_to_do_is_done(self, make: Callable[..., Iterable[int]], alone: Place) -> None:
        assert fanwise.map(abs, make(()), **alone) == []

    def test_nothing_to_do_before_the_input_breaks(self, alone: Place) -> None:
        with pytest.raises(LookupError, match="input"):
            fanwise.map(abs, broken_after(0, LookupError("input")), **alone)

    @pytest.mark.parametrize("lookahead", [1, 2, 3, 20, 21])
    @pytest.mark.parametrize("ordered", [True, False])
    def test_an_input_that_ends_when_everything_is_settled(self, lookahead: int, ordered: bool, alone: Place) -> None:
        items = (item for item in range(-20, 0))
        stream = fanwise.stream(abs, items, lookahead=lookahead, ordered=ordered, **alone)
        assert sorted(stream) == list(range(1, 21))

    def test_an_end_that_comes_long_after_the_last_item(self, alone: Place) -> None:
        settled = threading.Event()

        def items() -> Iterator[int]:
            yield -1
            settled.wait(0.1)

        assert fanwise.map(abs, items(), **alone) == [1]


class TestLargeThings:
    def test_large_items_and_results_cross_over(self, place: Place) -> None:
        items = [bytes([number]) * (3 << 20) for number in range(3)]
        assert fanwise.map(lambda data: data[::-1], iter(items), **place) == items

    def test_many_small_items(self, place: Place) -> None:
        assert fanwise.map(abs, iter(range(-20_000, 0)), **place) == list(range(20_000, 0, -1))

    @pytest.mark.parametrize("chunk_size", [1, 2, 7, 100, 10**9])
    def test_any_chunk_size(self, chunk_size: int, place: Place) -> None:
        assert fanwise.map(abs, range(-100, 0), chunk_size=chunk_size, **place) == list(range(100, 0, -1))

    @pytest.mark.parametrize("workers", [1, 2, 5, 64])
    def test_more_workers_than_items(self, workers: int) -> None:
        assert fanwise.map(abs, [-1, -2], backend="thread", workers=workers) == [1, 2]


def test_a_journal_is_written_in_the_folder_that_is_named(tmp_path: Path, place: Place) -> None:
    run = fanwise.run(abs, iter([-1, -2]), resume=str(tmp_path / "journal"), **place)
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600
    assert run.values() == [1, 2]
