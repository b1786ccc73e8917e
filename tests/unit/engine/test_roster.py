"""Who is where, and how many more are started: each rule by itself, and a random life of a crew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.engine._config import SchedulerConfig
from fanwise.engine._flights import Flight, Worker
from fanwise.engine._roster import Roster
from fanwise.records.chunks import Chunk


def roster(workers: int = 4, ready: int = 0, **config: object) -> Roster:
    """A roster in which so many workers are ready and idle."""
    made = Roster(SchedulerConfig(workers, **config))
    for id in range(1, ready + 1):
        made.join(Worker(id, None))
    return made


def load(made: Roster, id: int, chunks: int = 1) -> Worker:
    """Give a worker chunks, and a new place."""
    worker = made.alive[id]
    for at in range(chunks):
        worker.take(Flight(Chunk(10 * id + at, 100 * id + at, 1), id, suspect=False), 0.0)
    made.place(worker)
    return worker


class TestStarting:
    @pytest.mark.parametrize(
        ("wanted", "ready", "starting", "expected"),
        [
            (3, 0, 0, 3),  # one worker an item
            (9, 0, 0, 4),  # never more than the run may use
            (9, 3, 0, 1),  # those that live count
            (9, 0, 3, 1),  # and those on their way
            (2, 2, 0, 0),  # idle ones take what there is
            (3, 2, 0, 1),
            (2, 0, 2, 0),
            (0, 0, 0, 0),
        ],
    )
    def test_as_many_as_find_an_item(self, wanted: int, ready: int, starting: int, expected: int) -> None:
        made = roster(ready=ready)
        made.starting = starting
        assert made.start(wanted) == expected
        assert made.starting == starting + expected

    def test_a_budget_of_starts_runs_out_and_says_so(self) -> None:
        made = roster(max_starts=3)
        assert made.start(2) == 2
        assert made.stopped is None
        assert made.start(9) == 1
        assert made.stopped == "as many workers were started as allowed"
        assert made.start(9) == 0

    def test_none_while_memory_is_low(self) -> None:
        made = roster()
        made.level = 1
        assert made.start(4) == 0
        made.level = 0
        assert made.start(4) == 4

    def test_busy_workers_leave_no_one_for_what_waits(self) -> None:
        made = roster(ready=2)
        load(made, 1)
        load(made, 2)
        assert made.start(1) == 1

    def test_many_to_come_means_one_chunk_each(self) -> None:
        made = roster(10, ready=4)
        made.starting = 1
        assert not made.gathering
        made.starting = 2
        assert made.gathering


class TestPlaces:
    @pytest.mark.parametrize(("chunks", "place"), [(0, "idle"), (1, "hungry"), (2, "full")])
    def test_by_the_number_of_chunks(self, chunks: int, place: str) -> None:
        made = roster(ready=1)
        assert load(made, 1, chunks).place is getattr(made, place)
        assert [id for name in ("idle", "hungry", "full") for id in getattr(made, name)] == [1]

    def test_with_a_window_of_one_a_single_chunk_fills_a_worker(self) -> None:
        made = roster(ready=1, window=1)
        assert load(made, 1).place is made.full

    def test_a_doomed_worker_is_nowhere_and_lives_on(self) -> None:
        made = roster(ready=2)
        made.doomed(made.alive[1], "it leaks")
        assert made.alive[1].place is None
        assert made.alive[1].doom == "it leaks"
        assert (made.fit, len(made.alive), list(made.idle)) == (1, 2, [2])

    def test_who_gives_something_back_gets_nothing_meanwhile(self) -> None:
        made = roster(ready=1)
        worker = load(made, 1, 2)
        worker.flights[-1].recalled = True
        made.place(worker)
        assert worker.place is None

    def test_who_waited_longest_comes_first(self) -> None:
        made = roster(ready=3)
        first = made.taker(made.idle)
        assert first is made.alive[1]
        load(made, 1)
        worker = made.alive[1]
        worker.drop(worker.flights[0], 1.0)
        made.place(worker)
        assert list(made.idle) == [2, 3, 1]

    def test_an_empty_place_has_no_taker(self) -> None:
        assert roster(ready=1).taker({}) is None

    def test_with_little_memory_the_oldest_fit_worker_alone_works(self) -> None:
        made = roster(ready=3)
        made.level = 1
        assert made.taker(made.idle) is made.alive[1]
        load(made, 1)
        assert made.taker(made.idle) is None, "the others wait, idle as they are"
        made.doomed(made.alive[1], "late")
        assert made.taker(made.idle) is made.alive[2]

    def test_a_worker_that_never_was_ready_only_counts_down(self) -> None:
        made = roster()
        made.start(2)
        assert made.leave(77) is None
        assert (made.starting, made.expected) == (1, 1)

    def test_who_leaves_is_in_no_place(self) -> None:
        made = roster(ready=2)
        gone = load(made, 2)
        assert made.leave(2) is gone
        assert (list(made.alive), list(made.hungry)) == ([1], [])


class TestGivingUp:
    def test_one_fault_may_end_all_workers_that_start(self) -> None:
        made = roster(workers=4)
        for _ in range(4):
            made.died("gone together with the fork server")
        assert made.stopped is None
        made.died("gone together with the fork server")
        assert made.hopeless

    def test_three_deaths_in_a_row_end_all_starts(self) -> None:
        made = roster(workers=2)
        made.died("signal 9")
        made.died("signal 9")
        assert made.stopped is None
        made.died("signal 11")
        assert made.stopped == "workers keep dying while starting: signal 11"
        assert made.hopeless

    def test_an_item_done_shows_that_workers_can_live(self) -> None:
        made = roster()
        for _ in range(5):
            made.died("signal 9")
            made.worked()
        assert made.stopped is None

    def test_starts_that_fail_leave_those_that_exist(self) -> None:
        made = roster(ready=2)
        made.starting = 2
        made.failed_to_start(2, "no memory")
        assert made.start(9) == 2, "twice is no rule yet"
        made.failed_to_start(2, "no memory")
        assert (made.stopped, made.hopeless) == (None, False)
        assert made.start(9) == 0, "the limit is what lives"

    def test_with_nobody_left_failed_starts_are_the_end(self) -> None:
        made = roster()
        made.start(4)
        made.failed_to_start(4, "no memory")
        assert (made.stopped, made.hopeless) == ("no memory", True)

    def test_one_start_that_succeeds_forgives_the_failures_before(self) -> None:
        made = roster(9)
        made.failed_to_start(2, "x")
        made.join(Worker(1, None))
        made.failed_to_start(2, "x")
        assert made.start(9) == 8

    def test_hope_remains_while_somebody_is_on_the_way(self) -> None:
        made = roster(max_starts=1)
        made.start(1)
        assert made.stopped is not None
        assert not made.hopeless
        made.leave(1)
        assert made.hopeless


STEPS = st.lists(
    st.tuples(st.sampled_from(["start", "join", "leave", "take", "drop", "doom"]), st.integers(0, 7)), max_size=60
)


@given(STEPS, st.integers(1, 5), st.integers(1, 3))
def test_whatever_happens_every_worker_is_in_the_one_place_it_belongs(
    steps: list[tuple[str, int]], workers: int, window: int
) -> None:
    made, born = roster(workers, window=window), 0
    for what, number in steps:
        worker = made.alive.get(number)
        if what == "start":
            made.start(number)
        elif what == "join" and made.starting:
            made.join(Worker(born, None))
            born += 1
        elif what == "leave" and worker is not None:
            made.leave(number)
        elif what == "take" and worker is not None and len(worker.flights) < window:
            load(made, number)
        elif what == "drop" and worker is not None and worker.flights:
            worker.drop(worker.flights[0], 0.0)
            made.place(worker)
        elif what == "doom" and worker is not None:
            made.doomed(worker, "x")
        assert len(made.alive) + made.starting <= workers
        for one in made.alive.values():
            held = len(one.flights)
            belongs = made.idle if not held else made.full if held >= window else made.hungry
            homes = [place for place in (made.idle, made.hungry, made.full) if one.id in place]
            assert homes == ([] if one.doom else [belongs])
        placed = len(made.idle) + len(made.hungry) + len(made.full)
        assert placed == made.fit
