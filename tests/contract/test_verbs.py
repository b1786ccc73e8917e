"""`map`, `run` and `stream` mean the same thing wherever items run: values, order, exceptions, outcomes."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.contract.verb_items import OddError, draw, fail_at_first, invert, odd, place_of, square, wait_until_told

import fanwise
from fanwise.errors import RunTimeoutError, UsageError

pytestmark = pytest.mark.process

PLACES: list[dict[str, Any]] = [
    {"workers": 1},
    {"backend": "serial"},
    {"backend": "auto"},
    {"backend": "thread", "workers": 2},
    {"backend": "process", "workers": 2},
    {"backend": "process", "workers": 3, "chunk_size": 1},
    {"backend": "thread", "workers": 3, "chunk_size": 7},
]
everywhere = pytest.mark.parametrize("place", PLACES, ids=lambda place: "-".join(map(str, place.values())))


@everywhere
class TestValues:
    def test_results_come_in_item_order(self, place: dict[str, Any]) -> None:
        assert fanwise.map(square, range(100), **place) == [x * x for x in range(100)]

    @pytest.mark.parametrize("items", [[], (), range(0), iter([]), {}, ""])
    def test_nothing_gives_nothing(self, place: dict[str, Any], items: Any) -> None:
        assert fanwise.map(square, items, **place) == []

    def test_one_item(self, place: dict[str, Any]) -> None:
        assert fanwise.map(square, [7], **place) == [49]

    def test_any_iterable_is_drawn_once_and_in_order(self, place: dict[str, Any]) -> None:
        drawn = []

        def items() -> Iterator[int]:
            for item in range(50):
                drawn.append(item)
                yield item

        assert fanwise.map(square, items(), **place) == [x * x for x in range(50)]
        assert drawn == list(range(50))

    def test_a_mapping_is_its_keys_and_an_array_its_rows(self, place: dict[str, Any]) -> None:
        assert fanwise.map(square, {3: "a", 4: "b"}, **place) == [9, 16]
        assert [int(row.sum()) for row in fanwise.map(np.negative, np.ones((3, 2)), **place)] == [-2, -2, -2]

    def test_closures_lambdas_and_methods_need_no_care(self, place: dict[str, Any]) -> None:
        factor = 3
        assert fanwise.map(lambda x: x * factor, [1, 2], **place) == [3, 6]
        assert fanwise.map("a-b".split, ["-", "b"], **place) == [["a", "b"], ["a-", ""]]


@everywhere
class TestErrors:
    def test_the_lowest_failing_item_decides(self, place: dict[str, Any]) -> None:
        with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
            fanwise.map(invert, [2, 1, 0, 4, 0], **place)
        error = caught.value
        assert error.__notes__[0] == "item 2 of 5: 0"
        finished = {outcome.index for outcome in error.__fanwise_run__.outcomes if outcome.ok}
        assert {0, 1} <= finished

    def test_an_exception_keeps_type_arguments_and_attributes(self, place: dict[str, Any]) -> None:
        with pytest.raises(OddError) as caught:
            fanwise.map(odd, range(40), **place)
        assert caught.value.args == ("odd",)
        assert caught.value.where == 17

    def test_with_on_error_return_every_element_is_an_outcome(self, place: dict[str, Any]) -> None:
        outcomes = fanwise.map(invert, [2, 0, 4], on_error="return", **place)
        assert [type(outcome) for outcome in outcomes] == [fanwise.Ok, fanwise.Failed, fanwise.Ok]
        assert [outcome.index for outcome in outcomes] == [0, 1, 2]
        assert outcomes[2].unwrap() == 0.25
        with pytest.raises(ZeroDivisionError):
            outcomes[1].unwrap()
        assert "invert" in outcomes[1].traceback

    def test_system_exit_of_an_item_is_a_failure_of_that_item(self, place: dict[str, Any]) -> None:
        def leave(item: int) -> int:
            if item == 1:
                raise SystemExit(3)
            return item

        run = fanwise.run(leave, range(4), **place)
        assert [outcome.ok for outcome in run.outcomes] == [True, False, True, True]
        assert run.outcomes[1].error.code == 3

    def test_a_failing_input_raises_behind_the_items_before_it(self, place: dict[str, Any]) -> None:
        def items() -> Iterator[int]:
            yield from range(17)
            raise OSError("the input broke")

        with pytest.raises(OSError, match="the input broke") as caught:
            fanwise.map(square, items(), **place)
        assert len(caught.value.__fanwise_run__.outcomes) == 17

    def test_an_item_that_fails_before_the_input_does_is_raised_instead(self, place: dict[str, Any]) -> None:
        def items() -> Iterator[int]:
            yield from (3, 2, 0)
            raise OSError("the input broke")

        with pytest.raises(ZeroDivisionError):
            fanwise.map(invert, items(), **place)

    def test_a_failing_item_ends_an_input_without_end(self, place: dict[str, Any]) -> None:
        with pytest.raises(OddError):
            fanwise.map(odd, itertools.count(), **place)


@everywhere
class TestRuns:
    def test_a_run_knows_outcomes_and_report(self, place: dict[str, Any]) -> None:
        run = fanwise.run(invert, [1, 0, 4], **place)
        assert [outcome.ok for outcome in run.outcomes] == [True, False, True]
        assert run.complete
        assert run.missing == ()
        assert (run.report.items, run.report.ok, run.report.failed) == (3, 2, 1)
        with pytest.raises(ZeroDivisionError):
            run.values()

    def test_a_run_over_good_items_gives_their_values(self, place: dict[str, Any]) -> None:
        assert fanwise.run(square, range(10), **place).values() == [x * x for x in range(10)]

    def test_retries_are_counted(self, place: dict[str, Any]) -> None:
        retry = fanwise.typing.Retry(2, delay=0.001)
        run = fanwise.run(fail_at_first, range(6), retries=retry, **place)
        assert [outcome.attempts for outcome in run.outcomes] == [1, 2, 1, 3, 1, 3]
        assert [outcome.ok for outcome in run.outcomes] == [True, True, True, True, True, False]

    def test_retries_apply_to_what_they_name(self, place: dict[str, Any]) -> None:
        retry = fanwise.typing.Retry(2, on=(OSError,), delay=0.001)
        run = fanwise.run(fail_at_first, [1], retries=retry, **place)
        assert not run.outcomes[0].ok
        assert run.outcomes[0].attempts == 1


@everywhere
class TestStreams:
    def test_a_stream_yields_in_order(self, place: dict[str, Any]) -> None:
        assert list(fanwise.stream(square, range(200), **place)) == [x * x for x in range(200)]

    def test_an_unordered_stream_yields_everything_once(self, place: dict[str, Any]) -> None:
        assert sorted(fanwise.stream(square, range(200), ordered=False, **place)) == [x * x for x in range(200)]

    def test_an_endless_input_is_read_as_far_as_the_lookahead(self, place: dict[str, Any]) -> None:
        drawn: list[int] = []

        def items() -> Iterator[int]:
            for item in itertools.count():
                drawn.append(item)
                yield item

        stream = fanwise.stream(square, items(), lookahead=10, **place)
        for step in range(100):
            assert next(stream) == step * step
            assert len(drawn) - step <= 10
        stream.close()

    def test_results_before_a_failing_item_are_yielded(self, place: dict[str, Any]) -> None:
        stream = fanwise.stream(invert, [1, 2, 0, 4], **place)
        assert [next(stream), next(stream)] == [1.0, 0.5]
        with pytest.raises(ZeroDivisionError):
            next(stream)

    def test_a_stream_of_outcomes_goes_on_behind_a_failure(self, place: dict[str, Any]) -> None:
        outcomes = list(fanwise.stream(invert, [1, 0, 4], on_error="return", **place))
        assert [outcome.ok for outcome in outcomes] == [True, False, True]

    def test_closing_a_stream_leaves_nothing_running(self, place: dict[str, Any]) -> None:
        before = threading.active_count()
        stream = fanwise.stream(square, itertools.count(), **place)
        next(stream)
        stream.close()
        assert threading.active_count() == before


@everywhere
def test_seeds_give_the_same_numbers_everywhere(place: dict[str, Any]) -> None:
    sequences = [np.random.SeedSequence(7, spawn_key=(index,)) for index in range(30)]
    expected = [np.random.Generator(np.random.PCG64(s)).random() + i for i, s in enumerate(sequences)]
    assert fanwise.map(draw, range(30), seed=7, **place) == expected


@everywhere
def test_an_item_can_ask_which_one_it_is(place: dict[str, Any]) -> None:
    found = fanwise.map(place_of, "abcdefgh", **place)
    assert [(index, attempt) for index, attempt, _ in found] == [(index, 1) for index in range(8)]
    elsewhere = {pid for *_, pid in found} - {os.getpid()}
    assert bool(elsewhere) == (place.get("backend") == "process")


@pytest.mark.parametrize(
    "place", [{"workers": 1}, {"backend": "thread", "workers": 2}, {"backend": "process", "workers": 2}]
)
def test_a_deadline_keeps_what_is_finished(place: dict[str, Any], tmp_path: Path) -> None:
    mark = tmp_path / "item 0 was finished"
    began = time.time()
    with pytest.raises(RunTimeoutError, match=r"longer than deadline=1.5 s") as caught:
        fanwise.map(partial(wait_until_told, mark), itertools.count(), deadline=1.5, **place)
    assert isinstance(caught.value, TimeoutError)
    in_time = mark.exists() and mark.stat().st_mtime < began + 1  # workers of a starved machine may start too late
    assert len(caught.value.run.outcomes) >= in_time


def test_timeouts_and_crashes_need_processes() -> None:
    with pytest.raises(UsageError, match="timeout needs"):
        fanwise.map(square, [1], timeout=1, backend="thread")


def test_what_runs_only_in_workers_never_runs_here() -> None:
    pids = fanwise.map(lambda _: os.getpid(), range(4), timeout=30)
    assert os.getpid() not in pids
    assert fanwise.map(lambda _: os.getpid(), [1], backend="process", workers=1) != [os.getpid()]
