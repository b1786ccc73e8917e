"""Wherever the plan fans out, and whoever then runs the rest, every item has its result."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import fanwise
from fanwise._api import _planning
from fanwise._api._local import LocalLoop
from fanwise.engine._plan import STAY, FanOut, Stay
from fanwise.engine._sentences import decide

pytestmark = pytest.mark.process


@pytest.fixture(params=[0.0, 10.0], ids=["coordinating", "working"])
def fan_out_at(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """Makes every plan fan out at a given item, whatever it costs; the calling process goes on working, or does not."""

    def at(item: int) -> None:
        def ask(self: _planning.Advice, loop: LocalLoop) -> FanOut | Stay:
            if loop.at < item:
                return STAY
            return FanOut(2, 1e-4, 1.0, 0.001, (decide("serial.asked", {}),), request.param)

        monkeypatch.setattr(_planning.Advice, "ask", ask)

    return at


@pytest.mark.parametrize("item", [1, 2, 5, 9, 10, 11])
class TestFanOutAnywhere:
    def test_a_sequence_is_complete(self, fan_out_at: Any, item: int) -> None:
        fan_out_at(item)
        assert fanwise.map(abs, range(-11, 0)) == list(range(11, 0, -1))

    def test_a_generator_is_complete(self, fan_out_at: Any, item: int) -> None:
        fan_out_at(item)
        assert fanwise.map(abs, iter(range(-11, 0))) == list(range(11, 0, -1))

    def test_outcomes_are_complete(self, fan_out_at: Any, item: int) -> None:
        fan_out_at(item)
        run = fanwise.run(invert, [1, 2, 0, 4, 0, 5, 6, 0, 8, 9, 10])
        assert [outcome.ok for outcome in run.outcomes] == [
            True,
            True,
            False,
            True,
            False,
            True,
            True,
            False,
            True,
            True,
            True,
        ]
        assert run.complete

    def test_failures_before_and_after_are_found_in_order(self, fan_out_at: Any, item: int) -> None:
        fan_out_at(item)
        with pytest.raises(ZeroDivisionError) as caught:
            fanwise.map(invert, [1, 2, 4, 0, 5, 6, 0, 8, 9, 10, 11])
        assert caught.value.__notes__[0].startswith("item 3 of 11")

    def test_a_stream_is_complete_and_in_order(self, fan_out_at: Any, item: int) -> None:
        fan_out_at(item)
        assert list(fanwise.stream(abs, iter(range(-30, 0)))) == list(range(30, 0, -1))

    def test_a_failing_input_fails_behind_its_items(self, fan_out_at: Any, item: int) -> None:
        fan_out_at(item)

        def items() -> Iterator[int]:
            yield from range(8)
            raise OSError("the input broke")

        with pytest.raises(OSError, match="broke") as caught:
            fanwise.map(abs, items())
        assert len(caught.value.__fanwise_run__.outcomes) == 8


def invert(item: int) -> float:
    return 1 / item


def spin(turns: int) -> int:
    for _ in range(turns):
        pass
    return os.getpid()


def test_workers_take_over_once_they_are_ready(fan_out_at: Any) -> None:
    """The caller goes on while they start, and no longer."""
    fan_out_at(1)
    pids = fanwise.map(spin, [20_000] * 3000)
    assert len(set(pids)) > 1
