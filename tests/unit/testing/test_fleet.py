"""The model of workers that simulations stand on: when messages arrive, who is gone, and what work was lost."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.errors import UsageValueError
from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Batch, Failed
from fanwise.records.scheduling import (
    ChunkFinished,
    ChunkReturned,
    Event,
    Finished,
    StartFailed,
    WorkerDied,
    WorkerReady,
    WorkerRetired,
)
from fanwise.testing._fleet import Fleet, Price, World


def fleet(cost: object = 1.0, *, limit: int | None = None, **world: object) -> Fleet:
    """One worker, ready from second 0 on, messages without delay."""
    settings = {"latency_s": 0.0, "start_s": 0.0, "restart_s": 0.0} | world
    made = Fleet(World(Price(cost), **settings), limit=limit)
    made.start(1, 0.0)
    assert [type(event) for event in made.receive(0.0)] == [WorkerReady]
    return made


def arrivals(made: Fleet) -> list[tuple[float, Event]]:
    """Every message that is on its way, in order of arrival."""
    found: list[tuple[float, Event]] = []
    while (at := made.next_at) < inf:
        found += [(at, event) for event in made.receive(at)]
    return found


class TestTime:
    def test_a_chunk_takes_its_items_and_two_messages(self) -> None:
        made = fleet(0.5, latency_s=0.1)
        made.send(1, Chunk(1, 0, 4), 10.0)
        made_of = arrivals(made)
        assert [at for at, _ in made_of] == pytest.approx([12.2, 12.2])
        assert [type(event) for _, event in made_of] == [Finished, ChunkFinished]

    def test_bytes_take_time_before_a_chunk_begins(self) -> None:
        made = fleet(1.0, item_bytes=50.0, bandwidth=100.0)
        made.send(1, Chunk(1, 0, 2), 0.0)
        assert made.next_at == pytest.approx(1.0 + 2.0)

    def test_a_straggler_is_slower_by_its_factor(self) -> None:
        made = fleet(1.0, stragglers=((1, 3.0),))
        made.send(1, Chunk(1, 0, 2), 0.0)
        assert made.next_at == pytest.approx(6.0)

    @given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.floats(0.001, 2.0))
    def test_chunks_of_one_worker_follow_each_other_without_a_break(self, sizes: list[int], cost: float) -> None:
        made, first = fleet(cost), 0
        for id, size in enumerate(sizes):
            made.send(1, Chunk(id, first, size), 0.0)
            first += size
        ends = [at for at, event in arrivals(made) if isinstance(event, ChunkFinished)]
        assert ends == pytest.approx([cost * sum(sizes[: at + 1]) for at in range(len(sizes))])

    @given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12), st.data())
    def test_what_a_worker_is_at_and_since_when_follow_from_the_costs(
        self, costs: list[float], data: st.DataObject
    ) -> None:
        made = fleet(costs)
        made.send(1, Chunk(1, 0, len(costs)), 0.0)
        index = data.draw(st.integers(0, len(costs) - 1))
        (found,) = made.running(sum(costs[:index]) + costs[index] / 2)
        assert found == (1, index, pytest.approx(sum(costs[:index])))

    def test_later_starts_may_take_longer_than_the_first(self) -> None:
        made = Fleet(World(Price(1.0), start_s=2.0, restart_s=5.0))
        made.start(2, 0.0)
        made.start(1, 1.0)
        assert [at for at, _ in arrivals(made)] == [2.0, 2.0, 6.0]


class TestDeaths:
    def test_the_chunks_of_a_dead_worker_are_never_heard_of_again(self) -> None:
        made = fleet(faults=((1, "kill"),))
        made.send(1, Chunk(1, 0, 3), 0.0)
        made.send(1, Chunk(2, 3, 3), 0.0)
        ((at, death),) = arrivals(made)
        assert (at, death.index, death.reason, death.idle) == (2.0, 1, "SIGKILL", False)
        assert made.names() == []
        assert made.lost_s == pytest.approx(2.0), "both items of the first chunk, none of the second"

    def test_a_death_may_keep_its_item_to_itself(self) -> None:
        made = fleet(faults=((0, "kill"),), tells_index=False)
        made.send(1, Chunk(1, 0, 1), 0.0)
        ((_, death),) = arrivals(made)
        assert (death.index, death.idle) == (None, False)

    def test_a_worker_killed_while_idle_blames_nobody(self) -> None:
        made = fleet()
        made.kill(1, "not wanted", 5.0)
        ((_, death),) = arrivals(made)
        assert (death.reason, death.index, death.idle, made.lost_s) == ("not wanted", None, True, 0.0)

    def test_a_hang_lasts_until_somebody_ends_it(self) -> None:
        made = fleet(faults=((2, "hang"),))
        made.send(1, Chunk(1, 0, 5), 0.0)
        assert made.next_at == inf
        assert made.running(100.0) == [(1, 2, pytest.approx(2.0))]
        made.kill(1, "late", 100.0)
        ((_, death),) = arrivals(made)
        assert (death.index, death.reason) == (2, "late")

    @given(st.integers(0, 50))
    def test_deaths_for_no_reason_depend_on_the_seed_alone(self, seed: int) -> None:
        def told() -> list[object]:
            made = fleet(1.0, kill_rate_hz=0.3, seed=seed)
            made.send(1, Chunk(1, 0, 4), 0.0)
            return [(at, repr(event)) for at, event in arrivals(made)]

        assert told() == told()

    def test_with_a_high_rate_nobody_survives_a_long_chunk(self) -> None:
        made = fleet(1.0, kill_rate_hz=1e6)
        made.send(1, Chunk(1, 0, 4), 0.0)
        ((at, death),) = arrivals(made)
        assert isinstance(death, WorkerDied)
        assert 0 <= at <= 4.0
        assert death.index == min(int(at), 3)


class TestFaults:
    def test_a_scripted_failure_stands_between_the_good_items(self) -> None:
        made = fleet(faults=((2, "raise"),))
        made.send(1, Chunk(1, 0, 5), 0.0)
        (_, done), _ = arrivals(made)
        before, failure, after = done.settled
        assert (before, after) == (Batch(0, range(2), 0.0, 1, 1), Batch(3, range(3, 5), 0.0, 1, 1))
        assert isinstance(failure, Failed)
        assert (failure.index, str(failure.error)) == (2, "item 2 was told to fail")

    def test_a_second_attempt_meets_the_second_fault(self) -> None:
        made = fleet(faults=((0, "raise"), (0, "kill")))
        made.send(1, Chunk(1, 0, 1, attempt=3), 0.0)
        made.send(1, Chunk(2, 0, 1, attempt=2), 0.0)
        assert [type(event) for _, event in arrivals(made)] == [Finished, ChunkFinished, WorkerDied]

    @pytest.mark.parametrize("deed", ["melt", "", "KILL"])
    def test_an_unknown_deed_is_refused(self, deed: str) -> None:
        with pytest.raises(UsageValueError, match=r"deed of \['hang', 'kill', 'raise'\]"):
            Fleet(World(Price(1.0), faults=((0, deed),)))


class TestPeople:
    def test_beyond_the_limit_starts_fail_and_the_others_come(self) -> None:
        made = fleet(limit=3)
        made.start(4, 1.0)
        events = [event for _, event in arrivals(made)]
        (failure,) = (event for event in events if isinstance(event, StartFailed))
        assert (failure.count, failure.reason) == (2, "there are 3 simulated workers")
        assert len(made.names()) == 3

    def test_who_retires_is_gone_and_cannot_be_sent_anything(self) -> None:
        made = fleet()
        made.retire(1, 0.0)
        made.send(1, Chunk(1, 0, 1), 0.0)
        made.retire(1, 0.0)
        made.kill(1, "x", 0.0)
        made.cancel(1, 1, 0.0)
        assert [type(event) for _, event in arrivals(made)] == [WorkerRetired]

    @given(st.integers(1, 10), st.floats(0.0, 12.0))
    def test_a_chunk_asked_back_is_settled_up_to_where_it_comes_back(self, count: int, asked: float) -> None:
        made = fleet(1.0)
        made.send(1, Chunk(1, 0, count), 0.0)
        while made.next_at <= asked:
            made.receive(made.next_at)
        made.cancel(1, 1, asked)
        told = [event for _, event in arrivals(made)]
        returned = [event.first for event in told if isinstance(event, ChunkReturned)]
        if returned:
            assert returned == [int(asked) + 1]
            assert not any(isinstance(event, ChunkFinished) for event in told)
        else:
            assert asked >= count - 1
