"""What a run tells and leaves behind, and how runs get on with each other, is the same wherever items run."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

import fanwise
from fanwise.records import run_events as told
from fanwise.testing import Kill, Raise, RecordingProgress, Scripted, leaks
from fanwise.typing import Retry

pytestmark = [
    pytest.mark.process,
    # the test runner's own thread; it holds no lock of ours
    pytest.mark.filterwarnings("ignore:workers are forked as requested:fanwise.FanwiseWarning"),
]

Place = dict[str, Any]


def refuse_seven(item: int) -> int:
    if item == 7:
        raise LookupError("seven")
    return item


def end_well(progress: RecordingProgress, place: Place) -> None:
    fanwise.map(abs, range(12), progress=progress, **place)


def end_badly(progress: RecordingProgress, place: Place) -> None:
    with pytest.raises(LookupError):
        fanwise.map(refuse_seven, range(12), progress=progress, **place)


def end_with_outcomes(progress: RecordingProgress, place: Place) -> None:
    fanwise.run(refuse_seven, range(12), progress=progress, **place)


def end_early(progress: RecordingProgress, place: Place) -> None:
    stream = fanwise.stream(abs, itertools.count(), progress=progress, **place)
    next(stream)
    stream.close()


def end_with_the_input(progress: RecordingProgress, place: Place) -> None:
    with pytest.raises(ZeroDivisionError):
        fanwise.map(abs, (1 // (3 - item) for item in range(12)), progress=progress, **place)


def end_at_once(progress: RecordingProgress, place: Place) -> None:
    fanwise.map(abs, [], progress=progress, **place)


ENDINGS = [end_well, end_badly, end_with_outcomes, end_early, end_with_the_input, end_at_once]


@pytest.mark.parametrize("end", ENDINGS)
class TestWhatIsTold:
    def test_each_run_is_begun_and_finished_once(self, end: Callable[..., None], place: Place) -> None:
        progress = RecordingProgress()
        end(progress, place)
        assert (len(progress.starts), len(progress.reports)) == (1, 1)
        kinds = [type(event) for event in progress.events]
        assert (kinds[0], kinds.count(told.RunStarted)) == (told.RunStarted, 1)
        assert (kinds[-1], kinds.count(told.RunEnded)) == (told.RunEnded, 1)

    def test_events_come_in_the_order_of_time(self, end: Callable[..., None], place: Place) -> None:
        progress = RecordingProgress()
        end(progress, place)
        times = [event.at for event in progress.events]
        assert times[0] == 0.0
        assert times == sorted(times)

    def test_the_report_is_the_sum_of_what_was_told(self, end: Callable[..., None], place: Place) -> None:
        progress = RecordingProgress()
        end(progress, place)
        done = [event for event in progress.events if isinstance(event, told.ChunkDone)]
        (report,) = progress.reports
        assert report.ok == sum(event.ok for event in done)
        assert report.failed == sum(isinstance(event, told.ItemFailed) for event in progress.events)
        assert report.decision in {"serial", "thread", "process", "fallback"}
        assert report.reason

    def test_nothing_is_left(self, end: Callable[..., None], place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FANWISE_START_METHOD", "fork")
        cold = {"backend": "process", "workers": 2} if "executor" in place else place
        with leaks():
            end(RecordingProgress(), cold)


class TestRunsInsideRuns:
    def test_a_map_in_a_map(self, place: Place) -> None:
        assert fanwise.map(lambda size: fanwise.map(abs, range(-size, 0)), range(5), **place) == [
            list(range(size, 0, -1)) for size in range(5)
        ]

    def test_three_deep_and_over_generators_that_bring_nothing(self, place: Place) -> None:
        def deep(level: int) -> int:
            below = fanwise.map(deep, (level - 1 for _ in range(level)), backend="thread", workers=2)
            return 1 + sum(below)

        assert fanwise.map(deep, range(4), **place) == [1, 2, 5, 16]

    def test_an_exception_from_below_names_both_items(self, place: Place) -> None:
        with pytest.raises(LookupError) as caught:
            fanwise.map(lambda _: fanwise.map(refuse_seven, range(9)), "ab", **place)
        notes = [note for note in caught.value.__notes__ if note.startswith("item")]
        assert notes == ["item 7 of 9: 7", "item 0 of 2: 'a'"]

    def test_each_item_knows_its_own_place(self, place: Place) -> None:
        def index(_: object) -> int:
            task = fanwise.current_task()
            assert task is not None
            return task.index

        found = fanwise.map(lambda _: (index(0), fanwise.map(index, "abc"), index(0)), range(4), **place)
        assert found == [(position, [0, 1, 2], position) for position in range(4)]
        assert fanwise.current_task() is None


class TestRunsBesideRuns:
    def test_threads_of_the_caller_do_not_meet(self, place: Place) -> None:
        answers: dict[int, bool] = {}

        def work(size: int) -> None:
            values = fanwise.map(abs, range(-size, 0), **place)
            answers[size] = values == list(range(size, 0, -1))

        users = [threading.Thread(target=work, args=(size,)) for size in (1, 30, 200, 900)]
        for user in users:
            user.start()
        for user in users:
            user.join()
        assert answers == dict.fromkeys((1, 30, 200, 900), True)

    def test_two_streams_in_turn(self, place: Place) -> None:
        one = fanwise.stream(abs, itertools.count(), **place)
        other = fanwise.stream(abs, itertools.count(100), **place)
        assert [(next(one), next(other)) for _ in range(30)] == [(step, 100 + step) for step in range(30)]
        one.close()
        other.close()

    def test_a_child_that_the_caller_forks_can_map_for_itself(self, place: Place) -> None:
        if "executor" in place:
            place = {"backend": "process", "workers": 2}
        fanwise.map(abs, [-1, -2], **place)
        if (pid := os.fork()) == 0:
            os._exit(0 if fanwise.map(abs, range(-9, 0), **place) == list(range(9, 0, -1)) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert fanwise.map(abs, [-3], **place) == [3]


class TestRetries:
    def test_a_run_that_succeeds_late_is_a_good_run(self, place: Place) -> None:
        script = Scripted(abs, {index: [Raise(OSError("busy"))] * 2 for index in range(0, 9, 3)})
        run = fanwise.run(script, range(9), retries=Retry(2, delay=0.0), **place)
        assert run.values() == list(range(9))
        assert (run.report.ok, run.report.failed, run.report.retried) == (9, 0, 3)

    @pytest.mark.parametrize("on", [LookupError, (LookupError,), (OSError, LookupError), Exception])
    def test_what_may_be_tried_again_can_be_one_class_or_several(self, on: Any, place: Place) -> None:
        script = Scripted(abs, {1: [Raise(LookupError("once"))]})
        assert fanwise.map(script, range(3), retries=Retry(1, on=on, delay=0.0), **place) == [0, 1, 2]

    def test_a_killed_worker_is_no_retry_of_the_user(self) -> None:
        with fanwise.Executor(2, "fork", backend="process") as executor:
            run = fanwise.run(Scripted(abs, {3: [Kill()]}), range(9), executor=executor)
        assert run.values() == list(range(9))
        assert [outcome.attempts for outcome in run.outcomes if outcome.attempts > 1] == [2]
