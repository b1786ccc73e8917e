"""Failures, deaths, time: what they cost, and whom. No clock runs here; time is a number."""

from __future__ import annotations

import pytest
from tests.unit.engine.talk import Talk

from fanwise.engine._attempts import Attempts, delay_before
from fanwise.engine._chunks import ChunkAim
from fanwise.errors import ItemTimeoutError, NotPicklableError, WorkerLostError
from fanwise.records.chunks import ChunkStats
from fanwise.records.outcomes import Batch, Failed, Lost, Ok
from fanwise.records.scheduling import (
    ChunkFinished,
    Drawn,
    Finish,
    Finished,
    Kill,
    MemoryLow,
    Retrying,
    RunHere,
    Running,
    Send,
    SourceEnded,
    StartFailed,
    StartWorkers,
    Tick,
    WorkerDied,
    WorkerRetired,
)
from fanwise.typing import Retry

ONE = ChunkAim(size=1)
FOUR = ChunkAim(size=4)


def alone(total: int = 8, chunks: ChunkAim = FOUR, **config) -> Talk:
    """One worker, nothing sent in advance, outcomes returned."""
    return Talk(workers=1, total=total, chunks=chunks, window=1, raise_on_error=False, **config).ready(1)


def sends(talk: Talk) -> list[tuple[int, int, int]]:
    """(first, count, attempt) of every chunk sent so far."""
    return [(s.chunk.first, s.chunk.count, s.chunk.attempt) for s in talk.ever(Send)]


class TestRetries:
    def test_a_failed_item_is_tried_again_after_a_wait(self):
        talk = alone(total=1, retry=Retry(2)).finish(1, fails=(0,))
        assert talk.heard(Retrying) == [Retrying(0, 2)]
        assert talk.heard(Send) == []
        assert 0.025 <= talk.alarm <= 0.05
        talk.wait(talk.alarm)
        assert sends(talk)[-1] == (0, 1, 2)
        assert talk.finish(1).outcomes[0] == Ok(index=0, value=0, attempts=2)

    def test_others_run_meanwhile(self):
        talk = alone(total=3, chunks=ONE, retry=Retry(1)).finish(1, fails=(0,))
        assert talk.sent() == [(1, 1, 1)]

    def test_the_last_failure_is_final(self):
        talk = alone(total=1, retry=Retry(2))
        for _ in range(3):
            talk.wait(1.0)
            talk.finish(1, fails=(0,))
        assert talk.outcomes[0].attempts == 3
        assert isinstance(talk.outcomes[0], Failed)
        assert talk.ending == Finish("done")

    @pytest.mark.parametrize("error", [SystemExit(3), NotPicklableError("a lock")])
    def test_some_failures_are_final_at_once(self, error):
        talk = alone(total=1, retry=Retry(5, on=(BaseException,))).finish(1, fails=(0,), error=error)
        assert talk.outcomes[0].error is error

    def test_only_what_was_asked_for_is_tried_again(self):
        talk = alone(total=1, retry=Retry(5, on=(OSError,))).finish(1, fails=(0,))
        assert isinstance(talk.outcomes[0], Failed)

    def test_no_retries_means_none(self):
        assert isinstance(alone(total=1, retry=Retry(0)).finish(1, fails=(0,)).outcomes[0], Failed)

    def test_waits_grow_and_are_the_same_every_time(self):
        retry = Retry(20)
        waits = [delay_before(retry, 7, attempt) for attempt in range(2, 14)]
        assert waits == [delay_before(retry, 7, attempt) for attempt in range(2, 14)]
        for attempt, wait in enumerate(waits, 2):
            whole = min(30.0, 0.05 * 2 ** (attempt - 2))
            assert whole / 2 <= wait <= whole
        assert len({delay_before(retry, index, 2) for index in range(50)}) == 50

    def test_a_thousandth_attempt_waits_no_longer_than_the_limit(self):
        assert delay_before(Retry(2000), 0, 2000) <= 30.0


