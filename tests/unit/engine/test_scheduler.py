"""The scheduler in conversation: starting, handing out, ordering, ending."""

from __future__ import annotations

import pytest
from tests.unit.engine.talk import Talk

from fanwise.engine._chunks import ChunkAim
from fanwise.errors import BackendError, NotPicklableError
from fanwise.records.chunks import HERE, ChunkStats
from fanwise.records.outcomes import Batch, Failed, Ok
from fanwise.records.scheduling import (
    Cancel,
    CancelChunk,
    ChunkFinished,
    ChunkReturned,
    Deadline,
    Decide,
    Demand,
    Draw,
    Drawn,
    Emit,
    Finish,
    Finished,
    Interrupt,
    MemoryLow,
    Retire,
    RunHere,
    Send,
    SourceEnded,
    StartFailed,
    StartWorkers,
    Tick,
    Unsendable,
    WakeAt,
    WorkerBegan,
    WorkerDied,
    WorkerReady,
    WorkerRetired,
)

ONE = ChunkAim(size=1)
FIVE = ChunkAim(size=5)


class TestStart:
    def test_nothing_to_do_ends_at_once(self):
        assert Talk(total=0).said == [Finish("done")]

    def test_no_more_workers_are_started_than_items_wait(self):
        assert Talk(workers=8, total=3).said == [StartWorkers(3)]

    def test_every_worker_gets_a_chunk_when_it_is_ready(self):
        talk = Talk(workers=2, total=10, chunks=FIVE)
        assert talk.ready(1).sent() == [(1, 0, 5)]
        assert talk.ready(2).sent() == [(2, 5, 5)]

    def test_workers_not_asked_for_are_welcome(self):
        talk = Talk(workers=1, total=4, chunks=ONE, window=1).ready(1, 2, 3)
        assert [send.worker for send in talk.ever(Send)] == [1, 2, 3]

    def test_a_worker_reported_twice_is_one_worker(self):
        talk = Talk(workers=1, total=4, chunks=ONE, window=1).ready(1, 1)
        assert len(talk.ever(Send)) == 1

    def test_items_settled_before_are_not_run(self):
        talk = Talk(total=10, first=4, skip=((5, 7), (9, 10)), chunks=ONE, workers=5).ready(1, 2, 3)
        assert [send.chunk.first for send in talk.ever(Send)] == [4, 7, 8]
        for worker in (3, 2, 1):
            talk.finish(worker)
        assert talk.emitted == [4, 7, 8]
        assert talk.ending == Finish("done")

    def test_all_items_resumed_means_done(self):
        assert Talk(total=3, skip=((0, 3),)).said == [Finish("done")]

    def test_no_more_than_allowed_are_ever_started(self):
        talk = Talk(workers=3, total=50, max_starts=2, chunks=ONE)
        assert talk.said[0] == StartWorkers(2)
        talk.ready(1).tell(WorkerDied, 1, "SIGKILL", 0)
        assert talk.ever(StartWorkers) == [StartWorkers(2)]


class TestOrder:
    def test_results_come_in_item_order(self):
        talk = Talk(total=3, workers=3, chunks=ONE).ready(1, 2, 3)
        assert talk.finish(3).finish(2).emitted == []
        assert talk.finish(1).emitted == [0, 1, 2]

    def test_unordered_results_come_as_they_are(self):
        talk = Talk(total=3, workers=3, chunks=ONE, ordered=False).ready(1, 2, 3)
        assert talk.finish(3).finish(1).finish(2).emitted == [2, 0, 1]

    def test_the_end_waits_for_figures_of_the_last_chunk(self):
        talk = Talk(total=1, workers=1).ready(1)
        chunk = talk.chunk_of(1)
        talk.tell(Finished, 1, chunk.id, (Batch(0, ("a",)),))
        assert talk.ending is None
        assert talk.emitted == [0]
        talk.tell(ChunkFinished, 1, chunk.id)
        assert talk.ending == Finish("done")

    def test_but_not_for_long(self):
        talk = Talk(total=1, workers=1).ready(1)
        talk.tell(Finished, 1, talk.chunk_of(1).id, (Batch(0, ("a",)),))
        assert talk.heard(WakeAt)
        talk.wait(talk.alarm)
        assert talk.ending == Finish("done")

    def test_nothing_is_said_after_the_end(self):
        talk = Talk(total=0)
        assert talk.tell(WorkerReady, 1) == []


