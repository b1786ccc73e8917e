"""Runs with a cache, wherever items run: the values of the loop, nothing computed twice, and figures that add up."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cache_kit import python

import fanwise
from fanwise.errors import FanwiseWarning, UsageError

pytestmark = pytest.mark.process

PLACES: dict[str, dict[str, Any]] = {
    "serial": {"workers": 1},
    "thread": {"backend": "thread", "workers": 2},
    "process": {"backend": "process", "workers": 2, "chunk_size": 3},
}


@pytest.fixture(params=["serial", "thread", pytest.param("process", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"progress": "none", **PLACES[request.param]}


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[fanwise.Cache]:
    with fanwise.Cache(tmp_path / "cache") as cache:
        yield cache


def marked(x: int, *, folder: str) -> int:
    """A square that leaves a mark each time it is computed."""
    with open(os.path.join(folder, f"{os.getpid()}"), "a") as file:
        file.write(f"{x}\n")
    return x * x


def marks(folder: Path) -> list[int]:
    return sorted(int(line) for file in folder.iterdir() for line in file.read_text().splitlines())


@pytest.fixture
def square(tmp_path: Path) -> tuple[Callable[[int], int], Path]:
    folder = tmp_path / "marks"
    folder.mkdir()
    return partial(marked, folder=str(folder)), folder


class TestValues:
    def test_a_warm_run_computes_nothing_and_gives_the_same(
        self, place: dict[str, Any], cache: fanwise.Cache, square: Any
    ) -> None:
        fn, folder = square
        wanted = [x * x for x in range(40)]
        assert fanwise.map(fn, range(40), cache=cache, **place) == wanted
        assert fanwise.map(fn, range(40), cache=cache, **place) == wanted
        assert marks(folder) == list(range(40))

    def test_new_items_between_known_ones_are_computed_and_keep_their_places(
        self, place: dict[str, Any], cache: fanwise.Cache, square: Any
    ) -> None:
        fn, folder = square
        fanwise.map(fn, range(0, 60, 2), cache=cache, **place)
        for items in (list(range(60)), iter(range(60))):
            assert fanwise.map(fn, items, cache=cache, **place) == [x * x for x in range(60)]
        assert marks(folder) == list(range(60))

    def test_equal_items_are_computed_once(self, place: dict[str, Any], cache: fanwise.Cache, square: Any) -> None:
        fn, folder = square
        assert fanwise.map(fn, [1, 2, 3] * 10, cache=cache, **place) == [1, 4, 9] * 10
        assert marks(folder) == [1, 2, 3]

    def test_arrays_come_back_bit_for_bit(self, place: dict[str, Any], cache: fanwise.Cache) -> None:
        loop = [table(n) for n in range(12)]
        for _ in range(2):
            for got, wanted in zip(fanwise.map(table, range(12), cache=cache, **place), loop, strict=True):
                assert (got.dtype, got.shape, got.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())
                assert got.flags.writeable

    def test_with_a_seed_a_value_belongs_to_its_place(self, place: dict[str, Any], cache: fanwise.Cache) -> None:
        wanted = fanwise.map(drawn, [5] * 8, seed=3, workers=1, progress="none")
        assert len(set(wanted)) == 8
        for _ in range(2):
            assert fanwise.map(drawn, [5] * 8, seed=3, cache=cache, **place) == wanted
        assert cache.stats().hits >= 8
        assert fanwise.map(drawn, [5] * 8, seed=4, cache=cache, **place) != wanted

    def test_a_stream_yields_the_same(self, place: dict[str, Any], cache: fanwise.Cache, square: Any) -> None:
        fn, folder = square
        fanwise.map(fn, range(10), cache=cache, **place)
        found = fanwise.stream(fn, iter(range(30)), cache=cache, lookahead=4, **place)
        assert list(found) == [x * x for x in range(30)]
        assert marks(folder) == list(range(30))

    def test_a_memoised_function_brings_its_own_cache(
        self, place: dict[str, Any], cache: fanwise.Cache, square: Any
    ) -> None:
        fn, folder = square
        for _ in range(2):
            assert fanwise.map(cache.memoize(fn), range(20), **place) == [x * x for x in range(20)]
        assert marks(folder) == list(range(20))


def table(n: int) -> np.ndarray[Any, Any]:
    return np.asfortranarray(np.arange(n * 6, dtype="<i4").reshape(n, 6))


def drawn(x: int, rng: np.random.Generator) -> float:
    return x + float(rng.random())


class TestFailures:
    def test_an_exception_is_the_loops_and_is_not_kept(
        self, place: dict[str, Any], cache: fanwise.Cache, square: Any
    ) -> None:
        fn, folder = square
        for times in (1, 2):
            run = fanwise.run(partial(fragile, fn), range(10), cache=cache, **place)
            assert [outcome.ok for outcome in run.outcomes] == [x != 7 for x in range(10)]
            assert str(getattr(run.outcomes[7], "error", "")) == "no 7"
            assert marks(folder).count(7) == times
        assert marks(folder) == sorted([*range(10), 7])

    def test_a_retried_item_is_kept_like_any_other(
        self, place: dict[str, Any], cache: fanwise.Cache, tmp_path: Path
    ) -> None:
        fn = partial(second_try, folder=str(tmp_path))
        for _ in range(2):
            assert fanwise.map(fn, range(6), retries=1, cache=cache, **place) == list(range(6))
        assert cache.stats().hits == 6


def fragile(fn: Callable[[int], int], x: int) -> int:
    value = fn(x)
    if x == 7:
        raise ValueError("no 7")
    return value


def second_try(x: int, *, folder: str) -> int:
    try:
        os.close(os.open(os.path.join(folder, f"tried-{x}"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return x
    raise OSError("the first try")


class TestFigures:
    def test_look_ups_add_up_over_all_processes(self, place: dict[str, Any], cache: fanwise.Cache, square: Any) -> None:
        fn, _ = square
        first = fanwise.run(fn, range(50), cache=cache, **place).report
        stats = cache.stats()
        assert (stats.hits, stats.misses, stats.computes, stats.stores) == (0, 50, 50, 50)
        assert (first.cached, first.ok) == (0, 50)
        second = fanwise.run(fn, range(60), cache=cache, **place).report
        stats = cache.stats()
        assert (stats.hits, stats.misses, stats.computes, stats.stores) == (50, 60, 60, 60)
        assert (second.cached, second.ok) == (50, 60)
        levels = {use.level: use for use in second.cache}
        assert sum(use.hits for use in second.cache) == 50
        assert levels["memory"].lookups == 60
        assert levels["disk"].stored == 10
        assert '"level": "disk"' in second.to_json()

    def test_what_another_run_of_the_same_cache_did_is_not_counted_twice(self, cache: fanwise.Cache) -> None:
        for _ in range(3):
            fanwise.map(abs, range(-20, 0), cache=cache, backend="process", workers=2, progress="none")
        assert (cache.stats().hits, cache.stats().misses) == (40, 20)

    @pytest.mark.slow
    def test_workers_of_an_executor_count_each_run_for_itself(self, cache: fanwise.Cache, square: Any) -> None:
        fn, folder = square
        with fanwise.Executor(2, backend="process") as executor:
            for _ in range(3):
                fanwise.map(fn, range(20), cache=cache, executor=executor, progress="none")
        assert (cache.stats().hits, cache.stats().misses) == (40, 20)
        assert marks(folder) == list(range(20))

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["forkserver", "spawn"])
    def test_each_start_method_opens_the_same_directory(self, method: str, cache: fanwise.Cache, square: Any) -> None:
        fn, folder = square
        with fanwise.Executor(2, method, backend="process") as executor:
            fanwise.map(fn, range(20), cache=cache, executor=executor, progress="none")
        assert fanwise.map(fn, range(20), cache=cache, workers=1, progress="none") == [x * x for x in range(20)]
        assert marks(folder) == list(range(20))
        assert cache.stats().stores == 20


class TestWithoutKeys:
    def test_items_without_a_key_are_computed_and_that_is_said_once(
        self, place: dict[str, Any], cache: fanwise.Cache
    ) -> None:
        items = [Plain(n) for n in range(20)]
        with pytest.warns(FanwiseWarning, match="has no stable key"):
            assert fanwise.map(value_of, items, cache=cache, **place) == list(range(20))
        assert cache.stats().stores == 0
        assert cache.stats().uncacheable == 20

    def test_a_function_without_a_key_runs_without_the_cache(self, cache: fanwise.Cache) -> None:
        file = open(os.devnull)  # noqa: SIM115
        try:
            with pytest.warns(FanwiseWarning, match="results of this run are not kept") as said:
                assert fanwise.map(lambda x: (x, file.closed), [1], cache=cache, progress="none") == [(1, False)]
            assert [each.filename for each in said] == [__file__]
        finally:
            file.close()

    def test_a_strictly_memoised_function_refuses_as_it_does_in_a_loop(self, cache: fanwise.Cache) -> None:
        with pytest.raises(UsageError, match="has no stable key"):
            fanwise.map(cache.memoize(value_of), [Plain(1)], progress="none")

    def test_results_that_cannot_be_stored_are_returned(self, place: dict[str, Any], cache: fanwise.Cache) -> None:
        with pytest.warns(FanwiseWarning, match="cannot be stored"):
            found = fanwise.map(Plain, range(10), cache=cache, **place)
        assert [plain.value for plain in found] == list(range(10))


FORKED = """
import fanwise, os, sys
def square(x, home=os.getpid()):
    assert os.getpid() != home
    return x * x