class TestDeaths:
    def test_only_the_item_at_hand_is_suspected(self):
        talk = alone()
        talk.tell(Finished, 1, talk.chunk_of(1).id, (Batch(0, (0,)),))
        talk.tell(WorkerDied, 1, "SIGKILL", 1)
        assert talk.said == [Retrying(1, 2), StartWorkers(1)]
        talk.drop_chunks(1)
        talk.ready(2)
        while talk.ending is None:
            talk.finish(2)
        assert sends(talk)[1:] == [(1, 1, 2), (2, 2, 1), (4, 4, 1)]
        assert {i: o.attempts for i, o in talk.outcomes.items()} == {0: 1, 1: 2, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1}

    def test_two_deaths_and_the_item_is_lost(self):
        talk = alone(total=3, chunks=ONE)
        talk.tell(WorkerDied, 1, "exit code 3", 0)
        talk.ready(2).tell(WorkerDied, 2, "exit code 3", 0)
        outcome = talk.outcomes[0]
        assert isinstance(outcome, Lost)
        assert (outcome.attempts, outcome.reason) == (2, "exit code 3")
        assert isinstance(outcome.error, WorkerLostError)
        assert str(outcome.error) == (
            "item 0 was lost: the process that ran it ended (exit code 3), in each of 2 attempts; "
            'run it alone with workers=1 to see why, or pass on_error="return" to keep all other results'
        )

    def test_a_lost_item_raises_where_errors_are_raised(self):
        talk = Talk(workers=1, total=3, chunks=ONE).ready(1)
        talk.tell(WorkerDied, 1, "SIGSEGV", 0)
        talk.ready(2).tell(WorkerDied, 2, "SIGSEGV", 0)
        assert talk.ending.how == "error"
        assert isinstance(talk.ending.error, WorkerLostError)

    def test_retries_come_on_top_of_the_free_one(self):
        talk = alone(total=1, retry=Retry(1))
        for worker in (1, 2, 3):
            talk.tell(WorkerDied, worker, "SIGKILL", 0)
            talk.wait(1.0)
            talk.ready(worker + 1)
        assert talk.ever(Retrying) == [Retrying(0, 2), Retrying(0, 3)]
        assert talk.outcomes[0].attempts == 3

    def test_the_chunk_behind_is_innocent(self):
        talk = Talk(workers=1, total=8, chunks=ChunkAim(size=2), raise_on_error=False).ready(1)
        talk.tell(WorkerDied, 1, "SIGKILL", 0)
        talk.ready(2)
        assert sends(talk)[2:] == [(0, 1, 2), (1, 1, 1)]

    def test_an_idle_worker_may_die_for_free(self):
        talk = Talk(workers=2, total=3, chunks=ONE, window=1).ready(1, 2).finish(2).finish(2)
        talk.tell(WorkerDied, 2, "SIGKILL", None, idle=True)
        assert not talk.ever(Retrying)

    def test_even_with_a_chunk_on_its_way(self):
        talk = alone()
        talk.tell(WorkerDied, 1, "SIGKILL", None, idle=True)
        talk.ready(2)
        assert not talk.ever(Retrying)
        assert sends(talk) == [(0, 4, 1), (0, 4, 1)]

    def test_an_item_that_is_done_is_not_to_blame(self):
        talk = alone(total=4)
        talk.tell(Finished, 1, talk.chunk_of(1).id, (Batch(0, (0, 1)),))
        talk.tell(WorkerDied, 1, "SIGKILL", 1)
        assert not talk.ever(Retrying)

    def test_if_nobody_knows_the_chunk_is_halved(self):
        talk = alone(total=4)
        killer, worker = 2, 1
        while talk.ending is None:
            chunk = talk.ever(Send)[-1].chunk
            if chunk.first <= killer < chunk.first + chunk.count:
                talk.tell(WorkerDied, worker, "gone")
                talk.drop_chunks(worker)
                worker += 1
                talk.ready(worker)
            else:
                talk.finish(worker)
        assert sends(talk) == [(0, 4, 1), (0, 2, 1), (2, 2, 1), (2, 1, 1), (2, 1, 2), (3, 1, 1)]
        assert [type(talk.outcomes[i]) for i in range(4)] == [Ok, Ok, Lost, Ok]

    def test_a_retired_worker_gives_its_chunks_back(self):
        talk = alone(total=4)
        talk.tell(WorkerRetired, 1)
        assert talk.said == [StartWorkers(1)]
        talk.ready(2)
        assert sends(talk)[-1] == (0, 4, 1)

    def test_a_lost_outcome_told_by_a_remote_crew_is_final(self):
        talk = alone(total=1)
        gone = Lost(index=0, error=WorkerLostError("node"), reason="node")
        talk.tell(Finished, 1, talk.chunk_of(1).id, (gone,))
        talk.tell(ChunkFinished, 1, talk.chunk_of(1).id)
        assert talk.outcomes[0] is gone