class TestFrames:
    def test_a_frame_that_comes_twice_changes_nothing(self):
        talk = Talk(total=4, workers=1, chunks=ChunkAim(size=2)).ready(1)
        chunk = talk.chunk_of(1)
        talk.tell(Finished, 1, chunk.id, (Batch(0, ("first",)),))
        talk.tell(Finished, 1, chunk.id, (Batch(0, ("again", "next")),))
        assert [(o.index, o.value) for o in talk.outcomes.values()] == [(0, "first"), (1, "next")]

    def test_a_frame_may_repeat_old_results_and_end_beyond_the_chunk(self):
        talk = Talk(total=4, workers=1, chunks=ChunkAim(size=3)).ready(1)
        chunk = talk.chunk_of(1)
        talk.tell(Finished, 1, chunk.id, (Batch(0, "a", (0.1,)),))
        talk.tell(Finished, 1, chunk.id, (Batch(0, "xbcx", (0.1, 0.2, 0.3, 0.4)),))
        assert [(o.value, o.seconds) for o in talk.outcomes.values()] == [("a", 0.1), ("b", 0.2), ("c", 0.3)]

    def test_an_item_that_cannot_be_sent_is_no_gap(self):
        talk = Talk(total=3, workers=1, chunks=ChunkAim(size=3), raise_on_error=False).ready(1)
        chunk = talk.chunk_of(1)
        talk.tell(Unsendable, 1, chunk.id, 0, NotPicklableError("no"))
        talk.tell(Unsendable, 1, chunk.id, 1, NotPicklableError("no"))
        talk.tell(Finished, 1, chunk.id, (Batch(2, "c"),))
        talk.tell(ChunkFinished, 1, chunk.id)
        assert talk.ending == Finish("done")
        assert len(talk.ever(Send)) == 1

    def test_a_frame_of_another_worker_is_ignored(self):
        talk = Talk(total=4, workers=2, chunks=ONE).ready(1, 2)
        talk.tell(Finished, 2, talk.chunk_of(1).id, (Batch(0, ("wrong",)),))
        assert talk.emitted == []

    def test_late_results_of_a_dead_worker_are_ignored(self):
        talk = Talk(total=2, workers=2, chunks=ONE, ordered=False).ready(1, 2)
        lost = talk.chunk_of(1)
        talk.tell(WorkerDied, 1, "SIGKILL", 0)
        talk.tell(Finished, 1, lost.id, (Batch(0, ("late",)),))
        talk.tell(ChunkFinished, 1, lost.id)
        talk.tell(ChunkReturned, 1, lost.id, 0)
        assert talk.emitted == []

    def test_items_whose_results_were_lost_run_again(self):
        talk = Talk(total=3, workers=1, chunks=ChunkAim(size=3)).ready(1)
        chunk = talk.chunk_of(1)
        talk.tell(Finished, 1, chunk.id, (Batch(1, ("b",)),))
        talk.tell(ChunkFinished, 1, chunk.id)
        del talk.chunks[chunk.id]
        talk.finish(1)
        assert [(c.chunk.first, c.chunk.count) for c in talk.ever(Send)[1:]] == [(0, 1), (2, 1)]

    def test_results_of_the_next_chunk_close_the_one_before(self):
        talk = Talk(total=8, workers=1, chunks=ONE).ready(1)
        first, second = talk.chunk_of(1), talk.chunk_of(1, 1)
        talk.tell(Finished, 1, second.id, (Batch(1, ("b",)),))
        assert talk.sent()[0][1] == first.first