with fanwise.Cache(sys.argv[1]) as cache:
    cache.put("first", 1)
    with fanwise.Executor(2, "fork", backend="process") as executor:
        for _ in range(2):
            found = fanwise.map(square, range(4), cache=cache, executor=executor, progress="none")
            print(found, cache.stats().computes)
"""


class Plain:
    def __init__(self, value: int) -> None:
        self.value = value


def value_of(plain: Plain) -> int:
    return plain.value


class TestOptions:
    def test_something_else_than_a_cache_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"cache must be a fanwise\.Cache or None, got PosixPath"):
            fanwise.map(abs, [1], cache=tmp_path)

    def test_a_closed_cache_is_refused(self, tmp_path: Path) -> None:
        cache = fanwise.Cache(tmp_path / "c")
        cache.close()
        with pytest.raises(UsageError, match="closed"):
            fanwise.map(abs, [1], cache=cache)

    def test_with_a_journal_both_are_filled_and_both_answer(
        self, place: dict[str, Any], cache: fanwise.Cache, square: Any, tmp_path: Path
    ) -> None:
        fn, folder = square
        fanwise.map(fn, range(10), cache=cache, **place)
        run = fanwise.run(fn, range(20), cache=cache, resume=tmp_path / "journal", **place)
        assert (run.report.cached, run.report.resumed) == (10, 0)
        cache.clear()
        run = fanwise.run(fn, range(30), cache=cache, resume=tmp_path / "journal", **place)
        assert run.values() == [x * x for x in range(30)]
        assert (run.report.cached, run.report.resumed) == (0, 20)
        assert marks(folder) == list(range(30))

    @pytest.mark.slow
    def test_workers_that_answer_one_item_a_message_are_counted_too(self, cache: fanwise.Cache, square: Any) -> None:
        for _ in range(2):
            fanwise.map(square[0], range(9), cache=cache, backend="process", workers=2, chunk_size=1, progress="none")
        assert (cache.stats().hits, cache.stats().computes) == (9, 9)

    @pytest.mark.slow
    def test_forked_workers_use_no_handle_of_their_parent(self, tmp_path: Path) -> None:
        done = python(FORKED, str(tmp_path / "cache"))
        assert (done.stdout.splitlines(), done.stderr) == (["[0, 1, 4, 9] 4"] * 2, "")

    def test_a_cheap_function_is_not_looked_up_for_ever(self, cache: fanwise.Cache) -> None:
        assert fanwise.map(abs, range(-20_000, 0), cache=cache, workers=1, progress="none") == list(
            range(20_000, 0, -1)
        )
        assert cache.stats().bypassed > 15_000


def test_nothing_is_said_when_all_goes_well(place: dict[str, Any], cache: fanwise.Cache, square: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fanwise.map(square[0], range(5), cache=cache, **place)
