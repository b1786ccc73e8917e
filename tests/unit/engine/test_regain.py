"""Whether workers are worth it."""

from __future__ import annotations

import pytest

from fanwise.engine._regain import Regain


def measured(pace_s: float, alone_s: float | None = 0.01, workers: int = 2, count: int = 5) -> Regain:
    """After six chunks per worker, with ``pace_s`` seconds of wall time per item."""
    judge = Regain(alone_s)
    for chunk in range(6 * workers):
        judge.heard(count, chunk * count * pace_s, workers)
    return judge


def test_a_gain_of_five_per_cent_is_enough():
    judge = measured(pace_s=0.0095)
    assert not judge.pausing
    assert not judge.alone


def test_less_is_tried_out():
    judge = measured(pace_s=0.0099)
    assert judge.pausing
    assert judge.pace_s == pytest.approx(0.0099)


@pytest.mark.parametrize(("trial_s", "stays"), [(0.009, True), (0.012, False)])
def test_only_a_faster_trial_brings_the_run_back(trial_s, stays):
    judge = measured(pace_s=0.01)
    judge.begin_trial()
    assert judge.pausing
    assert judge.tried(10, 10 * trial_s) is stays
    assert judge.alone is stays
    assert not judge.pausing


def test_a_trial_that_ran_nothing_says_nothing():
    judge = measured(pace_s=0.01)
    judge.begin_trial()
    assert not judge.tried(0, 1.0)
    judge.call_off()
    assert not judge.pausing


def test_it_judges_once():
    judge = measured(pace_s=0.001)
    for chunk in range(100):
        judge.heard(5, 10.0 + chunk, 2)
    assert not judge.pausing


def test_without_a_probe_there_is_nothing_to_compare():
    assert not measured(pace_s=9.0, alone_s=None).pausing


def test_a_block_here_without_a_trial_is_no_trial():
    assert not measured(pace_s=0.001).tried(5, 0.1)