class TestPrefetch:
    def test_a_second_chunk_goes_out_while_enough_is_left(self):
        talk = Talk(total=8, workers=2, chunks=ONE).ready(1, 2)
        assert [(s.worker, s.chunk.first) for s in talk.ever(Send)] == [(1, 0), (2, 1), (1, 2), (2, 3)]

    def test_not_while_others_are_still_to_come(self):
        assert len(Talk(total=8, workers=2, chunks=ONE).ready(1).ever(Send)) == 1

    def test_not_when_others_would_go_without(self):
        talk = Talk(total=3, workers=2, chunks=ONE)
        assert [(s.worker, s.chunk.first) for s in talk.ready(1, 2).ever(Send)] == [(1, 0), (2, 1)]

    def test_window_one_sends_nothing_in_advance(self):
        assert len(Talk(total=8, workers=1, chunks=ONE, window=1).ready(1).ever(Send)) == 1

    def test_what_lies_behind_a_slow_item_is_taken_back(self):
        talk = Talk(total=5, workers=2, chunks=ONE).ready(1, 2)
        assert [(s.worker, s.chunk.first) for s in talk.ever(Send)] == [(1, 0), (2, 1), (1, 2)]
        behind = talk.chunk_of(1, 1)
        talk.now = 0.1
        talk.finish(2).finish(2).finish(2)
        assert talk.heard(CancelChunk) == [CancelChunk(1, behind.id)]
        talk.tell(ChunkReturned, 1, behind.id, behind.first)
        assert talk.sent() == [(2, 2, 1)]

    def test_a_chunk_is_asked_back_once(self):
        talk = Talk(total=5, workers=2, chunks=ONE).ready(1, 2)
        talk.now = 0.1
        talk.finish(2).finish(2).finish(2)
        talk.wait(0.01)
        talk.wait(0.01)
        assert len(talk.ever(CancelChunk)) == 1

    def test_what_begins_soon_is_left_until_it_is_late(self):
        talk = Talk(total=5, workers=2, chunks=ONE).ready(1, 2)
        talk.now = 0.001
        talk.finish(2).finish(2).finish(2)
        assert not talk.ever(CancelChunk)
        assert 0.001 < talk.alarm < 0.002
        talk.now = talk.alarm
        talk.tell(Tick)
        assert len(talk.heard(CancelChunk)) == 1

    def test_how_long_it_will_take_counts_from_when_the_worker_began(self):
        talk = Talk(total=5, workers=2, chunks=ONE, item_cost=0.004).ready(1, 2)
        talk.now = 0.004
        assert talk.tell(WorkerBegan, 1, 0.003, 0.003) == []
        talk.finish(2).finish(2).finish(2)
        assert talk.heard(CancelChunk), "3 ms are left, not none"

    def test_but_not_once_it_has_done_something(self):
        talk = Talk(total=6, workers=2, chunks=ONE, item_cost=0.004).ready(1, 2).finish(1)
        talk.tell(WorkerBegan, 1, 7.0, 7.0)
        talk.tell(WorkerBegan, 9, 7.0, 7.0)
        assert talk.scheduler._roster.alive[1].began == 0.0

    def test_the_rest_of_a_chunk_is_taken_back_if_its_items_turn_out_long(self):
        talk = Talk(total=40, workers=2, item_cost=0.0001, window=1).ready(1, 2)
        while talk.scheduler.waiting:
            talk.finish(1)
        talk.finish(1)
        chunk = talk.chunk_of(2)
        assert (chunk.first, chunk.count) == (10, 10)
        assert talk.alarm < 0.01
        talk.wait(1.0)
        assert talk.heard(CancelChunk) == [CancelChunk(2, chunk.id)]
        talk.now = 2.0
        talk.tell(Finished, 2, chunk.id, tuple(talk.results(chunk))[:1])
        talk.tell(ChunkReturned, 2, chunk.id, 11)
        assert [first for _, first, _ in talk.sent()] == [11, 12]
        assert talk.scheduler._chunks.cost > 0.2

    def test_a_chunk_of_fixed_size_is_not_shared(self):
        talk = Talk(total=12, workers=2, chunks=ChunkAim(size=6)).ready(1, 2).finish(1)
        talk.wait(10.0)
        assert not talk.ever(CancelChunk)

    def test_a_single_item_cannot_be_shared(self):
        talk = Talk(total=2, workers=2, chunks=ONE).ready(1, 2).finish(1)
        talk.wait(10.0)
        assert not talk.ever(CancelChunk)

    def test_little_work_is_not_worth_asking_back(self):
        talk = Talk(total=5, workers=2, chunks=ONE, item_cost=1e-6).ready(1, 2)
        for _ in range(3):
            done = talk.chunk_of(2)
            talk.tell(Finished, 2, done.id, tuple(talk.results(done)))
            talk.tell(ChunkFinished, 2, done.id)
            del talk.chunks[done.id]
        assert talk.scheduler.idle == 1
        assert not talk.ever(CancelChunk)


