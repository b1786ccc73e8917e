"""Whatever an item raises arrives as itself: type, arguments, attributes, notes and cause, wherever the item ran."""

from __future__ import annotations

import asyncio
import errno
import json
import re
import signal
import subprocess
import sys
import threading
import traceback
import urllib.error
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanwise
from fanwise.errors import NotPicklableError, UsageError
from fanwise.report import RunReport

pytestmark = [
    pytest.mark.process,
    # the test runner's own thread; it holds no lock of ours
    pytest.mark.filterwarnings("ignore:workers are forked as requested:fanwise.FanwiseWarning"),
]

Place = dict[str, Any]
BAD = 5


class PlainError(Exception):
    pass


class TwoArgumentsError(Exception):
    def __init__(self, what: str, where: int) -> None:
        super().__init__(f"{what} at {where}")
        self.what, self.where = what, where


class KeywordError(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__()
        self.code = code


class NoArgumentsError(Exception):
    def __init__(self) -> None:
        super().__init__("always the same")


class SlottedError(Exception):
    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class FrozenError(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError("frozen")


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class ShapelessError(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no shape")

    __str__ = __repr__


class IncomparableError(Exception):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    def __bool__(self) -> bool:
        raise RuntimeError("asked for its truth")


class OutsiderError(BaseException):
    """Not an Exception, and not one that Python knows."""


class FalseCodeError(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(errno.ENOENT, "gone", path)


def local_error() -> BaseException:
    class LocalError(Exception):
        pass

    return LocalError("local", 1)


def decoding_error() -> BaseException:
    try:
        b"\xff".decode()
    except UnicodeDecodeError as error:
        return error
    raise AssertionError


def raised_by(call: Callable[..., Any], *args: Any) -> BaseException:
    try:
        call(*args)
    except Exception as error:
        return error
    raise AssertionError


ERRORS: dict[str, Callable[[], BaseException]] = {
    "plain": lambda: PlainError("text", 3),
    "without arguments": lambda: PlainError(),
    "two arguments": lambda: TwoArgumentsError("broken", 7),
    "keyword only": lambda: KeywordError(code=9),
    "takes none": NoArgumentsError,
    "slots": lambda: SlottedError(4),
    "refuses attributes": lambda: FrozenError("frozen"),
    "local class": local_error,
    "made by type": lambda: type("MadeError", (PlainError,), {"extra": 5})("made"),
    "KeyError": lambda: KeyError("missing key"),
    "StopAsyncIteration": lambda: StopAsyncIteration(3),
    "SystemExit": lambda: SystemExit(3),
    "outside Exception": lambda: OutsiderError("outside"),
    "AssertionError": lambda: AssertionError(),
    "errno": lambda: OSError(errno.EACCES, "no entry", "/a", None, "/b"),
    "errno becomes a class": lambda: raised_by(open, "/nonexistent/file"),
    "heir of OSError": lambda: FalseCodeError("/x"),
    "timeout": lambda: TimeoutError("slow"),
    "decoding": decoding_error,
    "encoding": lambda: raised_by("\ud800".encode),
    "syntax": lambda: raised_by(compile, "1 +", "file.py", "exec"),
    "import": lambda: ImportError("no module", name="somewhere", path="/p"),
    "attribute": lambda: raised_by(getattr, 3, "nothing"),
    "json": lambda: raised_by(json.loads, "{"),
    "regular expression": lambda: raised_by(re.compile, "("),
    "zip": lambda: zipfile.BadZipFile("no zip"),
    "child process": lambda: subprocess.CalledProcessError(3, ["ls"], b"out", b"err"),
    "child process timeout": lambda: subprocess.TimeoutExpired(["ls"], 3.5),
    "cancelled": lambda: asyncio.CancelledError("stop"),
    "incomplete read": lambda: asyncio.IncompleteReadError(b"ab", 5),
    "linear algebra": lambda: np.linalg.LinAlgError("singular"),
    "axis": lambda: np.exceptions.AxisError(3, 2),
    "url": lambda: urllib.error.URLError("unreachable"),
    "warning": lambda: DeprecationWarning("old"),
    "ours": lambda: UsageError("workers must be 3"),
    "group": lambda: ExceptionGroup("two", [ValueError(1), TwoArgumentsError("a", 2)]),
    "group in a group": lambda: BaseExceptionGroup("all", [ExceptionGroup("in", [KeyError(1)]), SystemExit(2)]),
}


class EmptyError(Exception):
    """A container of nothing, and so false."""

    def __len__(self) -> int:
        return 0


UNSPEAKABLE: dict[str, Callable[[], BaseException]] = {
    "no str": lambda: SpeechlessError(1),
    "no repr": lambda: ShapelessError(2),
    "no comparison": lambda: IncomparableError(3),
    "false": lambda: EmptyError(4),
}


def raising(make: Callable[[], BaseException]) -> Callable[[int], int]:
    def fn(item: int) -> int:
        if item == BAD:
            raise make()
        return item

    return fn


def told(error: BaseException) -> dict[str, Any]:
    """What a user can see of an exception, its own attributes included."""
    own = {name: value for name, value in vars(error).items() if not name.startswith("__")}
    more = {name: getattr(error, name) for name in ("errno", "filename", "code", "path", "start", "pos", "cmd")
            if hasattr(error, name)}  # fmt: skip
    inner = [told(each) for each in error.exceptions] if isinstance(error, BaseExceptionGroup) else error.args
    return {"type": type(error).__name__, "args": str(inner), "own": str(own), "more": str(more)}


@pytest.mark.parametrize("name", ERRORS)
class TestEveryException:
    def test_map_raises_it_with_a_note_and_the_finished_run(self, name: str, place: Place) -> None:
        with pytest.raises(BaseException) as caught:
            fanwise.map(raising(ERRORS[name]), range(12), **place)
        assert told(caught.value) == told(ERRORS[name]())
        assert caught.value.__notes__[0] == f"item {BAD} of 12: {BAD}"
        finished = [outcome.index for outcome in caught.value.__fanwise_run__.outcomes if outcome.ok]
        assert finished[:BAD] == list(range(BAD))

    def test_run_returns_it_and_all_others(self, name: str, place: Place) -> None:
        run = fanwise.run(raising(ERRORS[name]), range(12), **place)
        bad = run.outcomes[BAD]
        assert isinstance(bad, fanwise.Failed)
        assert told(bad.error) == told(ERRORS[name]())
        assert "in fn" in bad.traceback
        assert [outcome.index for outcome in run.outcomes if outcome.ok] == [i for i in range(12) if i != BAD]
        assert (run.report.failed, [error.item for error in run.report.first_errors]) == (1, [BAD])


@pytest.mark.parametrize("name", UNSPEAKABLE)
class TestExceptionsThatCannotBeDescribed:
    def test_they_cost_their_own_item(self, name: str, place: Place) -> None:
        run = fanwise.run(raising(UNSPEAKABLE[name]), range(12), **place)
        assert type(run.outcomes[BAD].error) is type(UNSPEAKABLE[name]())
        assert sum(outcome.ok for outcome in run.outcomes) == 11

    def test_they_are_raised_as_themselves(self, name: str, place: Place) -> None:
        kind = type(UNSPEAKABLE[name]())
        with pytest.raises(kind) as caught:
            fanwise.map(raising(UNSPEAKABLE[name]), range(12), **place)
        assert len(caught.value.__fanwise_run__.outcomes) >= BAD

    def test_the_report_bears_them(self, name: str, place: Place) -> None:
        report = fanwise.run(raising(UNSPEAKABLE[name]), range(12), **place).report
        assert RunReport.from_json(report.to_json()).failed == 1
        assert "<html" in report.to_html()


def chained(item: int) -> None:
    try:
        {}["key"]
    except KeyError as error:
        error.add_note("looked for it")
        raise PlainError("no such key") from error


def in_context(item: int) -> None:
    try:
        {}["key"]
    except KeyError:
        raise PlainError("meanwhile")


def noted(item: int) -> None:
    error = PlainError("noted")
    error.add_note("first")
    error.add_note("second")
    raise error


class TestWhatComesAlong:
    def test_its_cause(self, place: Place) -> None:
        error = fanwise.run(chained, [1, 2], **place).outcomes[0].error
        assert type(error.__cause__) is KeyError
        assert error.__cause__.args == ("key",)
        assert error.__cause__.__notes__[0] == "looked for it"

    def test_its_context(self, place: Place) -> None:
        error = fanwise.run(in_context, [1, 2], **place).outcomes[0].error
        assert type(error.__context__) is KeyError
        assert not error.__suppress_context__

    def test_its_notes_before_ours(self, place: Place) -> None:
        with pytest.raises(PlainError) as caught:
            fanwise.map(noted, [1, 2], **place)
        assert caught.value.__notes__[:3] == ["first", "second", "item 0 of 2: 1"]

    def test_a_traceback_that_leads_to_the_users_line(self, place: Place, in_workers: bool) -> None:
        with pytest.raises(PlainError) as caught:
            fanwise.map(chained, [1, 2], **place)
        text = "".join(traceback.format_exception(caught.value))
        assert 'raise PlainError("no such key") from error' in text
        assert any(note.startswith("in worker") for note in caught.value.__notes__[1:]) or not in_workers

    def test_a_caught_exception_can_be_raised_again_by_another_map(self, place: Place) -> None:
        with pytest.raises(PlainError) as first:
            fanwise.map(raising(ERRORS["plain"]), range(12), **place)

        def again(item: int) -> None:
            raise first.value

        with pytest.raises(PlainError) as second:
            fanwise.map(again, [1, 2], **place)
        assert second.value.args == ("text", 3)

    def test_an_exception_as_a_value_is_a_value(self, place: Place) -> None:
        values = fanwise.map(lambda item: ValueError(item), range(3), **place)
        assert [(type(value), value.args) for value in values] == [(ValueError, (item,)) for item in range(3)]


class TestExceptionsThatEndLoops:
    def test_a_stop_iteration_is_an_error_and_no_end(self, place: Place) -> None:
        with pytest.raises(StopIteration) as caught:
            fanwise.map(raising(StopIteration), range(12), **place)
        assert caught.value.__notes__[0] == f"item {BAD} of 12: {BAD}"

    def test_a_stop_iteration_in_a_stream_is_what_it_is_in_a_generator(self, place: Place) -> None:
        stream = fanwise.stream(raising(StopIteration), range(12), **place)
        assert [next(stream) for _ in range(BAD)] == list(range(BAD))
        with pytest.raises(RuntimeError, match="StopIteration"):
            next(stream)

    def test_in_a_worker_a_keyboard_interrupt_of_an_item_is_its_own(self) -> None:
        run = fanwise.run(raising(KeyboardInterrupt), range(12), backend="thread", workers=2)
        assert [outcome.index for outcome in run.outcomes if not outcome.ok] == [BAD]

    @pytest.mark.parametrize("options", [{"workers": 1}, {}, {"backend": "serial"}])
    def test_here_a_keyboard_interrupt_interrupts(self, options: Place) -> None:
        with pytest.raises(fanwise.RunInterrupted) as caught:
            fanwise.map(raising(KeyboardInterrupt), range(12), **options)
        assert caught.value.signal == signal.SIGINT
        assert [outcome.unwrap() for outcome in caught.value.run.outcomes] == list(range(BAD))
        assert caught.value.run.missing == tuple(range(BAD, 12))

    def test_here_a_generator_exit_passes_through(self) -> None:
        with pytest.raises(GeneratorExit):
            fanwise.map(raising(GeneratorExit), range(12), workers=1)


class TestSeveralFailures:
    @pytest.mark.parametrize("chunk_size", [None, 1, 4])
    def test_the_lowest_is_raised_whichever_comes_first(self, place: Place, chunk_size: int | None) -> None:
        gate = threading.Event()

        def fn(item: int) -> int:
            if item == 3:
                gate.wait(0.02)
                raise PlainError("low")
            if item > 3:
                raise ValueError("high")
            return item

        with pytest.raises(PlainError, match="low"):
            fanwise.map(fn, range(12), chunk_size=chunk_size, **place)

    def test_each_has_its_own_exception(self, place: Place) -> None:
        run = fanwise.run(lambda item: 1 // (item % 2), range(8), **place)
        errors = [outcome.error for outcome in run.outcomes if not outcome.ok]
        assert len({id(error) for error in errors}) == len(errors) == 4

    def test_an_unordered_stream_raises_after_what_is_finished(self, place: Place) -> None:
        got = []
        with pytest.raises(PlainError):
            for value in fanwise.stream(raising(PlainError), range(12), ordered=False, **place):
                got.append(value)
        assert len(got) == len(set(got))
        assert set(got) >= set(range(BAD)) or place != {"workers": 1}

    def test_unwrap_raises_the_same_object_each_time(self, place: Place) -> None:
        bad = fanwise.run(raising(PlainError), range(12), **place).outcomes[BAD]
        for _ in range(2):
            with pytest.raises(PlainError) as caught:
                bad.unwrap()
            assert caught.value is bad.error


class Sneaky:
    """Its pickle cannot be read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return divmod, (1, 0)


class Leaving:
    """Whoever reads its pickle leaves."""

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.exit, (3,)


class TestResultsThatCannotBeSent:
    @pytest.mark.parametrize(
        ("make", "says"),
        [
            (threading.Lock, "the result is a _thread.lock"),
            (lambda: {"a": [threading.Lock()]}, r"the result\['a'\]\[0\] is a _thread.lock"),
            (lambda: (number for number in range(3)), "the result is a generator .* pass a list of its values"),
            (Sneaky, "the result of item 5 cannot be loaded: ZeroDivisionError"),
        ],
        ids=["lock", "lock inside", "generator", "unreadable"],
    )
    def test_each_is_one_failure_that_names_the_culprit(self, make: Callable[[], Any], says: str) -> None:
        with fanwise.Executor(2, mp_context="fork", backend="process") as executor:
            run = fanwise.run(lambda item: make() if item == BAD else item, range(12), executor=executor)
        bad = run.outcomes[BAD].error
        assert type(bad) is NotPicklableError
        assert re.search(says, str(bad)), str(bad)
        assert sum(outcome.ok for outcome in run.outcomes) == 11

    @pytest.mark.parametrize("chunk_size", [1, 3])
    def test_a_result_that_leaves_when_it_is_read_does_not_end_the_caller(self, chunk_size: int) -> None:
        with fanwise.Executor(1, mp_context="fork", backend="process") as executor:
            run = fanwise.run(lambda _: Leaving(), range(3), executor=executor, chunk_size=chunk_size)
        assert [type(outcome.error) for outcome in run.outcomes] == [NotPicklableError] * 3
        assert isinstance(run.outcomes[0].error.__cause__, SystemExit)

    @pytest.mark.parametrize("chunk_size", [1, 3])
    def test_results_that_cannot_be_read_cost_no_worker(self, chunk_size: int) -> None:
        with fanwise.Executor(1, mp_context="fork", backend="process") as executor:
            run = fanwise.run(lambda _: Sneaky(), range(5), executor=executor, chunk_size=chunk_size)
            future = executor.submit(Sneaky)
            assert isinstance(future.exception(), NotPicklableError)
            assert executor.submit(abs, -1).result() == 1
        assert [type(outcome.error) for outcome in run.outcomes] == [NotPicklableError] * 5
        assert isinstance(run.outcomes[0].error.__cause__, ZeroDivisionError)
        assert len({outcome.worker for outcome in run.outcomes}) == 1

    def test_they_are_not_tried_again(self) -> None:
        with fanwise.Executor(1, mp_context="fork", backend="process") as executor:
            run = fanwise.run(lambda _: threading.Lock(), [1, 2], retries=3, executor=executor)
        assert [outcome.attempts for outcome in run.outcomes] == [1, 1]
