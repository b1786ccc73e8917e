"""Faults by item and attempt."""

from __future__ import annotations

import copyreg
import pickle
import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise import _task
from fanwise.testing import BadException, Exit, Hang, Kill, Raise, Return, Scripted, Unpicklable


def call(script: Scripted, item: Any, index: int, attempt: int, **options: Any) -> Any:
    """Call a script as attempt ``attempt`` of item ``index``."""
    before = _task.enter(_task.Place(index, (), attempt, None, lambda: False))
    try:
        return script(item, **options)
    finally:
        _task.leave(before)


@given(st.dictionaries(st.integers(0, 5), st.lists(st.integers(), max_size=3), max_size=4))
def test_each_attempt_meets_its_own_fault(script: dict[int, list[int]]) -> None:
    scripted = Scripted(abs, {index: [Return(value) for value in values] for index, values in script.items()})
    for index in range(6):
        values = script.get(index, [])
        for attempt in range(1, 5):
            expected = values[attempt - 1] if attempt <= len(values) else 7
            assert call(scripted, -7, index, attempt) == expected


def test_outside_an_item_nothing_happens() -> None:
    assert Scripted(abs, {0: [Raise(ValueError())]})(-3) == 3


def test_options_reach_the_function() -> None:
    assert call(Scripted(lambda x, rng: (x, rng)), 1, 0, 1, rng="generator") == (1, "generator")


def test_a_script_travels() -> None:
    faults = [Raise(ValueError("x")), Kill(), Exit(), Hang(0.0), Return(1), Unpicklable(), BadException()]
    script = pickle.loads(pickle.dumps(Scripted(abs, {3: faults})))
    assert [type(fault) for fault in script.faults[3]] == [type(fault) for fault in faults]
    with pytest.raises(ValueError, match="x"):
        call(script, 1, 3, 1)
    assert call(script, 1, 3, 4) is None
    with pytest.raises(TypeError):
        pickle.dumps(call(script, 1, 3, 6))


def test_a_bad_exception_cannot_be_rebuilt_by_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match="first") as caught:
        BadException().happen()
    monkeypatch.delitem(copyreg.dispatch_table, type(caught.value), raising=False)  # tblib may have taught it
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(caught.value))


def test_a_kill_is_a_signal_to_oneself(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr("os.kill", lambda pid, number: sent.append(number))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(RuntimeError, match="did not end the process"):
        Kill().happen()
    assert sent == [signal.SIGKILL]


def test_an_exit_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    Exit(4).happen()
    assert codes == [4]