class TestHere:
    @pytest.mark.parametrize(("warming_s", "items"), [(0.002, 1), (0.020, 5), (0.1, 10)])
    def test_short_items_run_here_while_workers_start(self, warming_s, items):
        talk = Talk(total=1000, item_cost=0.001, here_allowed=True, warming_s=warming_s)
        assert talk.said == [StartWorkers(2), RunHere(talk.chunk_of(HERE))]
        assert talk.chunk_of(HERE).count == items

    def test_nothing_runs_here_where_workers_come_at_once(self):
        talk = Talk(total=1000, item_cost=1e-5, here_allowed=True, warming_s=5e-5)
        assert talk.said == [StartWorkers(2), WakeAt(0.001)]
        talk.wait(0.001)
        assert talk.ever(RunHere)  # they did not

    def test_long_items_wait_for_workers(self):
        assert Talk(total=1000, item_cost=0.1, here_allowed=True).said == [StartWorkers(2), WakeAt(0.1)]

    def test_long_items_run_here_too_if_workers_take_longer_to_start(self):
        talk = Talk(total=1000, item_cost=0.1, here_allowed=True, warming_s=0.1)
        assert talk.said == [StartWorkers(2), RunHere(talk.chunk_of(HERE))]
        assert talk.chunk_of(HERE).count == 1

    def test_long_items_run_here_once_workers_have_kept_it_waiting_as_long(self):
        talk = Talk(total=1000, item_cost=0.1, here_allowed=True)
        assert talk.heard(WakeAt) == [WakeAt(0.1)]
        talk.now = 0.1
        talk.tell(Tick)
        assert talk.heard(RunHere) == [RunHere(talk.chunk_of(HERE))]

    def test_what_the_caller_is_at_already_counts_as_a_worker(self):
        talk = Talk(total=4, workers=2, here_allowed=True, at_first=True)
        chunk = talk.chunk_of(HERE)
        assert talk.said == [RunHere(chunk, begun=True), StartWorkers(1)]
        assert (chunk.first, chunk.count) == (0, 1)
        talk.ready(1)
        assert [send.chunk.first for send in talk.heard(Send)] == [1, 2]
        assert StartWorkers(1) in talk.finish(HERE).said
        assert [piece.settled.first for piece in talk.ever(Emit)] == [0]

    def test_its_end_is_waited_for(self):
        talk = Talk(total=2, workers=2, here_allowed=True, at_first=True).ready(1)
        assert not talk.finish(1).heard(Emit)
        assert talk.finish(HERE).heard(Finish) == [Finish("done")]

    def test_once_a_worker_is_ready_nothing_runs_here(self):
        talk = Talk(total=1000, item_cost=0.001, here_allowed=True).ready(1)
        assert not talk.finish(HERE).heard(RunHere)

    def test_if_no_worker_can_be_started_all_runs_here(self):
        talk = Talk(total=25, item_cost=0.001, here_allowed=True, warming_s=0.04)
        talk.tell(StartFailed, "EAGAIN", 2)
        assert talk.said == [StartWorkers(2)]
        talk.tell(StartFailed, "EAGAIN", 2)
        assert talk.heard(Decide) == [Decide("fallback.start-failed", {"why": "EAGAIN"})]
        for _ in range(3):
            talk.finish(HERE)
        assert talk.ending == Finish("done")
        assert talk.emitted == list(range(25))

    def test_those_that_exist_go_on_without_the_others(self):
        talk = Talk(workers=3, total=25, here_allowed=True, chunks=FIVE).ready(1)
        talk.tell(StartFailed, "EAGAIN", 2)
        talk.tell(StartFailed, "EAGAIN", 2)
        while talk.ending is None:
            talk.finish(1)
        assert talk.ever(StartWorkers) == [StartWorkers(3), StartWorkers(2)]
        assert talk.ending == Finish("done")

    def test_a_dead_worker_is_replaced_after_a_start_that_failed(self):
        talk = Talk(workers=3, total=25, chunks=FIVE).ready(1)
        talk.tell(StartFailed, "EAGAIN", 2)
        talk.tell(StartFailed, "EAGAIN", 2)
        talk.tell(WorkerDied, 1, "SIGKILL", 0)
        assert talk.heard(StartWorkers) == [StartWorkers(1)]

    def test_one_start_that_fails_is_tried_again(self):
        talk = Talk(workers=2, total=25, chunks=FIVE).ready(1)
        for worker in (2, 3, 4, 5):
            talk.tell(StartFailed, "a worker died while starting")
            assert talk.heard(StartWorkers) == [StartWorkers(1)]
            talk.ready(worker)
            talk.tell(WorkerRetired, worker)

    def test_an_item_that_cannot_be_sent_runs_here_alone(self):
        talk = Talk(total=10, chunks=FIVE, here_allowed=True).ready(1)
        talk.tell(Unsendable, 1, talk.chunk_of(1).id, 3, NotPicklableError("items[3] is a lock"))
        assert talk.heard(RunHere) == [RunHere(talk.chunk_of(HERE))]
        talk.finish(HERE)
        chunk = talk.chunk_of(1)
        talk.tell(Finished, 1, chunk.id, (Batch(0, (0, 1, 2)), Batch(4, (4,))))
        talk.tell(ChunkFinished, 1, chunk.id)
        assert talk.emitted == [0, 1, 2, 3, 4]
        assert [send.chunk.first for send in talk.ever(Send)].count(3) == 0

    def test_or_fails_where_nothing_may_run_here(self):
        error = NotPicklableError("items[3] is a lock")
        talk = Talk(total=5, chunks=FIVE, raise_on_error=False).ready(1)
        talk.tell(Unsendable, 1, talk.chunk_of(1).id, 3, error)
        talk.finish(1)
        assert talk.outcomes[3] == Failed(index=3, error=error)
        assert [type(talk.outcomes[i]) for i in (0, 1, 2, 4)] == [Ok] * 4

    def test_a_chunk_of_which_nothing_was_sent_is_over(self):
        talk = Talk(total=3, workers=1, chunks=ONE, window=1, raise_on_error=False).ready(1)
        talk.tell(Unsendable, 1, talk.chunk_of(1).id, 0, NotPicklableError("no"))
        assert talk.sent() == [(1, 1, 1)]

    def test_an_unknown_unsendable_item_is_ignored(self):
        talk = Talk(total=3, workers=1, chunks=ONE).ready(1)
        assert talk.tell(Unsendable, 1, talk.chunk_of(1).id, 2, NotPicklableError("no")) == []

    def test_a_failing_initializer_breaks_the_run(self):
        cause = BackendError("initializer: no licence")
        talk = Talk(total=5, here_allowed=True)
        talk.tell(StartFailed, "initializer failed", 1, fatal=True, error=cause)
        assert talk.said == [Finish("broken", cause)]

    def test_workers_only_and_none_can_be_started(self):
        talk = Talk(total=5)
        talk.tell(StartFailed, "ENOMEM", 2)
        talk.tell(StartFailed, "ENOMEM", 2)
        assert talk.ending.how == "broken"
        assert str(talk.ending.error) == "workers could not be started: ENOMEM"


