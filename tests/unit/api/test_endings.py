"""How a call ends is said by the exception: whose it is, which item, and what is finished."""

from __future__ import annotations

from typing import Any

import pytest

from fanwise._api import _endings
from fanwise._api._endings import DONE, Ending
from fanwise.errors import BackendError, RunInterrupted, RunTimeoutError, WorkerLostError
from fanwise.records.outcomes import Failed, Lost


def test_a_failing_item_keeps_its_own_exception() -> None:
    error = ValueError("bad")
    ending = _endings.blame(Failed(index=17, error=error), "'row 17'", 40)
    assert ending == Ending("error", error)
    assert error.__notes__ == ["item 17 of 40: 'row 17'"]


def test_the_remote_traceback_is_a_second_note() -> None:
    error = ValueError("bad")
    failed = Failed(index=0, error=error, worker=4711, traceback="Traceback (most recent call last):\n  …\n")
    _endings.blame(failed, "1", None)
    assert error.__notes__ == ["item 0: 1", "in worker 4711:\nTraceback (most recent call last):\n  …"]


def test_notes_of_the_user_stay() -> None:
    error = ValueError("bad")
    error.add_note("mine")
    _endings.blame(Failed(index=0, error=error), "1", 1)
    assert error.__notes__ == ["mine", "item 0 of 1: 1"]


class Sealed(Exception):
    """Refuses every attribute, as some classes of others do."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("sealed")


def test_an_exception_that_refuses_attributes_still_carries_note_and_run() -> None:
    error = Sealed()
    _endings.blame(Failed(index=0, error=error), "1", 1)
    _endings.carry(error, "__fanwise_run__", ["a run"])
    assert error.__notes__ == ["item 0 of 1: 1"]
    assert error.__fanwise_run__ == ["a run"]  # type: ignore[attr-defined]


def test_a_lost_item_is_blamed_like_a_failed_one() -> None:
    lost = Lost(index=3, error=WorkerLostError("gone"), reason="SIGKILL")
    assert _endings.blame(lost, "3", 9).error is lost.error
    assert lost.error.__notes__ == ["item 3 of 9: 3"]


class Unspeakable:
    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (17, "17"),
        ("x" * 500, "'" + "x" * 198 + "…"),
        (Unspeakable(), "<Unspeakable, whose repr raises ZeroDivisionError>"),
    ],
)
def test_items_are_named_in_at_most_200_characters(item: Any, text: str) -> None:
    assert _endings.shortened(item) == text
    assert len(_endings.shortened(item)) <= 200


def test_an_interrupt_names_its_signal() -> None:
    ending = _endings.interrupted(15)
    assert isinstance(ending.error, RunInterrupted)
    assert ending.error.signal == 15
    assert isinstance(ending.error, KeyboardInterrupt)


def test_a_deadline_says_how_long_it_was() -> None:
    ending = _endings.deadline_passed(2.5)
    assert isinstance(ending.error, RunTimeoutError)
    assert "deadline=2.5 s" in str(ending.error)


def test_a_backend_that_cannot_start_has_a_cause() -> None:
    cause = OSError("no memory")
    ending = _endings.broken(cause)
    assert isinstance(ending.error, BackendError)
    assert ending.error.__cause__ is cause
    assert "no memory" in str(ending.error)
    known = BackendError("the initializer failed")
    assert _endings.broken(known).error is known
    assert "no reason given" in str(_endings.broken(None).error)


@pytest.mark.parametrize(
    ("how", "reported"),
    [
        ("done", "done"),
        ("error", "error"),
        ("source", "error"),
        ("broken", "error"),
        ("interrupted", "interrupted"),
        ("deadline", "deadline"),
        ("closed", "deadline"),
    ],
)
def test_the_report_knows_four_words(how: str, reported: str) -> None:
    assert Ending(how).reported == reported


def test_a_good_end_has_no_error() -> None:
    assert DONE.error is None
