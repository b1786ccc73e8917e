"""The plan gets its facts when they matter, and the shares of nested calls are kept."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.api.chosen import options

import fanwise
from fanwise import _task
from fanwise._api import _planning
from fanwise._api._again import SecondChances
from fanwise._api._local import LocalLoop
from fanwise._api._planning import Advice, CappedPace, EvenPace, budget_of, function_of, pickled_size
from fanwise._api._source import source_of
from fanwise.backends import process
from fanwise.engine._costs import Costs, Experience, Remembered
from fanwise.engine._plan import FanOut, Stay, Weigh
from fanwise.engine._resources import Cores, Memory
from fanwise.testing import FakeClock
from fanwise.typing import Retry


class Machine:
    """A machine of so many cores; counts how often it is looked at."""

    def __init__(self, cores: int = 2, busy: int = 0, available: int = 1 << 40) -> None:
        self._cores, self._busy, self._available = cores, busy, available
        self.looks = 0

    def cores(self) -> Cores:
        self.looks += 1
        return Cores(self._cores, self._cores, "affinity")

    def busy(self) -> int:
        return self._busy

    def memory(self) -> Memory:
        return Memory(self._available, self._available)

    def rss(self) -> int:
        return 50_000_000


def asked(machine: Machine, *, items: int, seconds_each: float, **given: Any) -> tuple[FanOut | Stay, Advice]:
    """What the advice is after one item that took so long."""
    source = source_of(list(range(items)))
    advice = Advice(abs, source, options(**given), machine)
    advice.pace.memory()
    loop = LocalLoop(lambda x: x, source, SecondChances(None, FakeClock()), raises=True)
    loop.advance(CappedPace(EvenPace(), 1))
    advice.pace.record(1, seconds_each)
    return advice.ask(loop), advice


class TestWhileTheFirstItemRuns:
    @pytest.mark.parametrize(("size", "sent"), [(10, True), (20_000_000, False)])
    def test_what_weighs_much_is_not_copied(self, size: int, sent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FANWISE_START_METHOD", "forkserver")
        content = bytes(size)
        advice = Advice(lambda item: len(content) + item, source_of([1, 2]), options(workers=2), Machine())
        assert isinstance(advice.ahead(9.0, 9.0), FanOut) is sent

    def test_nobody_forks_beside_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FANWISE_START_METHOD", "fork")
        assert isinstance(Advice(abs, source_of([1, 2]), options(workers=2), Machine()).ahead(9.0, 9.0), Stay)

    def test_what_has_yet_to_be_loaded_is_begun_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        advice = Advice(abs, source_of([1, 2]), options(), Machine())
        monkeypatch.setitem(sys.modules, "fanwise._api._crewed", sys)
        soon = advice.first_look_s()
        monkeypatch.delitem(sys.modules, "fanwise._api._crewed")
        assert advice.first_look_s() > 5 * soon


class TestAdvice:
    def test_small_work_never_looks_at_the_machine(self) -> None:
        machine = Machine()
        verdict, _ = asked(machine, items=10, seconds_each=1e-5)
        assert isinstance(verdict, Stay)
        assert machine.looks == 0

    def test_large_work_fans_out_on_the_cores_there_are(self) -> None:
        machine = Machine(2)
        verdict, _ = asked(machine, items=200, seconds_each=0.5)
        assert isinstance(verdict, FanOut)
        assert verdict.workers == 2
        assert machine.looks == 1

    def test_one_core_stays_and_says_so(self) -> None:
        verdict, advice = asked(Machine(1), items=200, seconds_each=0.05)
        assert isinstance(verdict, Stay)
        assert advice.closing().code == "serial.one-core"

    def test_memory_for_one_worker_stays(self) -> None:
        verdict, _ = asked(Machine(2, available=60_000_000), items=200, seconds_each=0.05)
        assert isinstance(verdict, Stay)

    def test_a_number_of_workers_is_kept(self) -> None:
        verdict, _ = asked(Machine(8), items=200, seconds_each=0.5, workers=3)
        assert isinstance(verdict, FanOut)
        assert verdict.workers == 3

    def test_the_machine_is_measured_once(self) -> None:
        machine = Machine(2)
        _, advice = asked(machine, items=200, seconds_each=0.05)
        source = source_of([1])
        advice.ask(LocalLoop(abs, source, SecondChances(None, FakeClock()), raises=True))
        assert machine.looks == 1


def slow(item: int) -> int:
    return item


class TestAtOnce:
    """What a function cost last time decides before its first item."""

    def first_advice(self, fn: Any, cost_s: float) -> FanOut | Stay:
        Advice(fn, source_of([1]), options(), Machine()).learn()
        _planning.EXPERIENCE.learn(function_of(fn), Remembered(cost_s))
        return Advice(fn, source_of(range(50)), options(), Machine()).at_once()

    def test_a_long_one_is_sent(self) -> None:
        assert isinstance(self.first_advice(slow, 0.5), FanOut)

    def test_a_short_one_is_tried_here(self) -> None:
        assert isinstance(self.first_advice(slow, 1e-4), Stay)

    def test_one_that_looks_results_up_is_tried_here(self) -> None:
        """What the loop would find was stored in this process."""
        assert isinstance(self.first_advice(functools.lru_cache(slow), 0.5), Stay)

    def test_two_with_a_cache_each_are_two(self) -> None:
        assert function_of(functools.cache(slow)) != function_of(functools.cache(abs))
        assert function_of(functools.cache(slow)) != function_of(slow)


class Tight(Machine):
    """A machine of 64 cores of which only some may be used."""

    def __init__(self, limit: str, quota: float | None = None, **given: Any) -> None:
        super().__init__(**given)
        self._found = Cores(4, 64, limit, quota)

    def cores(self) -> Cores:
        return self._found


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (Tight("quota", 3.5), "4 workers: the container may use 3.5 of the machine's 64 cores."),
        (Tight("affinity"), "4 workers: this process may run on 4 of 64 cores."),
        (Tight("affinity", busy=61), "3 workers instead of 4: the machine is busy (load 61)."),
        (Tight("affinity", available=120_000_000), "2 workers instead of 4: each needs about 45 MB, 120 MB are free."),
    ],
)
def test_what_limits_the_workers_is_said(machine: Machine, said: str) -> None:
    verdict, _ = asked(machine, items=200, seconds_each=0.5)
    assert isinstance(verdict, FanOut)
    assert said in [decision.text for decision in verdict.decisions]


def test_nothing_limits_what_the_caller_chose_or_all_cores() -> None:
    for machine, given in ((Tight("affinity"), {"workers": 3}), (Machine(4), {})):
        verdict, _ = asked(machine, items=200, seconds_each=0.5, **given)
        assert isinstance(verdict, FanOut)
        assert [decision.code for decision in verdict.decisions] == ["fan-out", "chunk.size"]


@pytest.fixture
def inside_a_worker() -> Iterator[None]:
    _task.set_budget(1)
    yield
    _task._Allowance.processes = None


@pytest.mark.usefixtures("inside_a_worker")
class TestInsideAWorker:
    def test_a_nested_call_has_the_share_of_its_worker(self) -> None:
        assert budget_of(options(), Machine(8)) == (1, 1, "nested")

    def test_more_is_not_to_be_had_by_asking(self) -> None:
        assert budget_of(options(workers=6), Machine(8)) == (1, 1, "nested")

    def test_the_reason_is_told(self) -> None:
        _, advice = asked(Machine(8), items=200, seconds_each=0.05)
        assert advice.closing().code == "serial.nested"


def test_outside_a_worker_the_machine_decides() -> None:
    assert budget_of(options(), Machine(4))[0] == 4
    assert budget_of(options(workers=3), Machine(4))[0] == 3


class TestFunctionOf:
    def test_a_lambda_in_a_loop_is_one_function(self) -> None:
        first, second = (lambda x: x for _ in range(2)), None
        made = [lambda x: x for _ in range(2)]
        assert function_of(made[0]) == function_of(made[1])
        assert first is not second

    def test_methods_are_their_functions(self) -> None:
        assert function_of(TestFunctionOf().setup) == TestFunctionOf.setup.__code__

    def test_a_partial_is_its_function_with_the_numbers_and_texts_it_fixes(self) -> None:
        def key(*args: object, **named: object) -> object:
            return function_of(functools.partial(asked, *args, **named))

        assert key(1, items=[1]) == key(1, items=[2])
        assert len({key(1), key(2), key("a"), key([]), key(items=1), key(items=2), function_of(asked)}) == 7

    def test_builtins_are_themselves_and_instances_their_class(self) -> None:
        assert function_of(abs) is abs
        assert function_of(int) is int
        assert function_of(Callable()) is Callable

    def setup(self) -> None: ...


class Callable:
    def __call__(self, item: int) -> int:
        return item


class TestPaces:
    def test_an_even_pace_begins_with_one_item_and_grows_to_5_ms(self) -> None:
        pace = EvenPace()
        sizes = []
        for _ in range(14):
            size = pace.block()
            sizes.append(size)
            pace.record(size, size * 1e-5)
        assert sizes[:5] == [1, 1, 2, 4, 8]
        assert max(sizes) in {499, 500}

    def test_long_items_come_one_by_one(self) -> None:
        pace = EvenPace()
        for _ in range(5):
            assert pace.block() == 1
            pace.record(1, 0.05)

    def test_a_cap_holds_blocks_down_and_passes_costs_on(self) -> None:
        even = EvenPace()
        pace = CappedPace(even, 3)
        for _ in range(10):
            assert pace.block() <= 3
            pace.record(3, 1e-6)
        assert even.items == 30


class TestSecondChances:
    def test_without_retries_a_failure_is_final(self) -> None:
        assert not SecondChances(None, FakeClock()).grant(0, 1, ValueError(), "item")

    def test_items_wait_their_time_soonest_first(self) -> None:
        clock = FakeClock()
        chances = SecondChances(Retry(3, delay=1.0), clock)
        assert chances.grant(5, 1, ValueError(), "five")
        clock.advance(0.2)
        assert chances.grant(6, 1, ValueError(), "six")
        assert len(chances) == 2
        assert chances.due(wait=False) is None
        waited = [chances.due(wait=True) for _ in range(2)]
        assert sorted(again.item for again in waited if again is not None) == ["five", "six"]
        assert chances.due(wait=True) is None
        assert 0.5 <= clock.now() <= 1.2

    def test_each_item_has_its_own_number_of_chances(self) -> None:
        chances = SecondChances(Retry(2, delay=0.0), FakeClock())
        assert [chances.grant(0, attempt, ValueError(), "x") for attempt in (1, 2, 3)] == [True, True, False]
        assert chances.grant(1, 1, ValueError(), "y")


def test_sizes_count_what_travels_out_of_band() -> None:
    import numpy as np

    assert pickled_size(np.zeros(1000)) >= 8000
    assert pickled_size(lambda: 0) == 0


class TestBeforeTheFirstItem:
    """A function that ran before is known; whether that is enough depends on what a start costs."""

    def asked(self, each: float, **given: Any) -> FanOut | Stay:
        source = source_of(list(range(100)))
        first = Advice(abs, source, options(**given), Machine())
        first.pace.record(1, each)
        first.learn()
        return Advice(abs, source, options(**given), Machine()).at_once()

    def test_long_items_start_workers_at_once(self) -> None:
        verdict = self.asked(0.05)
        assert isinstance(verdict, FanOut)
        assert verdict.decisions[0].facts["items_here"] == 0

    def test_workers_that_wait_have_less_long_items_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with fanwise.Executor(2) as executor:
            assert isinstance(self.asked(2e-3, executor=executor), Stay)
            monkeypatch.setattr(fanwise.Executor, "idle", lambda _: 2)
            assert isinstance(self.asked(2e-3, executor=executor), FanOut)
            assert isinstance(self.asked(0.4e-3, executor=executor), Stay)

    def test_workers_that_wait_are_thought_of_before_the_machine_is_looked_at(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where a start was seen to be dear, work that would not pay for one pays for sending."""
        monkeypatch.setattr(_planning, "EXPERIENCE", Experience(Costs(fork_each_s=0.5)))
        monkeypatch.setattr(fanwise.Executor, "idle", lambda _: 2)
        with fanwise.Executor(2) as executor:
            advice = Advice(abs, source_of([1] * 100), options(executor=executor), Machine(2))
            advice.pace.record(10, 3e-3)
            assert isinstance(advice.pace.verdict(), Weigh)

    @pytest.mark.parametrize("each", [1e-6, 1e-4, 2e-3])
    def test_short_items_are_looked_at_first(self, each: float) -> None:
        """What they cost on a busy machine may have been remembered; the first one costs next to nothing."""
        assert isinstance(self.asked(each), Stay)

    def test_unknown_functions_are_looked_at_first(self) -> None:
        assert isinstance(Advice(abs, source_of([1] * 100), options(), Machine()).at_once(), Stay)