class TestInPlaceOfAWorker:
    """So little is left that the calling process does the part of one worker, which then is not started."""

    def talk(self, total=40, **config):
        return Talk(
            **{"total": total, "item_cost": 0.001, "here_allowed": True, "caller_s": 0.05, "warming_s": 0.0} | config
        )

    def test_one_worker_fewer_is_started_and_served_first(self):
        talk = self.talk()
        assert talk.heard(StartWorkers) == [StartWorkers(1)]
        talk.ready(1)
        assert talk.sent() == [(1, 0, 10), (1, 10, 7)]
        here = talk.chunk_of(HERE)
        assert (here.first, here.count) == (17, 5)
        assert talk.said[-1] == RunHere(here)

    def test_all_workers_where_more_is_left(self):
        assert self.talk(total=60).heard(StartWorkers) == [StartWorkers(2)]

    @pytest.mark.parametrize("config", [{"here_allowed": False}, {"item_cost": None}, {"lookahead": 8}])
    def test_all_workers_where_that_cannot_be_known_or_is_not_allowed(self, config):
        assert self.talk(**config).heard(StartWorkers) == [StartWorkers(2)]

    def test_a_single_worker_is_started_all_the_same(self):
        talk = self.talk(workers=1)
        assert talk.heard(StartWorkers) == [StartWorkers(1)]
        assert not talk.ready(1).ever(RunHere)

    def test_it_goes_on_until_nothing_is_left(self):
        talk = self.talk(total=12, chunks=FIVE).ready(1)
        assert talk.sent() == [(1, 0, 5), (1, 5, 5)]
        assert talk.chunk_of(HERE).count == 2
        assert not talk.finish(HERE).ending
        assert talk.finish(1).finish(1).ending == Finish("done")
        assert talk.emitted == list(range(12))
        assert talk.ever(StartWorkers) == [StartWorkers(1)]

    def test_idle_it_asks_back_what_the_worker_will_not_begin_soon(self):
        talk = self.talk(total=8, chunks=ONE, item_cost=0.006).ready(1)
        while talk.scheduler.waiting:
            talk.now += 0.006
            talk.finish(HERE)
        talk.now += 0.002
        behind = talk.chunk_of(1, 1)
        assert talk.finish(HERE).heard(CancelChunk) == [CancelChunk(1, behind.id)]
        talk.tell(ChunkReturned, 1, behind.id, behind.first)
        assert [run.chunk.first for run in talk.heard(RunHere)] == [behind.first]

    def test_once_items_turn_out_long_the_missing_worker_is_started(self):
        talk = self.talk(chunks=ONE).ready(1)
        chunk = talk.chunk_of(1)
        talk.now = 1.0
        talk.tell(ChunkFinished, 1, chunk.id, ChunkStats(busy=1.0), tuple(talk.results(chunk)))
        assert talk.heard(StartWorkers) == [StartWorkers(1)]
        talk.finish(HERE).ready(2)
        assert not talk.heard(RunHere)

    def test_of_a_worker_that_died_too(self):
        talk = self.talk(total=60).ready(1, 2)
        talk.finish(1).finish(1)
        talk.tell(WorkerDied, 2, "SIGKILL")
        assert not talk.heard(StartWorkers)
        assert talk.heard(RunHere)

    def test_the_last_of_the_work_is_done_here_while_the_worker_ends(self):
        talk = self.talk(total=30, end_s=0.003).ready(1)
        assert talk.sent() == [(1, 0, 7), (1, 7, 5)]
        while talk.scheduler.waiting > 6:
            talk.finish(HERE)
        assert not talk.finish(1).sent()
        assert talk.finish(1).heard(Retire) == [Retire(1)]
        talk.tell(WorkerRetired, 1)
        while not talk.ending:
            talk.finish(HERE)
        assert talk.ever(StartWorkers) == [StartWorkers(1)]
        assert talk.emitted == list(range(30))

    def test_but_not_what_may_have_killed_a_worker(self):
        talk = self.talk(total=3, chunks=ONE, end_s=0.07, caller_s=0.2, item_cost=0.06).ready(1)
        suspect = talk.chunk_of(1).first
        talk.tell(WorkerDied, 1, "SIGKILL", suspect)
        assert talk.heard(StartWorkers) == [StartWorkers(1)]
        assert [send.chunk.first for send in talk.ready(2).heard(Send)] == [suspect]
        assert suspect not in [run.chunk.first for run in talk.ever(RunHere)]

    def test_what_a_worker_still_has_is_asked_back_all_the_same(self):
        talk = self.talk(total=8, chunks=ONE, item_cost=0.006, end_s=0.001).ready(1)
        while talk.scheduler.waiting:
            talk.now += 0.006
            talk.finish(HERE)
        talk.now += 0.002
        assert len(talk.finish(HERE).heard(CancelChunk)) == 1

    def test_with_little_memory_one_at_a_time(self):
        talk = self.talk(chunks=ONE)
        talk.tell(MemoryLow, 1, None)
        assert not talk.ready(1).ever(RunHere)

    def test_its_blocks_count_for_the_pace(self):
        talk = self.talk(caller_s=10.0, total=400, chunks=FIVE)
        talk.ready(1)
        while not talk.ending:
            talk.now += 0.005
            if any(holder == HERE for holder, _ in talk.chunks.values()):
                talk.finish(HERE)
            if not talk.ending:
                talk.finish(1)
        assert not talk.ever(Decide), "two at the same pace gain half"


