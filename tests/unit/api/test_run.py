"""A run holds results in batches and shows one outcome an item, in item order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanwise
from fanwise._api.run import Run, expand
from fanwise.errors import WorkerLostError
from fanwise.records.outcomes import Batch, Failed, Lost, Ok, Said, Settled, count_of, first_of


def made(pieces: list[Settled], total: int | None = None) -> Run:
    return Run(pieces, total, fanwise.run(abs, []).report)


BATCH = Batch(0, ["a", "b"], [0.1, 0.2], 4711)
FAILED = Failed(index=2, error=ValueError("bad"), traceback="Traceback …")
LOST = Lost(index=3, error=WorkerLostError("gone"), reason="SIGKILL", attempts=2)


class TestOutcomes:
    def test_they_are_sorted_whatever_the_order_in_which_they_came(self) -> None:
        run = made([LOST, BATCH, FAILED], 4)
        assert [outcome.index for outcome in run.outcomes] == [0, 1, 2, 3]
        assert [type(outcome) for outcome in run.outcomes] == [Ok, Ok, Failed, Lost]

    def test_each_item_of_a_batch_has_its_own_cost_and_worker(self) -> None:
        first, second = made([BATCH]).outcomes
        assert (first.seconds, second.seconds) == (0.1, 0.2)
        assert (first.worker, second.worker) == (4711, 4711)
        assert (first.attempts, second.attempts) == (1, 1)

    def test_a_block_shares_its_mean(self) -> None:
        assert [outcome.seconds for outcome in Batch(0, [1, 2, 3], 0.5).outcomes()] == [0.5] * 3

    def test_what_an_item_said_goes_with_that_item(self) -> None:
        said = (
            Said(0, "stdout", "one\n"),
            Said(1, "stderr", "two\n"),
            Said(1, "stdout", "three\n"),
            Said(1, "log", {"name": "x"}),
        )
        first, second = Batch(0, [1, 2], 0.0, said=said).outcomes()
        assert first.output == "one\n"
        assert second.output == "two\nthree\n"

    def test_unwrap_gives_the_value_or_raises_the_error(self) -> None:
        good, _, failed, lost = made([BATCH, FAILED, LOST]).outcomes
        assert good.unwrap() == "a"
        with pytest.raises(ValueError, match="bad"):
            failed.unwrap()
        with pytest.raises(WorkerLostError, match="gone"):
            lost.unwrap()

    def test_outcomes_can_be_matched(self) -> None:
        match made([BATCH]).outcomes[0]:
            case Ok(value=value, index=index):
                assert (value, index) == ("a", 0)
            case other:
                pytest.fail(f"did not match {other!r}")

    def test_outcomes_are_frozen(self) -> None:
        with pytest.raises(AttributeError):
            FAILED.index = 3  # type: ignore[misc]


class TestMissing:
    def test_gaps_and_the_tail_are_missing(self) -> None:
        run = made([Batch(1, ["b"]), Batch(4, ["e"])], 7)
        assert run.missing == (0, 2, 3, 5, 6)
        assert not run.complete
        assert len(run) == 2
        assert repr(run) == "<Run 2 of 7 items finished>"

    def test_nothing_is_missing_from_a_complete_run(self) -> None:
        run = made([BATCH, FAILED, LOST], 4)
        assert run.missing == ()
        assert run.complete

    def test_an_unknown_length_counts_as_far_as_results_go(self) -> None:
        assert made([Batch(2, ["c"])]).missing == (0, 1)
        assert repr(made([])) == "<Run 0 of ? items finished>"


class TestValues:
    def test_they_are_in_item_order(self) -> None:
        assert made([Batch(2, ["c"]), BATCH]).values() == ["a", "b", "c"]

    def test_the_lowest_failure_is_raised(self) -> None:
        with pytest.raises(ValueError, match="bad"):
            made([LOST, FAILED, BATCH]).values()

    def test_missing_items_are_a_lookup_error(self) -> None:
        with pytest.raises(LookupError, match="2 items were not run; the first is item 1"):
            made([Batch(0, ["a"])], 3).values()


@given(st.lists(st.integers(1, 5), max_size=12), st.randoms(use_true_random=False))
def test_cutting_results_into_batches_changes_nothing(sizes: list[int], shuffle: Any) -> None:
    pieces: list[Settled] = []
    for size in sizes:
        first = sum(map(count_of, pieces))
        pieces.append(Batch(first, list(range(first, first + size))))
    total = sum(sizes)
    shuffle.shuffle(pieces)
    run = made(pieces, total)
    assert run.values() == list(range(total))
    assert [outcome.index for outcome in expand(sorted(pieces, key=first_of))] == list(range(total))
    assert len(run) == total