class TestWaiting:
    """Workers that are forked take items as soon as they exist: nothing runs here meanwhile."""

    @pytest.mark.parametrize(("method", "waits"), [("fork", False), ("forkserver", True)])
    def test_only_for_workers_that_have_to_come_up(
        self, monkeypatch: pytest.MonkeyPatch, method: str, waits: bool
    ) -> None:
        monkeypatch.setattr(process, "start_method", lambda _: method)
        monkeypatch.setattr(_planning, "EXPERIENCE", Experience())
        _planning.EXPERIENCE.learn(function_of(abs), Remembered(0.05))
        advice = Advice(abs, source_of([1] * 100), options(), Machine())
        plan = advice.at_once()
        assert isinstance(plan, FanOut)
        assert advice.wait_s(plan) == (plan.start_s if waits else 0.0)


class TestInvesting:
    """What pays in no single call is bought once several have gone without."""

    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """Functions that a fork server was started for; there is none, and forking is not safe."""
        found: list[object] = []
        monkeypatch.setattr(process, "start_server", found.append)
        monkeypatch.setattr(process, "start_method", lambda wanted: "forkserver")
        monkeypatch.setattr(process, "server_running", lambda: False)
        monkeypatch.setattr(_planning, "EXPERIENCE", Experience())
        return found

    def call(self, machine: Machine, *, items: int = 8, seconds_each: float = 0.01) -> None:
        """One call that stays here."""
        advice = Advice(abs, source_of(list(range(items))), options(), machine)
        advice.pace.record(items, items * seconds_each)
        advice.invest()

    def test_a_fork_server_is_started_once_calls_have_lost_what_it_costs(self, started: list[object]) -> None:
        machine = Machine(2)
        while not started:
            self.call(machine)
        assert started == [abs]
        assert 4 <= machine.looks <= 16  # with what is to be loaded, if no test before has loaded it

    def test_small_work_never_looks_at_the_machine(self, started: list[object]) -> None:
        machine = Machine(2)
        for _ in range(1000):
            self.call(machine, items=100, seconds_each=3e-5)
        assert (machine.looks, started) == (0, [])

    def test_one_core_needs_no_server(self, started: list[object]) -> None:
        for _ in range(100):
            self.call(Machine(1))
        assert started == []

    def test_one_that_runs_is_not_started_again(self, started: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "server_running", lambda: True)
        for _ in range(100):
            self.call(Machine(2))
        assert started == []