class TestNoGain:
    def run(self, alone_s: float, chunk_s: float, trial_s: float, **config: bool) -> Talk:
        """Two workers do 12 chunks of 5 items in ``chunk_s`` each pair; then perhaps a trial of ``trial_s`` an item."""
        talk = Talk(
            total=1000, item_cost=alone_s, here_allowed=True, chunks=FIVE, here_s=0.005, warming_s=0.005, **config
        ).ready(1, 2)
        for _ in range(6):
            for worker in (1, 2):
                talk.now += chunk_s / 2
                talk.finish(worker)
        for worker in (1, 2):
            while any(holder == worker for holder, _ in talk.chunks.values()) and not talk.ever(RunHere):
                talk.finish(worker)
        if talk.ever(RunHere):
            chunk = talk.chunk_of(HERE)
            talk.tell(Finished, HERE, chunk.id, (Batch(chunk.first, range(chunk.count)),))
            stats = ChunkFinished(talk.now, HERE, chunk.id).stats
            talk.tell(ChunkFinished, HERE, chunk.id, type(stats)(busy=trial_s * chunk.count))
            del talk.chunks[chunk.id]
        return talk

    def test_a_good_pace_is_left_alone(self):
        talk = self.run(alone_s=0.01, chunk_s=0.05, trial_s=0.01)
        assert not talk.ever(Decide)
        assert not talk.ever(RunHere)

    def test_no_gain_moves_the_run_here(self):
        talk = self.run(alone_s=0.01, chunk_s=0.2, trial_s=0.01)
        assert [d.code for d in talk.ever(Decide)] == ["fallback.no-gain"]
        assert talk.ever(Retire) == [Retire(1), Retire(2)]
        talk.tell(WorkerRetired, 1)
        talk.tell(WorkerRetired, 2)
        while talk.ending is None:
            talk.finish(HERE)
        assert talk.ending == Finish("done")
        assert sorted(talk.outcomes) == list(range(1000))

    def test_lent_workers_rest_and_are_there_for_the_next_run(self):
        talk = self.run(alone_s=0.01, chunk_s=0.2, trial_s=0.01, lent=True)
        assert [d.code for d in talk.ever(Decide)] == ["fallback.no-gain"]
        assert not talk.ever(Retire)
        sent = len(talk.ever(Send))
        while talk.ending is None:
            talk.finish(HERE)
        assert talk.ending == Finish("done")
        assert len(talk.ever(Send)) == sent
        assert sorted(talk.outcomes) == list(range(1000))

    def test_items_that_became_dearer_stay_with_the_workers(self):
        talk = self.run(alone_s=0.01, chunk_s=0.2, trial_s=0.04)
        assert not talk.ever(Decide)
        assert talk.heard(Send)

    def test_what_killed_a_worker_goes_to_a_worker_even_then(self):
        talk = self.run(alone_s=0.01, chunk_s=0.2, trial_s=0.01)
        talk.tell(WorkerRetired, 1)
        talk.tell(WorkerRetired, 2)
        talk.scheduler._queue.put_back(talk.scheduler._queue.take(1)._replace(suspect=True))
        talk.finish(HERE)
        assert talk.heard(StartWorkers) == [StartWorkers(1)]
        talk.ready(3)
        assert len(talk.heard(Send)) == 1

    def test_with_suspects_only_there_is_no_trial(self):
        talk = Talk(workers=2, total=13, item_cost=0.02, here_allowed=True, chunks=ONE, window=1).ready(1, 2)
        for worker in (1, 2) * 6:
            talk.now += 0.1
            talk.finish(worker)
        assert talk.chunk_of(1).first == 12
        talk.tell(WorkerDied, 1, "SIGKILL", 12)
        assert talk.sent() == [(2, 12, 1)]
        assert not talk.ever(RunHere)