class TestDeathsAtStart:
    def three_die(self, **config) -> Talk:
        talk = Talk(workers=1, total=5, chunks=ONE, raise_on_error=False, **config)
        for worker in (1, 2, 3):
            talk.tell(WorkerDied, worker, "exit code 1")
        return talk

    def test_after_three_in_a_row_no_more_are_started(self):
        assert len(self.three_die().ever(StartWorkers)) == 3

    def test_the_rest_is_lost_where_workers_were_asked_for(self):
        talk = self.three_die()
        assert {o.reason for o in talk.outcomes.values()} == {"workers keep dying while starting: exit code 1"}
        assert len(talk.outcomes) == 5
        assert talk.ending == Finish("done")

    def test_or_runs_here(self):
        talk = self.three_die(here_allowed=True, item_cost=1.0)
        while talk.ending is None:
            talk.finish(0)
        assert [type(o) for o in talk.outcomes.values()] == [Ok] * 5

    def test_but_never_what_may_have_killed_a_worker(self):
        talk = Talk(workers=1, total=5, chunks=ONE, raise_on_error=False, here_allowed=True, item_cost=1.0).ready(1)
        talk.tell(WorkerDied, 1, "SIGKILL", 0)
        for worker in (2, 3, 4):
            talk.tell(WorkerDied, worker, "exit code 1")
        talk.drop_chunks(1)
        while talk.ending is None:
            talk.finish(0)
        assert [type(talk.outcomes[i]) for i in range(5)] == [Lost, Ok, Ok, Ok, Ok]
        assert 0 not in {here.chunk.first for here in talk.ever(RunHere)}

    def test_the_first_of_them_raises_where_errors_are_raised(self):
        talk = Talk(workers=1, total=5, chunks=ONE)
        for worker in (1, 2, 3):
            talk.tell(WorkerDied, worker, "exit code 1")
        assert talk.ending.how == "error"
        assert talk.emitted == [0]

    def test_a_finished_item_between_them_starts_the_count_anew(self):
        talk = Talk(workers=1, total=5, chunks=ONE, window=1)
        for worker in (1, 2):
            talk.tell(WorkerDied, worker, "exit code 1")
        talk.ready(3).finish(3)
        for worker in (3, 4):
            talk.tell(WorkerDied, worker, "exit code 1", None, idle=True)
        assert talk.heard(StartWorkers) == [StartWorkers(1)]

    def test_with_an_endless_source_the_run_is_broken(self):
        talk = Talk(workers=1, total=None, chunks=ONE, raise_on_error=False)
        talk.tell(Drawn, 2)
        for worker in (1, 2, 3):
            talk.tell(WorkerDied, worker, "exit code 1")
        assert talk.ending.how == "broken"
        assert [type(talk.outcomes[i]) for i in (0, 1)] == [Lost, Lost]

    def test_workers_that_live_go_on(self):
        talk = Talk(workers=2, total=5, chunks=ONE, window=1).ready(1)
        for worker in (2, 3, 4):
            talk.tell(WorkerDied, worker, "exit code 1")
        while talk.ending is None:
            talk.finish(1)
        assert talk.emitted == [0, 1, 2, 3, 4]

    def test_every_item_a_killer_is_no_fork_bomb(self):
        talk = Talk(workers=2, total=40, raise_on_error=False).ready(1, 2)
        started, worker = 2, 0
        while talk.ending is None:
            worker += 1
            chunk = next(c for w, c in talk.chunks.values() if w == worker)
            talk.tell(WorkerDied, worker, "SIGKILL", chunk.first)
            talk.drop_chunks(worker)
            for _ in range(sum(s.count for s in talk.heard(StartWorkers))):
                started += 1
                talk.ready(started)
        assert {type(o) for o in talk.outcomes.values()} == {Lost}
        assert len(talk.outcomes) == 40
        assert started <= 2 * 40 + 2


