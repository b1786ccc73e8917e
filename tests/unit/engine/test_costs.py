"""The cost model of starting and sending: a straight sum of its constants, and how it learns them back."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.engine._costs import MOST_REMEMBERED, Costs, Experience, Machine, Remembered, Rent

METHODS = ("fork", "forkserver", "spawn", "thread")
C = Costs()


def machine(method: str, **facts: object) -> Machine:
    return Machine(cores=4, workers=4, method=method, **facts)


class TestStart:
    @pytest.mark.parametrize(
        ("on", "workers", "seconds"),
        [
            (machine("fork", rss_mb=100.0), 3, C.fork_s + 3 * (C.fork_each_s + 100 * C.fork_mb_s)),
            (machine("fork", rss_mb=0.0, pickling_s=0.2), 1, C.fork_s + 0.2 + C.fork_each_s),
            (machine("forkserver", preload_s=0.5), 2, C.server_cold_s + 0.5 + 2 * C.fork_each_s),
            (machine("forkserver", preload_s=0.5, server_running=True), 2, C.server_warm_s + 2 * C.fork_each_s),
            (machine("spawn", preload_s=0.5), 4, 0.5 + C.spawn_s),
            (machine("spawn"), 8, 2 * C.spawn_s),  # four at a time on four cores
            (machine("thread"), 5, 5 * C.thread_s),
            (machine("fork", warm=4), 4, C.warm_s),
            (machine("spawn", warm=6), 4, C.warm_s),  # more are there than are asked for
            (machine("thread", warm=1), 3, C.warm_s + 2 * C.thread_s),
        ],
    )
    def test_is_the_sum_of_its_parts(self, on: Machine, workers: int, seconds: float) -> None:
        assert C.start(on, workers) == pytest.approx(seconds)

    @given(st.sampled_from(METHODS), st.integers(1, 64), st.integers(0, 8), st.floats(0, 5000))
    def test_one_more_worker_never_costs_less(self, method: str, workers: int, warm: int, rss_mb: float) -> None:
        on = machine(method, warm=warm, rss_mb=rss_mb)
        assert C.start(on, workers + 1) >= C.start(on, workers) - 1e-12

    @given(st.sampled_from(METHODS), st.integers(1, 64))
    def test_workers_that_run_already_are_never_dearer_than_new_ones(self, method: str, workers: int) -> None:
        assert C.start(machine(method, warm=workers), workers) <= C.start(machine(method), workers)

    def test_the_function_is_pickled_once_whatever_the_number_of_workers(self) -> None:
        plain, packed = machine("fork"), machine("fork", pickling_s=0.3)
        for workers in (1, 16):
            assert C.start(packed, workers) - C.start(plain, workers) == pytest.approx(0.3)


class TestLearning:
    @given(st.floats(1e-9, 1e3))
    def test_a_cost_moves_half_way_to_what_was_measured(self, seconds: float) -> None:
        assert C.updated(chunk_s=seconds).chunk_s == pytest.approx((C.chunk_s + seconds) / 2)

    @pytest.mark.parametrize("nonsense", [0.0, -1.0, float("nan")])
    def test_what_cannot_be_a_cost_is_ignored(self, nonsense: float) -> None:
        assert C.updated(chunk_s=nonsense, item_s=nonsense) == C

    def test_only_what_was_measured_moves(self) -> None:
        moved = C.updated(item_s=1.0)
        assert {f.name for f in fields(Costs) if getattr(moved, f.name) != getattr(C, f.name)} == {"item_s"}

    @given(
        st.sampled_from(METHODS),
        st.integers(1, 12),
        st.booleans(),
        st.sampled_from([0, 2]),
        st.floats(0.0, 800.0),
        st.floats(0.0, 0.5),
    )
    def test_a_start_as_expected_teaches_nothing_new(
        self, method: str, workers: int, server: bool, warm: int, rss_mb: float, pickling_s: float
    ) -> None:
        """The inverse of `start`: fed with its own forecast, each constant stays where it is."""
        by_fork = method == "fork"
        on = machine(
            method,
            server_running=server,
            rss_mb=rss_mb,
            warm=warm if by_fork and workers <= warm else 0,
            pickling_s=pickling_s if method == "forkserver" else 0.0,
        )
        again = C.learned_start(on, workers, C.start(on, workers))
        for field in fields(Costs):
            assert getattr(again, field.name) == pytest.approx(getattr(C, field.name), rel=1e-6), field.name

    @pytest.mark.parametrize(
        ("on", "name"),
        [
            (machine("fork"), "fork_each_s"),
            (machine("forkserver"), "server_cold_s"),
            (machine("forkserver", server_running=True), "server_warm_s"),
            (machine("spawn"), "spawn_s"),
            (machine("thread"), "thread_s"),
            (machine("fork", warm=4), "warm_s"),
        ],
    )
    def test_a_slow_start_is_put_on_the_constant_that_varies_most(self, on: Machine, name: str) -> None:
        slower = C.learned_start(on, 4, C.start(on, 4) + 1.0)
        assert {f.name for f in fields(Costs) if getattr(slower, f.name) != getattr(C, f.name)} == {name}
        assert getattr(slower, name) > getattr(C, name)

    @given(st.sampled_from(METHODS), st.floats(0.001, 30.0), st.integers(1, 8))
    def test_repeated_starts_are_believed_in_the_end(self, method: str, seconds: float, workers: int) -> None:
        costs, on = C, machine(method, rss_mb=0.0)
        took = C.start(on, workers) + seconds
        for _ in range(60):
            costs = costs.learned_start(on, workers, took)
        assert costs.start(on, workers) == pytest.approx(took, rel=1e-3)

    def test_a_fork_quicker_than_its_pages_were_thought_to_be_makes_them_cheaper(self) -> None:
        costs, on = C, machine("fork", rss_mb=1000.0)
        for _ in range(20):
            costs = costs.learned_start(on, 2, 5e-3)
        assert costs.start(on, 2) == pytest.approx(5e-3, rel=0.2)
        assert costs.fork_mb_s < C.fork_mb_s

    def test_how_long_forked_workers_take_to_begin_is_learned_beside(self) -> None:
        on = machine("fork")
        slower = C.learned_start(on, 2, C.start(on, 2), 9e-3)
        assert slower.settle(on) == pytest.approx((C.settle_s + 9e-3) / 2)
        assert slower.start(on, 2) == pytest.approx(C.start(on, 2))

    @pytest.mark.parametrize(
        "on", [machine("forkserver"), machine("spawn"), machine("thread"), machine("fork", warm=2)]
    )
    def test_others_have_begun_when_they_say_that_they_are_ready(self, on: Machine) -> None:
        assert C.settle(on) == 0.0

    @pytest.mark.parametrize("on", [machine("fork", kept=True), machine("fork", warm=2), machine("thread")])
    def test_nobody_waits_for_the_end_of_workers_that_stay(self, on: Machine) -> None:
        assert C.end(on) == 0.0
        assert C.end(machine("spawn")) > 0.0

    def test_an_impossibly_quick_fork_changes_nothing(self) -> None:
        on = machine("fork", rss_mb=1000.0)
        assert C.learned_start(on, 2, 1e-6) == C


class TestExperience:
    def test_costs_may_be_given(self) -> None:
        costs = replace(C, spawn_s=7.0)
        assert Experience(costs).costs is costs
        assert Experience().costs == Costs()

    def test_a_function_never_run_is_unknown(self) -> None:
        assert Experience().recall("f") is None

    @pytest.mark.parametrize(
        ("seen", "kept"),
        [
            (1.0, 1.0),  # alone it would take no longer
            (1.5, 1.0),  # workers may hinder each other
            (0.2, 0.2),
            (4.5, 4.5),  # not so much: these are other items
        ],
    )
    def test_workers_correct_what_was_seen_alone(self, seen: float, kept: float) -> None:
        assert Remembered(1.0, use=0.5).corrected(seen) == Remembered(kept, use=0.5)

    def test_the_last_run_counts(self) -> None:
        experience = Experience()
        experience.learn("f", Remembered(1.0))
        experience.learn("f", Remembered(2.0, use=1.5))
        assert experience.recall("f") == Remembered(2.0, use=1.5)

    @given(st.lists(st.integers(0, 400), max_size=700))
    def test_the_functions_run_last_are_the_ones_remembered(self, ran: list[int]) -> None:
        experience = Experience()
        for at, function in enumerate(ran):
            experience.learn(function, Remembered(float(at)))
        latest = list(dict.fromkeys(reversed(ran)))
        last_time = {function: float(at) for at, function in enumerate(ran)}
        for function in latest[:MOST_REMEMBERED]:
            assert experience.recall(function) == Remembered(last_time[function])
        assert all(experience.recall(function) is None for function in latest[MOST_REMEMBERED:])


class TestRent:
    def test_it_is_paid_until_it_is_the_price(self) -> None:
        rent = Rent()
        assert [rent.pay(0.4, 1.0) for _ in range(6)] == [False, False, True, False, False, True]

    @given(st.lists(st.floats(0.0, 10.0), max_size=50), st.floats(0.1, 20.0))
    def test_no_more_is_lost_than_the_price_and_one_call(self, calls: list[float], price: float) -> None:
        rent, lost = Rent(), 0.0
        for call in calls:
            lost += call
            if rent.pay(call, price):
                lost = 0.0
            assert lost < price + call