class TestUnknownSource:
    def test_items_are_asked_for(self):
        talk = Talk(total=None)
        assert talk.said == [Draw(64)]
        assert talk.tell(Drawn, 3) == [StartWorkers(2)]

    def test_a_source_may_answer_bit_by_bit(self):
        talk = Talk(total=None, workers=1, chunks=ONE)
        talk.tell(Drawn, 1)
        talk.ready(1)
        talk.tell(Drawn, 1)
        talk.tell(SourceEnded)
        talk.finish(1).finish(1)
        assert talk.emitted == [0, 1]
        assert talk.ending == Finish("done")

    def test_an_empty_source_is_done(self):
        talk = Talk(total=None)
        talk.tell(SourceEnded)
        assert talk.said == [Finish("done")]

    def test_an_error_of_the_source_comes_after_all_before_it(self):
        error = OSError("disk")
        talk = Talk(total=None, workers=1, chunks=ONE)
        talk.tell(Drawn, 2)
        talk.ready(1)
        talk.tell(SourceEnded, error)
        talk.finish(1)
        assert talk.ending is None
        assert talk.finish(1).ending == Finish("source", error)
        assert talk.emitted == [0, 1]

    def test_a_failing_item_before_it_comes_first(self):
        talk = Talk(total=None, workers=1, chunks=ONE)
        talk.tell(Drawn, 2)
        talk.ready(1)
        talk.tell(SourceEnded, OSError("disk"))
        talk.finish(1, fails=(0,))
        assert talk.ending.how == "error"
        assert str(talk.ending.error) == "bad 0"

    def test_results_known_when_drawn_are_told_in_their_turn(self):
        talk = Talk(total=None, workers=1, chunks=ONE)
        talk.tell(Drawn, 4, (Batch(1, ("from the journal", "too")),))
        talk.ready(1)
        talk.tell(SourceEnded)
        assert [send.chunk.first for send in talk.ever(Send)] == [0]
        talk.finish(1).finish(1)
        assert talk.emitted == [0, 1, 2, 3]

    def test_a_future_is_cancelled_while_it_waits(self):
        talk = Talk(total=None, workers=1, chunks=ONE, window=1, ordered=False, raise_on_error=False)
        talk.tell(Drawn, 4)
        talk.ready(1)
        talk.tell(Cancel, (0, 2, 9))
        talk.tell(SourceEnded)
        while talk.ending is None:
            talk.finish(1)
        assert talk.emitted == [0, 1, 3]

    def test_nothing_waits_for_a_cancelled_item(self):
        talk = Talk(total=3, workers=1, chunks=ONE, window=1).ready(1)
        talk.tell(Cancel, (1,))
        talk.finish(1).finish(1)
        assert talk.emitted == [0, 2]
        assert talk.ending == Finish("done")


class TestLookahead:
    def test_no_more_is_handed_out_than_may_wait(self):
        talk = Talk(total=100, workers=4, lookahead=3, chunks=ONE).ready(1, 2, 3, 4)
        assert [send.chunk.first for send in talk.ever(Send)] == [0, 1, 2]
        talk.finish(2)
        assert talk.heard(Send) == []
        talk.finish(1)
        assert [first for _, first, _ in talk.sent()] == [3, 4]

    def test_a_consumer_that_takes_nothing_stops_the_run(self):
        talk = Talk(total=100, workers=1, lookahead=2, paced=True, chunks=ONE).ready(1).finish(1).finish(1)
        assert len(talk.ever(Send)) == 2
        talk.tell(Demand, 1)
        assert talk.sent() == [(1, 2, 1)]

    def test_a_source_of_unknown_length_is_not_asked_for_more(self):
        talk = Talk(total=None, workers=1, lookahead=5, paced=True, chunks=ONE)
        assert talk.said == [Draw(5)]
        talk.tell(Drawn, 5)
        talk.ready(1).finish(1).finish(1)
        assert len(talk.ever(Draw)) == 1
        talk.tell(Demand, 2)
        assert talk.heard(Draw) == [Draw(2)]

    def test_skipped_items_do_not_count(self):
        talk = Talk(total=20, workers=4, lookahead=2, skip=((1, 10),), chunks=ONE).ready(1, 2, 3)
        assert [send.chunk.first for send in talk.ever(Send)] == [0, 10]