class TestTimeout:
    def late(self, **config) -> Talk:
        """Item 1 of a chunk of four has been running since 0.2 s; it is 0.7 s and half a second is allowed."""
        talk = alone(timeout=0.5, **config)
        talk.now = 0.2
        talk.tell(Finished, 1, talk.chunk_of(1).id, (Batch(0, (0,)),))
        talk.now = 0.7
        talk.tell(Running, 1, 1, 0.2)
        talk.tell(Tick)
        return talk

    def test_its_worker_is_killed(self):
        assert self.late().heard(Kill) == [Kill(1, "item 1 took longer than 0.5 s")]

    def test_the_item_fails_and_its_neighbours_run_again_for_free(self):
        talk = self.late()
        talk.tell(WorkerDied, 1, "SIGKILL", 1)
        outcome = talk.heard(StartWorkers)
        assert outcome == [StartWorkers(1)]
        talk.drop_chunks(1)
        talk.ready(2)
        while talk.ending is None:
            talk.finish(2)
        assert isinstance(talk.outcomes[1].error, ItemTimeoutError)
        assert isinstance(talk.outcomes[1].error, TimeoutError)
        assert talk.outcomes[1].worker == 101
        assert sends(talk)[1:] == [(2, 2, 1), (4, 4, 1)]

    def test_or_is_tried_again(self):
        talk = self.late(retry=Retry(1))
        talk.tell(WorkerDied, 1, "SIGKILL", 1)
        assert talk.heard(Retrying) == [Retrying(1, 2)]

    def test_if_it_was_done_just_in_time_nothing_is_lost(self):
        talk = self.late()
        talk.tell(Finished, 1, talk.chunk_of(1).id, (Batch(1, (1, 2)),))
        talk.tell(WorkerDied, 1, "SIGKILL", 3)
        assert not talk.ever(Retrying)
        assert talk.emitted == [0, 1, 2]
        talk.ready(2)
        assert sends(talk)[-1] == (3, 1, 1)

    def test_the_driver_is_asked_to_look_in_time(self):
        talk = alone(timeout=0.5)
        assert talk.alarm == 0.5
        talk.now = 0.5
        talk.tell(Running, 1, 2, 0.4)
        talk.tell(Tick)
        assert not talk.heard(Kill)
        assert talk.alarm == 0.9

    def test_a_cell_that_lags_behind_kills_nobody(self):
        talk = alone(timeout=0.5)
        talk.now = 0.45
        talk.tell(Finished, 1, talk.chunk_of(1).id, (Batch(0, (0,)),))
        talk.now = 0.55
        talk.tell(Running, 1, 0, 0.0)
        talk.tell(Tick)
        assert not talk.heard(Kill)

    def test_a_worker_is_killed_once(self):
        talk = self.late()
        talk.wait(1.0)
        assert len(talk.ever(Kill)) == 1


class TestMemory:
    def test_with_little_memory_one_worker_goes_on(self):
        talk = Talk(workers=3, total=30, chunks=ONE, window=1).ready(1, 2, 3)
        talk.tell(MemoryLow, 1)
        assert not talk.finish(2).heard(Send)
        assert not talk.finish(3).heard(Send)
        assert [worker for worker, _, _ in talk.finish(1).sent()] == [1]
        talk.tell(MemoryLow, 0)
        assert [worker for worker, _, _ in talk.sent()] == [2, 3]

    def test_no_worker_is_started_meanwhile(self):
        talk = Talk(workers=2, total=30, chunks=ONE, window=1).ready(1, 2)
        talk.tell(MemoryLow, 1)
        talk.tell(WorkerDied, 2, "SIGKILL", 1)
        assert not talk.heard(StartWorkers)
        talk.tell(MemoryLow, 0)
        assert talk.heard(StartWorkers) == [StartWorkers(1)]

    def test_with_almost_none_the_largest_is_killed_and_nobody_blamed(self):
        talk = Talk(workers=2, total=30, chunks=ONE, window=1).ready(1, 2)
        talk.tell(MemoryLow, 2, 2)
        assert talk.heard(Kill) == [Kill(2, "memory ran low")]
        talk.tell(WorkerDied, 2, "SIGKILL", 1)
        assert not talk.ever(Retrying)
        assert [(first, count) for _, first, count in talk.finish(1).sent()] == [(1, 1)]

    def test_the_last_worker_is_spared(self):
        talk = Talk(workers=1, total=30, chunks=ONE).ready(1)
        assert not talk.tell(MemoryLow, 2, 1)
        assert not talk.tell(MemoryLow, 2, 7)


def test_what_is_known_of_an_item_can_be_forgotten():
    attempts = Attempts(Retry(1))
    assert attempts.strike(3)
    assert not attempts.strike(3)
    attempts.forget(3)
    assert attempts.strike(3)


def test_chunk_figures_of_nothing_teach_nothing():
    talk = alone(total=4)
    talk.tell(ChunkFinished, 1, talk.chunk_of(1).id, ChunkStats())
    assert talk.heard(Send)[0].chunk.count == 4


def test_a_source_that_ends_after_a_loss_waits_for_the_item():
    talk = Talk(workers=1, total=None, chunks=ONE)
    talk.tell(Drawn, 1)
    talk.ready(1).tell(WorkerDied, 1, "SIGKILL", 0)
    talk.tell(SourceEnded)
    assert talk.ending is None
    talk.tell(StartFailed, "EAGAIN")
    assert talk.heard(StartWorkers)
    talk.tell(StartFailed, "EAGAIN", 2)
    assert talk.ending.how == "broken"
