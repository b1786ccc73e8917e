"""Laws of a crew of worker processes under any script of faults: one outcome an item, and the loop's values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crew_driver import RealClock, Rescuer, chunks_of, work

from fanwise.backends.process import ProcessBackend
from fanwise.records.outcomes import Failed, Ok
from fanwise.testing import BadException, Exit, Kill, Raise, Return, Scripted, Unpicklable

pytestmark = [
    pytest.mark.process,
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:workers are forked as requested"),
]

DEADLY = (Kill, Exit)
FAULTS = st.sampled_from([Raise(ValueError("x")), Kill(), Exit(3), Return("other"), Unpicklable(), BadException()])


def double(x: Any) -> Any:
    return x * 2


@settings(max_examples=25)
@given(
    items=st.lists(st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3), max_size=25),
    script=st.dictionaries(st.integers(0, 24), st.lists(FAULTS, min_size=1, max_size=3), max_size=4),
    size=st.integers(1, 10),
    workers=st.integers(1, 3),
    inheritable=st.booleans(),
    warm=st.booleans(),
)
def test_every_item_is_settled_once_and_rightly(
    items: list[Any], script: dict[int, list[Any]], size: int, workers: int, inheritable: bool, warm: bool
) -> None:
    backend = ProcessBackend(method="fork", keep_warm=warm)
    crew = backend.hire(work(Scripted(double, script), items, inheritable=inheritable), workers, RealClock())
    driver = Rescuer(crew, workers)
    try:
        outcomes = driver.run(chunks_of(len(items), size))
    finally:
        crew.close(kill=False)
        backend.close()
    assert outcomes.keys() | driver.lost.keys() == set(range(len(items)))
    assert not outcomes.keys() & driver.lost.keys()
    for index, item in enumerate(items):
        check(item, script.get(index, []), outcomes.get(index), index in driver.lost)


def check(item: Any, faults: list[Any], outcome: Any, lost: bool) -> None:
    """Deaths cost an attempt each, two of them the item; the first fault that is not deadly decides."""
    deaths = 0
    while deaths < len(faults) and isinstance(faults[deaths], DEADLY):
        deaths += 1
    if deaths >= 2:
        assert lost
        return
    assert not lost
    fault = faults[deaths] if deaths < len(faults) else None
    if fault is None or isinstance(fault, Return):
        assert isinstance(outcome, Ok)
        assert outcome.value == (double(item) if fault is None else fault.value)
    else:
        assert isinstance(outcome, Failed)
        expected = {Raise: "ValueError", Unpicklable: "NotPicklableError", BadException: "OddError"}
        assert type(outcome.error).__name__ == expected[type(fault)]
