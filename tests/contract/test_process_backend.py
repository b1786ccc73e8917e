"""What the process backend adds to the contract: warm workers, isolation, output, the state of the caller."""

from __future__ import annotations

import decimal
import gc
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.crew_items import wait_until_interrupted
from tests.crew_driver import PATIENCE_S, Driver, RealClock, chunks_of, results_of, work
from tests.programs import plain_environment

from fanwise import _task, current_task
from fanwise.backends.process import ProcessBackend, _forkserver
from fanwise.errors import UsageError, UsageValueError
from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Failed
from fanwise.records.scheduling import ChunkFinished, Printed, StartFailed, WorkerDied, WorkerReady
from fanwise.testing import Kill, Scripted, leaks

pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore:workers are forked as requested")]

# A fork server that is let go before it is asked for anything; a worker of it ends in the last moment of the server.
LET_GO = """
import os, signal, socket
from fanwise.backends.process import _forkserver
from fanwise.backends.process._ends import KIND
leave = os._exit
def leave_late(code):
    os.kill(os.getpid(), signal.SIGCHLD)
    leave(code)
os._exit = leave_late
ours, theirs = socket.socketpair(socket.AF_UNIX, KIND)
watched, life = os.pipe()
ours.close()
_forkserver.main(theirs.detach(), watched)
"""
METHODS = ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.slow)]


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def backend() -> Iterator[Callable[..., ProcessBackend]]:
    made: list[ProcessBackend] = []

    def make(**options: Any) -> ProcessBackend:
        made.append(ProcessBackend(**{"method": "fork"} | options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def run(backend: ProcessBackend, fn: Callable[..., Any], items: list[Any], **options: Any) -> dict[int, Any]:
    return drive(backend, fn, items, **options).outcomes()


def drive(
    backend: ProcessBackend, fn: Callable[..., Any], items: list[Any], size: int = 100, workers: int = 1, **options: Any
) -> Driver:
    crew = backend.hire(work(fn, items, **options), workers, RealClock())
    driver = Driver(crew, workers)
    try:
        driver.run(chunks_of(len(items), size))
    finally:
        crew.close(kill=False)
        driver.events += crew.wait(0)
    return driver


def value(backend: ProcessBackend, fn: Callable[..., Any], **options: Any) -> Any:
    """What ``fn`` returns in a worker."""
    return run(backend, lambda _: fn(), [0], **options)[0].unwrap()


class TestWarmWorkers:
    def test_the_next_crew_gets_the_same_workers(self, backend: Callable[..., ProcessBackend], method: str) -> None:
        warm = backend(method=method, keep_warm=True)
        outcomes = [o for _ in range(3) for o in run(warm, abs, [1] * 20, size=1, workers=2).values()]
        assert len({outcome.worker for outcome in outcomes}) <= 2

    def test_workers_start_before_there_is_work(self, backend: Callable[..., ProcessBackend], method: str) -> None:
        warm = backend(method=method, keep_warm=True, max_workers=2)
        warm.warm_up(RealClock())
        warm.warm_up(RealClock())
        crew = warm.hire(work(abs, [1]), 3, RealClock())
        crew.start(3)
        ready: list[WorkerReady] = []
        while len(ready) < 3:
            ready += [event for event in crew.wait(PATIENCE_S) if isinstance(event, WorkerReady)]
        crew.close(kill=False)
        assert warm.idle == 2, "one more than are kept warm"
        warm.warm_up(RealClock())
        assert warm.idle == 2

    def test_a_worker_that_starts_when_its_run_ends_is_there_for_the_next_one(
        self, backend: Callable[..., ProcessBackend], method: str
    ) -> None:
        warm = backend(method=method, keep_warm=True)
        crew = warm.hire(work(abs, [1]), 1, RealClock())
        crew.start(1)
        (started,) = crew._links.values()
        crew.close(kill=False)
        assert value(warm, os.getpid) == started.pid

    def test_without_keeping_each_crew_has_its_own(self, backend: Callable[..., ProcessBackend]) -> None:
        cold = backend()
        assert value(cold, os.getpid) != value(cold, os.getpid)

    def test_a_function_is_sent_once(self, backend: Callable[..., ProcessBackend]) -> None:
        warm = backend(keep_warm=True)
        value(warm, os.getpid)
        loads = [run(warm, CountsLoads(), [0])[0].value for _ in range(3)]
        assert loads == [1, 1, 1]

    def test_a_changed_function_is_sent_again(self, backend: Callable[..., ProcessBackend]) -> None:
        warm = backend(keep_warm=True)
        factors = []
        for factor in range(12):  # more than a worker keeps
            factors.append(run(warm, lambda x: factor * x, [1])[0].value)
        assert factors == list(range(12))

    def test_no_more_are_kept_than_the_limit(self, backend: Callable[..., ProcessBackend]) -> None:
        warm = backend(keep_warm=True, max_workers=1)
        run(warm, abs, [1] * 4, size=1, workers=3)
        crew = warm.hire(work(abs, [1]), 3, RealClock())
        crew.start(3)
        borrowed = [e for e in crew.wait(0) if isinstance(e, WorkerReady) and not e.seconds]
        assert len(borrowed) == 1
        crew.close(kill=True)

    def test_a_worker_that_died_while_idle_is_not_lent(self, backend: Callable[..., ProcessBackend]) -> None:
        warm = backend(keep_warm=True)
        pid = value(warm, os.getpid)
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert value(warm, os.getpid) != pid

    def test_idle_workers_use_no_processor_time(self, backend: Callable[..., ProcessBackend]) -> None:
        warm = backend(keep_warm=True)
        pid = value(warm, os.getpid)
        while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "S":
            os.sched_yield()  # it goes back to its socket
        before = Path(f"/proc/{pid}/schedstat").read_text().split()[2]
        value(backend(), sum_up)  # something else runs meanwhile
        assert Path(f"/proc/{pid}/schedstat").read_text().split()[2] == before

    def test_two_crews_work_at_once_from_two_threads(self, backend: Callable[..., ProcessBackend]) -> None:
        warm = backend(method="forkserver", keep_warm=True, max_workers=4)
        values: dict[int, list[int]] = {}

        def use(factor: int) -> None:
            outcomes = run(warm, Times(factor), list(range(200)), size=3, workers=2)
            values[factor] = [outcomes[i].value for i in range(200)]

        for _ in range(2):
            threads = [threading.Thread(target=use, args=(factor,)) for factor in (2, 3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert values == {factor: [factor * x for x in range(200)] for factor in (2, 3)}

    def test_a_busy_worker_is_handed_back_if_it_stops_in_time(self, backend: Callable[..., ProcessBackend]) -> None:
        warm = backend(keep_warm=True)
        pid = value(warm, os.getpid)
        crew = warm.hire(work(wait_until_interrupted, [0] * 10), 1, RealClock())
        driver = Driver(crew, 1)
        crew.send(driver.ready()[0], Chunk(1, 0, 10))
        while not crew.running():
            crew.wait(0.001)
        crew.close(kill=False)
        assert value(warm, os.getpid) == pid

    def test_a_worker_that_does_not_stop_is_replaced(
        self, backend: Callable[..., ProcessBackend], tmp_path: Path
    ) -> None:
        warm = backend(keep_warm=True)
        pid = value(warm, os.getpid)
        crew = warm.hire(work(linger, [tmp_path / "begun"]), 1, RealClock())
        driver = Driver(crew, 1)
        crew.send(driver.ready()[0], Chunk(1, 0, 1))
        while not (tmp_path / "begun").exists():
            crew.wait(0.001)
        crew.close(kill=False)
        assert value(warm, os.getpid) != pid

    def test_an_interrupt_is_over_with_its_crew(self, backend: Callable[..., ProcessBackend]) -> None:
        warm = backend(keep_warm=True)
        crew = warm.hire(work(abs, [0]), 1, RealClock())
        Driver(crew, 1).ready()
        crew.interrupt()
        crew.close(kill=False)
        assert value(warm, lambda: current_task().interrupted) is False  # type: ignore[union-attr]


def linger(mark: Path) -> None:
    mark.touch()
    time.sleep(PATIENCE_S)


class CountsLoads:
    """Returns how often it was unpickled in this process."""

    loads = 0

    def __call__(self, _: int) -> int:
        return CountsLoads.loads

    def __setstate__(self, state: Any) -> None:
        CountsLoads.loads += 1

    def __getstate__(self) -> int:
        return 1


class Times:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, x: int) -> int:
        return self.factor * x


def sum_up() -> int:
    return sum(range(1_000_000))


class TestIsolation:
    def test_every_item_has_a_process_of_its_own(self, backend: Callable[..., ProcessBackend], method: str) -> None:
        isolating = backend(method=method, isolate=True)
        outcomes = run(isolating, lambda _: (os.getpid(), os.getppid()), [0] * 6, size=3)
        pids = {o.value[0] for o in outcomes.values()}
        assert len(pids) == 6
        assert len({o.value[1] for o in outcomes.values()}) == 1
        assert {o.worker for o in outcomes.values()} == {outcomes[0].value[1]}

    def test_nothing_is_left_from_item_to_item(self, backend: Callable[..., ProcessBackend]) -> None:
        outcomes = run(backend(isolate=True), remember, [1, 2, 3])
        assert [outcomes[i].value for i in range(3)] == [[1], [2], [3]]

    def test_twins_draw_different_numbers(self, backend: Callable[..., ProcessBackend]) -> None:
        np = pytest.importorskip("numpy")
        outcomes = run(backend(isolate=True), lambda _: (random.random(), np.random.random()), [0] * 4)
        assert len({o.value[0] for o in outcomes.values()}) == 4
        assert len({o.value[1] for o in outcomes.values()}) == 4

    @pytest.mark.parametrize(("fault", "reason"), [(Kill(), "SIGKILL"), (Kill(signal.SIGSEGV), "SIGSEGV")])
    def test_the_death_of_an_item_is_reported_with_its_index(
        self, backend: Callable[..., ProcessBackend], fault: Any, reason: str
    ) -> None:
        isolating = backend(isolate=True)
        crew = isolating.hire(work(Scripted(abs, {1: [fault]}), [0, 1, 2]), 1, RealClock())
        driver = Driver(crew, 1)
        crew.send(driver.ready()[0], Chunk(1, 0, 3))
        (died,) = driver.hear(WorkerDied)
        crew.close(kill=False)
        assert died.index == 1
        assert reason in died.reason
        assert sorted(driver.outcomes()) == [0]

    def test_the_item_ends_with_its_template(self, backend: Callable[..., ProcessBackend]) -> None:
        told, tell = os.pipe()
        crew = backend(isolate=True).hire(work(report_and_sleep, [tell], inheritable=True), 1, RealClock())
        driver = Driver(crew, 1)
        crew.send(driver.ready()[0], Chunk(1, 0, 1))
        pid = int(os.read(told, 100))
        fd = os.pidfd_open(pid)
        crew.close(kill=True)
        os.close(tell)
        assert os.read(told, 100) == b"", "the last holder of the pipe is gone"
        for each in (told, fd):
            os.close(each)


KEPT: list[int] = []


def remember(x: int) -> list[int]:
    KEPT.append(x)
    return KEPT


def report_and_sleep(fd: int) -> None:
    os.write(fd, str(os.getpid()).encode())
    time.sleep(PATIENCE_S)


class TestOutput:
    def said(self, driver: Driver) -> list[tuple[int, str, Any]]:
        settled = [s for e in driver.events for s in results_of(e)]
        return [(said.index, said.stream, said.payload) for s in settled for said in s.said]

    def test_what_an_item_prints_belongs_to_it(self, backend: Callable[..., ProcessBackend], method: str) -> None:
        def speak(x: int) -> int:
            print("out", x)
            print("err", x, file=sys.stderr)
            return x

        driver = drive(backend(method=method), speak, [0, 1, 2])
        expected = [(i, s, f"{t} {i}\n") for i in range(3) for s, t in (("stdout", "out"), ("stderr", "err"))]
        assert self.said(driver) == expected
        assert [o.output for o in driver.outcomes().values()] == [f"out {i}\nerr {i}\n" for i in range(3)]

    def test_a_failing_item_has_its_output_too(self, backend: Callable[..., ProcessBackend]) -> None:
        def speak_and_fail(x: int) -> int:
            print("before")
            raise ValueError(x)

        (outcome,) = run(backend(), speak_and_fail, [0]).values()
        assert isinstance(outcome, Failed)
        assert outcome.output == "before\n"

    def test_log_records_arrive_as_dicts(self, backend: Callable[..., ProcessBackend]) -> None:
        logging.getLogger("fanwise_test").setLevel(logging.INFO)

        def log(x: int) -> None:
            logging.getLogger("fanwise_test.deep").info("item %d", x, extra={"colour": "red"})
            logging.getLogger("fanwise_test.deep").debug("not heard")

        driver = drive(backend(), log, [7])
        ((index, stream, record),) = self.said(driver)
        assert (index, stream) == (0, "log")
        assert record["msg"] == "item 7"
        assert (record["name"], record["levelno"], record["colour"]) == ("fanwise_test.deep", logging.INFO, "red")
        assert (record["fanwise_item"], record["fanwise_worker"]) == (0, driver.outcomes()[0].worker)
        assert logging.makeLogRecord(record).getMessage() == "item 7"

    def test_warnings_arrive_with_their_place(self, backend: Callable[..., ProcessBackend]) -> None:
        def warn(x: int) -> None:
            warnings.warn(f"beware of {x}", UserWarning, stacklevel=1)

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            driver = drive(backend(), warn, [7])
        ((_, stream, warning),) = self.said(driver)
        assert stream == "warning"
        assert (warning["message"], warning["category"]) == ("beware of 7", UserWarning)
        assert (warning["filename"], warning["module"]) == (__file__, __name__)

    def test_a_filter_that_raises_raises_in_the_worker(
        self, backend: Callable[..., ProcessBackend], method: str
    ) -> None:
        def warn(_: int) -> None:
            warnings.warn("beware", UserWarning, stacklevel=1)

        with warnings.catch_warnings():
            warnings.filterwarnings("error", "beware")
            (outcome,) = run(backend(method=method), warn, [7]).values()
        assert type(outcome.error) is UserWarning

    def test_what_c_code_writes_arrives_as_lines(self, backend: Callable[..., ProcessBackend], method: str) -> None:
        def write(x: int) -> None:
            os.write(1, f"fd 1, {x}\nand ".encode())
            os.system("echo a child program >&2")

        driver = drive(backend(method=method), write, [7])
        printed = [(e.fd, e.text) for e in driver.events if isinstance(e, Printed)]
        assert "".join(text for fd, text in printed if fd == 1) == "fd 1, 7\nand "
        assert "".join(text for fd, text in printed if fd == 2) == "a child program\n"

    def test_more_than_a_mebibyte_is_passed_on_as_it_comes(self, backend: Callable[..., ProcessBackend]) -> None:
        def flood(_: int) -> None:
            for _line in range(3):
                print("x" * (600 << 10))

        driver = drive(backend(), flood, [0])
        kept = sum(len(payload) for _, _, payload in self.said(driver))
        passed = sum(len(e.text) for e in driver.events if isinstance(e, Printed))
        assert kept <= 1 << 20
        assert kept + passed == 3 * ((600 << 10) + 1)

    def test_without_capture_text_goes_to_the_descriptors(self, backend: Callable[..., ProcessBackend]) -> None:
        driver = drive(backend(), print, ["hello"], capture=False)
        assert self.said(driver) == []
        assert "".join(e.text for e in driver.events if isinstance(e, Printed)) == "hello\n"

    def test_there_is_no_standard_input(self, backend: Callable[..., ProcessBackend]) -> None:
        (outcome,) = run(backend(), lambda _: input("name? "), [0]).values()
        assert type(outcome.error) is EOFError
        assert outcome.error.__notes__ == ["workers have no standard input; use workers=1 to debug"]
        assert value(backend(), lambda: sys.stdin.read()) == ""

    def test_there_is_no_debugger(self, backend: Callable[..., ProcessBackend]) -> None:
        (outcome,) = run(backend(), lambda _: breakpoint(), [0]).values()  # noqa: T100
        assert type(outcome.error) is UsageError
        assert "workers=1" in str(outcome.error)

    def test_streams_behave_like_files(self, backend: Callable[..., ProcessBackend]) -> None:
        def use(_: int) -> tuple[Any, ...]:
            sys.stdout.buffer.write("ä".encode())
            sys.stdout.writelines(["b", "c"])
            facts = (sys.stdout.isatty(), sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.writable())
            try:
                sys.stdout.write(b"bytes")  # type: ignore[arg-type]
            except TypeError as error:
                return (*facts, str(error))
            return facts

        (outcome,) = run(backend(), use, [0]).values()
        assert outcome.value == (False, 1, 2, True, "write() argument must be str, not bytes")
        assert outcome.output == "äbc"


class TestStateOfTheCaller:
    def test_a_new_interpreter_has_the_callers_state(
        self, backend: Callable[..., ProcessBackend], method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        np = pytest.importorskip("numpy")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("FANWISE_TEST", "set after start")
        monkeypatch.syspath_prepend(str(tmp_path))
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + 123)
        try:
            with decimal.localcontext(prec=7), np.errstate(divide="raise"):
                found = value(backend(method=method), look_around)
        finally:
            sys.setrecursionlimit(limit)
        assert found == (str(tmp_path), "set after start", str(tmp_path), limit + 123, 7, "raise")

    def test_a_warm_worker_hears_of_changes(
        self, backend: Callable[..., ProcessBackend], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        warm = backend(keep_warm=True)
        pid = value(warm, os.getpid)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("FANWISE_TEST", "later")
        assert value(warm, lambda: (os.getpid(), os.getcwd(), os.environ["FANWISE_TEST"])) == (
            pid,
            str(tmp_path),
            "later",
        )

    def test_directory_and_signals_are_restored_between_chunks(self, backend: Callable[..., ProcessBackend]) -> None:
        def spoil(_: int) -> tuple[str, bool]:
            found = os.getcwd(), signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            os.chdir("/")
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            return found

        outcomes = run(backend(), spoil, [0] * 4, size=2)
        assert [outcomes[i].value for i in range(4)] == [(os.getcwd(), True), ("/", False)] * 2

    def test_the_collector_of_a_forked_worker_leaves_alone_what_is_the_callers(
        self, backend: Callable[..., ProcessBackend]
    ) -> None:
        frozen, tracked = gc.get_freeze_count(), len(gc.get_objects())
        assert value(backend(method="fork"), gc.get_freeze_count) >= frozen + 0.9 * tracked
        assert gc.get_freeze_count() == frozen

    def test_workers_draw_different_numbers(self, backend: Callable[..., ProcessBackend], method: str) -> None:
        np = pytest.importorskip("numpy")
        outcomes = run(
            backend(method=method), lambda _: (random.random(), np.random.random()), [0] * 8, size=1, workers=2
        )
        assert len({o.value[0] for o in outcomes.values()}) == 8
        assert len({o.value[1] for o in outcomes.values()}) == 8

    def test_the_cores_are_shared(
        self, backend: Callable[..., ProcessBackend], method: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threadpoolctl = pytest.importorskip("threadpoolctl")
        pytest.importorskip("numpy")
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)

        def threads() -> Any:
            import numpy as np

            assert (np.ones((200, 200)) @ np.ones((200, 200)))[0, 0] == 200
            return _task.budget(), [
                i["num_threads"] for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas"
            ]

        cores = len(os.sched_getaffinity(0))
        share = max(1, cores // 4)
        crew = backend(method=method).hire(work(lambda _: threads(), [0]), 4, RealClock())
        outcomes = Driver(crew, 1).run([Chunk(1, 0, 1)])
        crew.close(kill=False)
        assert outcomes[0].unwrap()[0] == share
        assert set(outcomes[0].value[1]) == {share}

    def test_a_number_of_threads_set_by_the_user_wins(
        self, backend: Callable[..., ProcessBackend], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        assert value(backend(), lambda: os.environ.get("OPENBLAS_NUM_THREADS")) is None


def look_around() -> tuple[Any, ...]:
    import numpy as np

    return (
        os.getcwd(),
        os.environ["FANWISE_TEST"],
        sys.path[0],
        sys.getrecursionlimit(),
        decimal.getcontext().prec,
        np.geterr()["divide"],
    )


class TestStartMethods:
    def test_the_environment_decides_where_the_caller_does_not(
        self, backend: Callable[..., ProcessBackend], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FANWISE_START_METHOD", "spawn")
        crew = backend(method=None).hire(work(abs, [1]), 1, RealClock())
        assert crew.method == "spawn"
        crew.close(kill=False)

    def test_a_wrong_name_is_the_callers_mistake(self, backend: Callable[..., ProcessBackend]) -> None:
        with pytest.raises(UsageValueError, match="fork, forkserver, spawn, got 'thread'"):
            backend(method="thread").hire(work(abs, [1]), 1, RealClock())

    def test_with_another_thread_the_fork_server_is_used(self, backend: Callable[..., ProcessBackend]) -> None:
        ended = threading.Event()
        thread = threading.Thread(target=ended.wait)
        thread.start()
        crew = backend(method=None).hire(work(abs, [1]), 1, RealClock())
        ended.set()
        thread.join()
        assert crew.method == "forkserver"
        crew.close(kill=False)

    def test_an_initializer_runs_before_the_first_item(
        self, backend: Callable[..., ProcessBackend], method: str
    ) -> None:
        begun = backend(method=method, initializer=set_variable, initargs=("FANWISE_TEST", "x"))
        assert value(begun, lambda: os.environ["FANWISE_TEST"]) == "x"

    def test_a_forked_worker_is_at_its_items_before_the_next_one_is_forked(
        self, backend: Callable[..., ProcessBackend]
    ) -> None:
        crew = backend(method="fork").hire(work(abs, [-1, -2]), 2, RealClock())
        crew.start(2)
        (first,) = crew.wait(0)
        crew.send(first.worker, Chunk(0, 0, 1))
        heard: list[Any] = []
        while not heard or not isinstance(heard[-1], ChunkFinished):
            heard += crew.wait(PATIENCE_S)
        crew.close(kill=False)
        assert [each.worker for each in heard if isinstance(each, WorkerReady)] == [2]
        assert heard[-1].worker == first.worker == 1

    @pytest.mark.parametrize("options", [{"single": True}, {"initializer": gc.collect}], ids=["timed", "initialized"])
    def test_one_that_is_not_to_be_hurried_says_itself_that_it_is_ready(
        self, backend: Callable[..., ProcessBackend], options: dict[str, Any]
    ) -> None:
        forked = backend(method="fork", initializer=options.pop("initializer", None))
        crew = forked.hire(work(abs, [-1], **options), 2, RealClock())
        crew.start(2)
        with_nothing_said = crew.wait(0)
        ready = Driver(crew, events=with_nothing_said).hear(WorkerReady, 2)
        crew.close(kill=False)
        assert sorted(each.worker for each in ready) == [1, 2]
        assert all(each.seconds > 0 for each in ready)

    def test_a_fork_server_that_was_killed_is_replaced(self, backend: Callable[..., ProcessBackend]) -> None:
        serving = backend(method="forkserver")
        assert value(serving, sum_up)
        pid = _forkserver.shared.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert value(serving, sum_up)
        assert _forkserver.shared.pid() != pid

    def test_a_fork_server_hears_in_silence_of_a_worker_that_ends_after_it_was_let_go(self) -> None:
        told = subprocess.run(
            [sys.executable, "-c", LET_GO], stderr=subprocess.PIPE, text=True, check=True, env=plain_environment()
        )
        assert told.stderr == ""

    def test_a_start_takes_time_that_is_reported(self, backend: Callable[..., ProcessBackend], method: str) -> None:
        driver = drive(backend(method=method), abs, [1])
        (ready,) = driver.hear(WorkerReady)
        assert ready.method == method
        assert 0 < ready.seconds < PATIENCE_S
        assert ready.pid == driver.outcomes()[0].worker

    def test_an_initializer_that_cannot_be_sent_is_named(self, backend: Callable[..., ProcessBackend]) -> None:
        lock = threading.Lock()
        crew = backend(method="spawn", initializer=lambda: lock).hire(work(abs, [1]), 1, RealClock())
        crew.start(1)
        (failed,) = crew.wait(0)
        crew.close(kill=True)
        assert isinstance(failed, StartFailed)
        assert failed.fatal
        assert "initializer.<lock> is a _thread.lock" in failed.reason

    def test_a_worker_told_to_end_while_starting_ends(
        self, backend: Callable[..., ProcessBackend], method: str
    ) -> None:
        crew = backend(method=method).hire(work(abs, [1]), 2, RealClock())
        crew.start(2)
        crew.close(kill=True)

    def test_an_unreadable_frame_costs_the_worker(self, backend: Callable[..., ProcessBackend]) -> None:
        crew = backend().hire(work(forge, [0], inheritable=True), 1, RealClock())
        driver = Driver(crew, 1)
        crew.send(driver.ready()[0], Chunk(1, 0, 1))
        (died,) = driver.hear(WorkerDied)
        crew.close(kill=True)
        assert "cannot be read" in died.reason
        assert not [e for e in driver.events if isinstance(e, StartFailed | ChunkFinished)]


def set_variable(name: str, text: str) -> None:
    os.environ[name] = text


def forge(_: int) -> None:
    """Write a packet of nonsense to each socket of the worker."""
    import socket

    for name in os.listdir("/proc/self/fd"):
        if os.path.exists(f"/proc/self/fd/{name}") and os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
            with socket.socket(fileno=os.dup(int(name))) as sock:
                if sock.type == socket.SOCK_SEQPACKET:
                    sock.send(b"nonsense")


@pytest.mark.slow
def test_two_hundred_runs_leave_nothing(backend: Callable[..., ProcessBackend]) -> None:
    with leaks():
        for _ in range(200):
            value(backend(), os.getpid)


def test_the_fork_server_is_not_a_leak(backend: Callable[..., ProcessBackend]) -> None:
    with leaks():
        value(backend(method="forkserver"), sum_up)


IMPORT_ELSEWHERE = """
import sys, os, select, signal, socket
sys.modules["fcntl"] = None
sys.platform = "win32"
for module, names in (
    (os, ["fork", "register_at_fork", "pidfd_open", "sched_getaffinity", "sysconf", "O_ASYNC", "memfd_create"]),
    (select, ["poll", "epoll", "POLLIN", "POLLOUT"]),
    (signal, ["SIGKILL", "SIGIO", "SIGCHLD", "pthread_sigmask"]),
    (socket, ["AF_UNIX", "SOCK_SEQPACKET", "MSG_DONTWAIT", "MSG_NOSIGNAL", "MSG_CMSG_CLOEXEC", "CMSG_SPACE"]),
):
    for name in names:
        delattr(module, name)
from fanwise.backends.process import ProcessBackend
from fanwise.typing import Work
try:
    ProcessBackend().hire(Work(abs, None), 1, None)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_elsewhere_than_on_linux_it_says_so() -> None:
    ran = subprocess.run([sys.executable, "-c", IMPORT_ELSEWHERE], capture_output=True, text=True)
    assert ran.stderr == ""
    assert ran.stdout.startswith("BackendError worker processes need what Linux offers")
