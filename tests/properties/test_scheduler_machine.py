"""The sixteen laws of the scheduler, against a crew that delays, reorders, drops, repeats and kills."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.properties.scheduler_world import FakeWorker, Scripts, World

from fanwise.engine._chunks import ChunkAim
from fanwise.engine._config import SchedulerConfig
from fanwise.typing import Retry


@st.composite
def configs(draw):
    here = draw(st.booleans())
    known = draw(st.booleans())
    first = draw(st.sampled_from([0, 0, 3]))
    total = first + draw(st.sampled_from([0, 1, 5, 13, 40])) if known else None
    skip = [(), (), ((first, first + 1),), ((first + 1, first + 3), (first + 4, first + 5))]
    return SchedulerConfig(
        workers=draw(st.integers(1, 4)),
        total=total,
        first=first,
        skip=draw(st.sampled_from(skip)) if total is not None and total >= first + 5 else (),
        ordered=draw(st.booleans()),
        lookahead=draw(st.sampled_from([None, None, 1, 4, 15])),
        paced=draw(st.booleans()),
        raise_on_error=draw(st.booleans()),
        retry=draw(st.sampled_from([None, Retry(1), Retry(2, on=(ValueError,))])),
        timeout=None if here else draw(st.sampled_from([None, 0.5])),
        chunks=ChunkAim(size=draw(st.sampled_from([None, 1, 3, 7]))),
        item_cost=draw(st.sampled_from([None, 0.001, 0.0001])),
        here_allowed=here,
        caller_s=draw(st.sampled_from([0.0, 0.005, 1.0])),
        end_s=draw(st.sampled_from([0.0, 0.002])),
        at_first=here and draw(st.booleans()),
        window=draw(st.sampled_from([1, 2])),
    )


@st.composite
def scripts(draw, config):
    deeds = ["fail"] if config.here_allowed else ["fail", "kill", *(["hang"] * 2 if config.timeout else [])]
    script = st.lists(st.sampled_from(deeds), min_size=1, max_size=4).map(tuple)
    faults = draw(
        st.dictionaries(st.integers(config.first, config.first + 12), script, min_size=draw(st.integers(0, 3)))
    )
    return Scripts(faults, draw(st.frozensets(st.integers(0, 15), max_size=2)))


class SchedulerMachine(RuleBasedStateMachine):
    world: World

    @initialize(data=st.data())
    def begin(self, data):
        config = data.draw(configs())
        self.world = World(
            config,
            data.draw(scripts(config)),
            source=data.draw(st.sampled_from([0, 1, 5, 13, 40])),
            tells_index=data.draw(st.sampled_from([True, True, False])),
        )

    def any_worker(self, data, pick=lambda w: True) -> FakeWorker | None:
        found = [w for w in self.world.workers.values() if pick(w)]
        return data.draw(st.sampled_from(found)) if found else None

    @rule()
    def unsendable_items_are_reported(self):
        self.world.settle_soon()

    @precondition(lambda self: self.world.to_start)
    @rule()
    def worker_starts(self):
        self.world.start_one()

    @precondition(lambda self: self.world.to_start and self.world.quiet_deaths < 2)
    @rule()
    def worker_dies_while_starting(self):
        self.world.start_one(dies=True)

    @precondition(lambda self: self.world.to_start and self.world.config.here_allowed)
    @rule()
    def start_fails(self):
        self.world.fail_to_start(1)

    @rule(data=st.data(), items=st.integers(1, 12))
    def worker_works(self, data, items):
        if worker := self.any_worker(data, lambda w: w.alive and w.chunks):
            self.world.work(worker, items)

    @rule(data=st.data())
    def worker_sends_what_it_has(self, data):
        if worker := self.any_worker(data, lambda w: w.buffer):
            self.world.flush(worker)

    @rule(data=st.data(), frames=st.integers(1, 6))
    def frames_arrive(self, data, frames):
        self.world.settle_soon()
        for _ in range(frames):
            if worker := self.any_worker(data, lambda w: w.frames):
                self.world.deliver(worker)

    @rule(data=st.data())
    def frame_is_lost(self, data):
        if worker := self.any_worker(data, lambda w: w.frames):
            self.world.drop(worker)

    @rule(which=st.integers(0, 30))
    def frame_comes_again(self, which):
        self.world.repeat(which)

    @rule(data=st.data())
    def worker_is_killed(self, data):
        if worker := self.any_worker(data, lambda w: w.alive):
            self.world.crash(worker)

    @rule(data=st.data())
    def worker_retires(self, data):
        if worker := self.any_worker(data):
            self.world.retire(worker)

    @precondition(lambda self: self.world.here is not None)
    @rule()
    def block_runs_here(self):
        self.world.run_here()

    @precondition(lambda self: self.world.to_draw and not self.world.source_told)
    @rule(count=st.integers(1, 20), known=st.frozensets(st.integers(0, 20), max_size=3))
    def items_are_drawn(self, count, known):
        self.world.draw(count, known)

    @precondition(lambda self: not self.world.source_told)
    @rule(fails=st.booleans())
    def source_ends(self, fails):
        self.world.end_source(OSError("disk") if fails else None)

    @precondition(lambda self: self.world.config.paced)
    @rule(count=st.integers(1, 10))
    def consumer_takes(self, count):
        ready = sum(len(r) if hasattr(r, "values") else 1 for r in self.world.emitted) - self.world.taken
        if ready:
            self.world.demand(min(count, ready))

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.1, 0.6]))
    def time_passes(self, seconds):
        self.world.advance(seconds)

    @rule(data=st.data(), level=st.integers(0, 2))
    def memory_changes(self, data, level):
        worker = self.any_worker(data)
        self.world.memory(level, worker.id if worker else None)

    @rule(index=st.integers(0, 40))
    def future_is_cancelled(self, index):
        world = self.world
        futures = not world.config.raise_on_error and world.config.total is None
        if futures and index not in world.sent and world.config.first <= index < world.drawn:
            world.cancel(index)

    @precondition(lambda self: len(self.world.history) > 8 and not self.world.stopping)
    @rule(count=st.sampled_from([1, 1, 1, 2]), deadline=st.booleans())
    def user_interrupts(self, count, deadline):
        if deadline:
            self.world.deadline()
        else:
            self.world.interrupt(count)

    def teardown(self):
        if not hasattr(self, "world"):
            return
        self.world.memory(0, None)
        self.world.run_to_end()
        self.world.check_end()


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=300, stateful_step_count=40)