class TestRaise:
    def test_the_lowest_failing_item_decides(self):
        talk = Talk(total=4, workers=4, chunks=ONE).ready(1, 2, 3, 4)
        talk.finish(3, fails=(2,))
        assert talk.ending is None
        talk.finish(2, fails=(1,))
        assert talk.ending is None
        talk.finish(1)
        assert str(talk.ending.error) == "bad 1"
        assert talk.emitted == [0, 1, 2]

    def test_nothing_above_a_failure_is_started(self):
        talk = Talk(total=100, workers=2, chunks=ONE, window=1).ready(1, 2)
        talk.finish(2, fails=(1,))
        assert talk.heard(Send) == []
        assert talk.finish(1).ending.how == "error"

    def test_chunks_above_a_failure_are_asked_back(self):
        talk = Talk(total=100, workers=2, chunks=ONE).ready(1, 2)
        above = talk.chunk_of(2, 1)
        talk.finish(2, fails=(1,))
        assert {command.chunk for command in talk.ever(CancelChunk)} == {above.id, talk.chunk_of(1, 1).id}
        assert talk.finish(1).ending.how == "error"

    def test_items_below_a_failure_are_finished_even_after_a_loss(self):
        talk = Talk(total=10, workers=2, chunks=ChunkAim(size=3), window=1).ready(1, 2)
        talk.finish(2, fails=(4,))
        talk.tell(WorkerDied, 1, "SIGKILL", 0)
        talk.drop_chunks(1)
        assert [(c.chunk.first, c.chunk.count) for c in talk.heard(Send)] == [(0, 1)]
        talk.finish(2).finish(2)
        assert talk.emitted == [0, 1, 2, 3, 4, 5]
        assert str(talk.ending.error) == "bad 4"

    def test_finished_results_above_are_told_too(self):
        talk = Talk(total=3, workers=3, chunks=ONE).ready(1, 2, 3).finish(3).finish(1, fails=(0,))
        assert talk.emitted == [0, 2]

    def test_on_error_return_goes_on(self):
        talk = (
            Talk(total=3, workers=1, chunks=ONE, raise_on_error=False)
            .ready(1)
            .finish(1, fails=(0,))
            .finish(1)
            .finish(1)
        )
        assert [type(talk.outcomes[i]).__name__ for i in range(3)] == ["Failed", "Ok", "Ok"]
        assert talk.ending == Finish("done")


class TestStop:
    def test_an_interrupt_lets_running_items_finish_and_begins_nothing(self):
        talk = Talk(total=100, workers=2, chunks=ONE).ready(1, 2)
        talk.tell(Interrupt, 1)
        assert len(talk.heard(CancelChunk)) == 4
        assert not talk.finish(1).heard(Send)
        for worker in (1, 2):
            for which in (0, 1):
                chunk = [c for w, c in talk.chunks.values() if w == worker][0:1]
                if chunk:
                    talk.tell(ChunkReturned, worker, chunk[0].id, chunk[0].first)
                    del talk.chunks[chunk[0].id]
        assert talk.ending == Finish("interrupted")
        assert talk.emitted == [0]

    def test_with_nothing_running_it_ends_at_once(self):
        talk = Talk(total=100)
        assert talk.tell(Interrupt, 1) == [Finish("interrupted")]

    def test_the_second_signal_ends_at_once_and_keeps_what_is_finished(self):
        talk = Talk(total=100, workers=2, chunks=ONE).ready(1, 2).finish(2)
        talk.tell(Interrupt, 1)
        talk.tell(Interrupt, 2)
        assert talk.ending == Finish("interrupted")
        assert talk.emitted == [1]

    def test_a_deadline_is_an_interrupt_of_another_name(self):
        talk = Talk(total=100, workers=1, chunks=ONE, window=1).ready(1)
        talk.tell(Deadline)
        assert talk.finish(1).ending == Finish("deadline")

    @pytest.mark.parametrize(
        ("event", "how"), [((Interrupt, 2), "deadline"), ((Interrupt, 1), "interrupted"), ((Deadline,), "deadline")]
    )
    def test_what_ends_the_grace_of_a_deadline(self, event, how):
        talk = Talk(total=100, workers=1, chunks=ONE).ready(1)
        talk.tell(Deadline)
        talk.tell(*event)
        assert talk.ending == Finish(how)

    def test_a_second_signal_alone_ends_the_run(self):
        talk = Talk(total=100, workers=1, chunks=ONE).ready(1)
        assert talk.tell(Interrupt, 2) == [Finish("interrupted")]

    def test_no_worker_is_replaced_after_an_interrupt(self):
        talk = Talk(total=100, workers=2, chunks=ONE, window=1).ready(1, 2)
        talk.tell(Interrupt, 1)
        talk.tell(WorkerDied, 1, "SIGKILL", 0)
        assert not talk.heard(StartWorkers)


def test_the_state_can_be_read():
    talk = Talk(total=10, chunks=ONE).ready(1)
    assert repr(talk.scheduler) == "<Scheduler running: 9 waiting, 1 chunks in flight, 1 workers, 0 idle, 1 starting>"
    talk.tell(Interrupt, 2)
    assert repr(talk.scheduler).startswith("<Scheduler over")


def test_a_tick_without_cause_says_nothing():
    assert Talk(total=10).step(Tick(5.0)) == []
