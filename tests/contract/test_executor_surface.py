"""The whole surface of `Executor`, against the executors of the standard library doing the same things."""

from __future__ import annotations

import asyncio
import concurrent.futures as standard
import gc
import itertools
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fanwise
from fanwise.errors import BackendError, NotPicklableError, UsageError, WorkerLostError

pytestmark = [
    pytest.mark.process,
    # the test runner's own thread; it holds no lock of ours
    pytest.mark.filterwarnings("ignore:workers are forked as requested:fanwise.FanwiseWarning"),
]

Make = Callable[..., standard.Executor]


def processes(workers: int = 2, **options: Any) -> fanwise.Executor:
    return fanwise.Executor(workers, "fork", backend="process", **options)


def threads(workers: int = 2, **options: Any) -> fanwise.Executor:
    return fanwise.Executor(workers, backend="thread", **options)


OURS = {"processes": processes, "threads": threads}
PEERS = {
    "processes": lambda: standard.ProcessPoolExecutor(2, multiprocessing.get_context("fork")),
    "threads": lambda: standard.ThreadPoolExecutor(2),
}


@pytest.fixture(params=OURS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def executor(kind: str) -> Iterator[fanwise.Executor]:
    with OURS[kind]() as made:
        yield made


def keywords(*args: int, **options: int) -> tuple[tuple[int, ...], list[tuple[str, int]]]:
    return args, sorted(options.items())


def refuse(item: int) -> None:
    raise LookupError(f"no {item}")


def refuse_odd(item: int) -> int:
    return refuse(item) if item % 2 else item  # type: ignore[return-value,func-returns-value]


def said(call: Callable[[], Any]) -> Any:
    """What a caller sees: a value, or the type and words of an exception."""
    try:
        return call()
    except Exception as error:  # it is the answer
        return type(error).__mro__[-4:], str(error)


def until_broken(results: Iterator[int]) -> list[Any]:
    got: list[Any] = []
    with pytest.raises(LookupError) as caught:
        for result in results:
            got.append(result)
    return [*got, str(caught.value), list(results)]


PROGRAMS: dict[str, Callable[[standard.Executor], Any]] = {
    "a result": lambda ex: ex.submit(pow, 2, 5).result(30),
    "keywords named like ours": lambda ex: ex.submit(keywords, 1, self=2, fn=3, args=4).result(30),
    "an exception": lambda ex: repr(ex.submit(refuse, 3).exception(30)),
    "no function": lambda ex: said(lambda: ex.submit()),  # type: ignore[call-arg]
    "what cannot be called": lambda ex: repr(ex.submit(5, 3).exception(30)),  # type: ignore[arg-type]
    "none as result": lambda ex: (lambda f: (f.result(30), f.exception(), f.done()))(ex.submit(print, end="")),
    "map over several": lambda ex: list(ex.map(pow, [2, 3, 4], [5, 2])),
    "map in chunks": lambda ex: list(ex.map(abs, range(-25, 0), chunksize=7)),
    "map over nothing": lambda ex: list(ex.map(abs, [])),
    "map without iterables": lambda ex: list(ex.map(keywords)),
    "map until it breaks": lambda ex: until_broken(ex.map(refuse_odd, [0, 2, 3, 4])),
    "map in chunks until it breaks": lambda ex: until_broken(ex.map(refuse_odd, [0, 2, 4, 6, 1, 8], chunksize=2)),
    "map over a broken input": lambda ex: said(lambda: list(ex.map(abs, broken_input()))),
    "chunks of nothing": lambda ex: list(ex.map(abs, [], chunksize=3)),
    "a timeout": lambda ex: said(lambda: list(ex.map(wait_a_little, range(2), timeout=0.001))),
    "waiting for the first": lambda ex: len(standard.wait([ex.submit(abs, 1)], 30, standard.FIRST_COMPLETED).done),
    "waiting for an exception": lambda ex: len(
        standard.wait([ex.submit(refuse, 1)], 30, standard.FIRST_EXCEPTION).done
    ),
    "as completed": lambda ex: sorted(
        f.result() for f in standard.as_completed([ex.submit(abs, -n) for n in range(9)])
    ),
    "a callback": lambda ex: called_back(ex),
    "asyncio": lambda ex: asyncio.run(gathered(ex)),
    "twice shut down": lambda ex: [ex.shutdown(), ex.shutdown(wait=False), ex.shutdown(cancel_futures=True)],
    "too late": lambda ex: [ex.submit(abs, 1).result(30), ex.shutdown(), said(lambda: ex.submit(abs, 1))],
    "never used": lambda ex: ex.shutdown(),
    "within": lambda ex: ex.__enter__() is ex,
    "an error within": lambda ex: said(lambda: leave_with_an_error(ex)),
    "exit of a task": lambda ex: repr(ex.submit(sys.exit, 3).exception(30)),
    "half of a map": lambda ex: [next(results := ex.map(abs, range(-5, 0))), results.close()],  # type: ignore[attr-defined]
}


def broken_input() -> Iterator[int]:
    yield 1
    raise OSError("the input broke")


def wait_a_little(item: int) -> int:
    threading.Event().wait(0.15)
    return item


def called_back(executor: standard.Executor) -> list[int]:
    heard: list[int] = []
    done = threading.Event()
    future = executor.submit(abs, -4)
    future.add_done_callback(lambda f: heard.append(f.result()))
    future.add_done_callback(lambda f: done.set())
    assert done.wait(30)
    future.add_done_callback(lambda f: heard.append(-1))
    return heard


async def gathered(executor: standard.Executor) -> list[int]:
    loop = asyncio.get_running_loop()
    return await asyncio.gather(*[loop.run_in_executor(executor, pow, 2, n) for n in range(8)])


def leave_with_an_error(executor: standard.Executor) -> None:
    with executor:
        executor.submit(abs, 1)
        raise LookupError("inside")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_does_the_same_with_the_executor_of_the_standard_library(name: str, kind: str) -> None:
    answers = []
    for make in (OURS[kind], PEERS[kind]):
        with make() as executor:
            answers.append(PROGRAMS[name](executor))
    ours, theirs = answers
    assert str(ours).replace("fanwise.Executor", "Executor") == str(theirs) or ours == theirs or name == "no function"


class TestStates:
    @pytest.fixture
    def gate(self, tmp_path: Any) -> tuple[Callable[[], Any], Callable[[], None]]:
        """A task that runs until it is let go, in threads and in processes."""
        path = str(tmp_path / "gate")
        os.mkfifo(path)
        opened: list[int] = []

        def let_go() -> None:
            opened.append(os.open(path, os.O_WRONLY))
            os.close(opened.pop())

        return (lambda: os.close(os.open(path, os.O_RDONLY))), let_go

    def test_a_running_future_cannot_be_cancelled_and_a_waiting_one_can(self, kind: str, gate: Any) -> None:
        task, let_go = gate
        with OURS[kind](1) as executor:
            running = executor.submit(task)
            while not running.running():
                os.sched_yield()
            waiting = [executor.submit(abs, -n) for n in range(5)]
            assert not running.cancel()
            assert waiting[-1].cancel()
            assert not waiting[-1].running()
            let_go()
            assert running.result(30) is None
            assert [future.result(30) for future in waiting[:-1]] == [0, 1, 2, 3]
            with pytest.raises(standard.CancelledError):
                waiting[-1].result()

    def test_a_result_that_is_not_there_yet_is_a_timeout(self, kind: str, gate: Any) -> None:
        task, let_go = gate
        with OURS[kind](1) as executor:
            future = executor.submit(task)
            with pytest.raises(TimeoutError):
                future.result(0.01)
            assert not future.done()
            let_go()
            assert future.result(30) is None

    def test_without_waiting_shutdown_returns_at_once_and_tasks_are_finished(self, kind: str, gate: Any) -> None:
        task, let_go = gate
        executor = OURS[kind](1)
        futures = [executor.submit(task), executor.submit(abs, -3)]
        executor.shutdown(wait=False)
        assert not futures[0].done()
        let_go()
        assert futures[1].result(30) == 3
        executor.shutdown()

    def test_cancelling_at_shutdown_spares_what_runs(self, kind: str, gate: Any) -> None:
        task, let_go = gate
        executor = OURS[kind](1)
        running = executor.submit(task)
        while not running.running():
            os.sched_yield()
        waiting = [executor.submit(abs, -n) for n in range(30)]
        executor.shutdown(wait=False, cancel_futures=True)
        let_go()
        executor.shutdown()
        assert running.result(30) is None
        assert waiting[-1].cancelled()
        assert all(future.done() for future in waiting)


class TestCallbacks:
    def test_they_may_submit(self, executor: fanwise.Executor) -> None:
        answers: list[standard.Future[int]] = []
        done = threading.Event()

        def go_on(future: standard.Future[int]) -> None:
            answers.append(executor.submit(abs, -future.result() - 1))
            done.set()

        executor.submit(abs, -4).add_done_callback(go_on)
        assert done.wait(30)
        assert answers[0].result(30) == 5

    def test_one_that_raises_is_logged_and_harms_nobody(
        self, executor: fanwise.Executor, caplog: pytest.LogCaptureFixture
    ) -> None:
        done = threading.Event()
        future = executor.submit(abs, -4)
        future.add_done_callback(lambda _: 1 // 0)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(30)
        assert executor.submit(abs, -5).result(30) == 5
        assert "ZeroDivisionError" in caplog.text

    def test_they_hear_of_a_cancellation(self, executor: fanwise.Executor) -> None:
        heard = []
        tasks = [executor.submit(wait_a_little, n) for n in range(8)]
        tasks[-1].add_done_callback(lambda future: heard.append(future.cancelled()))
        assert tasks[-1].cancel()
        assert heard == [True]


class TestErrorsOfWorkers:
    def test_a_future_says_where_in_the_worker_it_went_wrong(self) -> None:
        with processes() as executor:
            error = executor.submit(refuse, 3).exception(30)
        assert 'raise LookupError(f"no {item}")' in str(error.__cause__)

    def test_in_a_thread_the_traceback_is_its_own(self) -> None:
        with threads() as executor:
            error = executor.submit(refuse, 3).exception(30)
        assert error.__traceback__ is not None
        assert isinstance(error, LookupError)

    @pytest.mark.parametrize("argument", [threading.Lock(), {"deep": [threading.Lock()]}, (n for n in range(3))])
    def test_an_argument_that_cannot_be_sent_costs_its_own_future(self, argument: Any) -> None:
        with processes() as executor:
            bad, good = executor.submit(type, argument), executor.submit(abs, -1)
            assert isinstance(bad.exception(30), NotPicklableError)
            assert good.result(30) == 1

    def test_what_a_task_prints_is_not_lost(self, capfd: pytest.CaptureFixture[str]) -> None:
        with processes() as executor:
            executor.submit(print, "from a task").result(30)
        assert "from a task" in capfd.readouterr().out


mine = threading.local()


def prepare(value: int) -> None:
    mine.value = value


def prepared(_: object = None) -> int:
    return mine.value


class TestInitializers:
    def test_it_runs_in_each_worker_before_its_first_task(self, kind: str) -> None:
        with OURS[kind](2, initializer=prepare, initargs=(8,)) as executor:
            assert {executor.submit(prepared).result(30) for _ in range(6)} == {8}
            assert fanwise.map(prepared, range(30), executor=executor, chunk_size=1) == [8] * 30

    def test_one_that_fails_breaks_the_executor_and_is_its_cause(
        self, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with OURS[kind](1, initializer=refuse, initargs=(7,)) as executor:
            futures = [executor.submit(abs, n) for n in range(3)]
            for future in futures:
                error = future.exception(30)
                assert isinstance(error, BackendError)
                assert isinstance(error, standard.BrokenExecutor)
                assert repr(error.__cause__) == "LookupError('no 7')"
            with pytest.raises(BackendError):
                executor.submit(abs, 1)
        critical = [record for record in caplog.records if record.levelno == logging.CRITICAL]
        assert critical
        assert {record.name for record in critical} == {"concurrent.futures"}

    def test_one_that_fails_ends_a_run_too(self, kind: str, caplog: pytest.LogCaptureFixture) -> None:
        with OURS[kind](1, initializer=refuse, initargs=(7,)) as executor, pytest.raises(BackendError) as caught:
            fanwise.map(abs, [1, 2], executor=executor, backend=executor.backend)
        assert isinstance(caught.value.__cause__, LookupError)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message", "also"),
        [
            ({"workers": 2, "max_workers": 3}, "workers=2 and max_workers=3 are one number; leave one out", ValueError),
            ({"workers": True}, "workers must be an integer of at least 1 or None, got True", ValueError),
            ({"workers": "2"}, "workers must be an integer of at least 1 or None, got '2'", ValueError),
            ({"mp_context": "sporn"}, "mp_context must be a context, 'fork', 'forkserver' or 'spawn'", ValueError),
            ({"mp_context": 5}, "mp_context must be a context", ValueError),
            ({"backend": 5}, "backend must be one of .* got 5", TypeError),
            ({"backend": "dask"}, "backend 'dask': expected dask://host:port", ValueError),
            ({"backend": "thread", "isolate": True}, "isolate needs worker processes", ValueError),
            ({"backend": "serial", "isolate": True}, "isolate needs worker processes", ValueError),
            ({"backend": "thread", "max_tasks_per_child": 1}, "max_tasks_per_child needs worker processes", ValueError),
        ],
    )
    def test_what_cannot_be_honoured_is_refused(self, options: dict[str, Any], message: str, also: type) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            fanwise.Executor(**options)
        assert isinstance(caught.value, also)

    @pytest.mark.parametrize("backend", ["thread", "serial"])
    def test_a_timeout_needs_an_executor_of_processes(self, backend: str) -> None:
        with fanwise.Executor(1, backend=backend) as executor, pytest.raises(UsageError, match="timeout needs"):
            fanwise.map(abs, [1], executor=executor, timeout=1)

    @pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
    def test_a_context_and_its_name_mean_the_same(self, method: str) -> None:
        context = multiprocessing.get_context(method)
        for given in (method, context):
            assert fanwise.Executor(1, given, backend="process").start_method() == method

    def test_the_two_names_of_one_number_may_agree(self) -> None:
        assert fanwise.Executor(3, max_workers=3).workers == 3

    def test_a_serial_executor_runs_everything_here(self) -> None:
        with fanwise.Executor(backend="serial") as executor:
            assert executor.submit(os.getpid).result(30) == os.getpid()
            assert list(executor.map(pow, [2, 3], [3, 2])) == [8, 9]
            run = fanwise.run(lambda _: os.getpid(), range(5), executor=executor)
            assert run.values() == [os.getpid()] * 5
            assert run.report.backend == "serial"


class TestLife:
    def test_nothing_starts_before_it_is_needed(self, kind: str) -> None:
        before = threading.active_count()
        with OURS[kind]() as executor:
            assert threading.active_count() == before
            assert executor.idle() == 0

    def test_a_copy_in_a_forked_child_is_closed_and_the_original_is_not(self) -> None:
        with processes() as executor:
            assert executor.submit(abs, -1).result(30) == 1
            if (pid := os.fork()) == 0:
                answers = said(lambda: executor.submit(abs, 1)), executor.closed, executor.shutdown()
                os._exit(0 if "cannot schedule new futures after shutdown" in str(answers) and answers[1] else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            assert executor.submit(abs, -2).result(30) == 2

    def test_half_a_stream_does_not_keep_futures_waiting(self, executor: fanwise.Executor) -> None:
        stream = fanwise.stream(abs, itertools.count(), executor=executor)
        assert next(stream) == 0
        assert executor.submit(abs, -7).result(30) == 7
        assert fanwise.map(abs, [-1, -2], executor=executor) == [1, 2]
        stream.close()

    def test_several_threads_share_it(self, executor: fanwise.Executor) -> None:
        answers: list[bool] = []

        def work(size: int) -> None:
            answers.append(fanwise.map(abs, range(-size, 0), executor=executor) == list(range(size, 0, -1)))
            answers.append(executor.submit(abs, -size).result(30) == size)

        users = [threading.Thread(target=work, args=(size,)) for size in (3, 40, 500)]
        for user in users:
            user.start()
        for user in users:
            user.join()
        assert answers == [True] * 6

    def test_an_abandoned_map_frees_the_workers(self, executor: fanwise.Executor) -> None:
        results = executor.map(wait_a_little, range(50))
        assert next(results) == 0
        del results
        gc.collect()
        assert executor.submit(abs, -1).result(30) == 1


AT_EXIT = """
import fanwise, os, sys
executor = fanwise.Executor(1, backend=sys.argv[1])
future = executor.submit(pow, 2, 6)
future.add_done_callback(lambda f: os.write(1, b"%d\\n" % f.result()))
if sys.argv[2] == "raise":
    raise SystemExit(4)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["process", "thread"])
@pytest.mark.parametrize(("ending", "code"), [("end", 0), ("raise", 4)])
def test_pending_futures_are_finished_when_the_interpreter_ends(backend: str, ending: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", AT_EXIT, backend, ending], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("64\n", "", code)


class TestCancellation:
    def test_what_was_sent_before_runs_once(self, kind: str, tmp_path: Any) -> None:
        """The worker has a task in hand and one behind it when those after them are cancelled."""
        marks = tmp_path / "marks"
        marks.touch()
        with OURS[kind]() as executor:
            futures = [executor.submit(leave_a_mark, str(marks), number) for number in range(30)]
            futures[0].result(30)
            cancelled = [number for number, future in enumerate(futures) if future.cancel()]
            last = executor.submit(abs, -1)
            assert last.result(30) == 1
        begun = sorted(map(int, marks.read_text().split()))
        assert begun == [number for number in range(30) if number not in cancelled]
        assert cancelled


def leave_a_mark(path: str, number: int) -> None:
    with open(path, "a") as file:
        file.write(f"{number}\n")
    threading.Event().wait(0.03)


def wait_for_ever(_: int) -> None:
    threading.Event().wait()


def test_killed_workers_fail_what_they_were_at_and_cancel_what_waits() -> None:
    executor = processes()
    futures = [executor.submit(wait_for_ever, item) for item in range(6)]
    while not all(future.running() for future in futures[:2]):
        standard.wait(futures, timeout=0.001)
    executor.kill_workers()
    begun = [future for future in futures if not future.cancelled()]
    assert {type(future.exception(0)) for future in begun} == {WorkerLostError}
    assert 2 <= len(begun) < 6
    assert executor.closed
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)


def test_workers_that_never_started_can_be_killed() -> None:
    executor = processes()
    executor.kill_workers()
    executor.kill_workers()
    assert executor.closed


class Counting:
    """A backend that counts how often it was told to start its workers."""

    name = "counting"

    def __init__(self) -> None:
        self.warmed = 0

    def hire(self, work: Any, workers: int, clock: Any) -> Any:
        raise NotImplementedError

    def warm_up(self, clock: Any) -> None:
        self.warmed += 1

    def close(self) -> None:
        """Nothing is open."""


class TestWarmUp:
    def test_what_was_missed_adds_up_to_the_price_of_a_start(self) -> None:
        backend = Counting()
        with fanwise.Executor(2, backend=backend) as executor:
            for expected in (0, 0, 1, 1, 1, 2):
                executor.missed(0.4, price=1.0)
                assert backend.warmed == expected

    def test_a_run_that_ended_well_is_not_spoilt_by_workers_that_cannot_be_had(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.platform", "win32")
        with processes() as executor:
            executor.missed(1.0, price=0.5)
            with pytest.raises(BackendError, match="Linux"):
                executor.warm_up()

    def test_one_that_is_shut_down_starts_nothing(self) -> None:
        backend = Counting()
        executor = fanwise.Executor(2, backend=backend)
        executor.shutdown()
        executor.warm_up()
        assert backend.warmed == 0

    def test_workers_that_start_in_advance_serve_futures_and_runs(self) -> None:
        with processes() as executor:
            executor.warm_up()
            assert executor.submit(abs, -1).result(30) == 1
            assert fanwise.map(abs, [-1, -2], executor=executor) == [1, 2]

    def test_kinds_without_workers_to_start_do_nothing(self) -> None:
        for kind in ("thread", "serial"):
            with fanwise.Executor(2, backend=kind) as executor:
                executor.warm_up()
                assert executor.idle() == 0
