"""`joblib.Parallel` on fanwise's workers: the same results, workers that stay warm, and an end when something fails."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.programs import plain_environment

from fanwise.engine._resources import HostResources
from fanwise.errors import BackendError, NotPicklableError, UsageError, WorkerLostError
from fanwise.integrations.joblib import close, register

joblib = pytest.importorskip("joblib")
pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore:.*:UserWarning:joblib")]


@pytest.fixture(autouse=True)
def backend() -> Iterator[None]:
    register()
    with joblib.parallel_config("fanwise", n_jobs=2):
        yield
    close()


def loop(fn: Any, items: Any, **options: Any) -> Any:
    return joblib.Parallel(**options)(joblib.delayed(fn)(item) for item in items)


def pids(**options: Any) -> set[int]:
    return set(loop(lambda _: os.getpid(), range(8), batch_size=1, **options))


def fail_at_once_or_never(item: int) -> int:
    if item == 0:
        raise ZeroDivisionError("item 0")
    time.sleep(600)
    return item


def test_functions_of_any_kind_give_what_the_loop_gives() -> None:
    more = 3
    assert loop(lambda x: x * more, range(300)) == [x * 3 for x in range(300)]
    assert loop(abs, [-2, -1]) == [2, 1]
    assert loop(abs, []) == []


@settings(max_examples=8)
@given(
    size=st.integers(0, 40),
    batch=st.sampled_from(["auto", 1, 3, 50]),
    ahead=st.sampled_from(["all", "2*n_jobs", 1, 7]),
    shape=st.sampled_from(["list", "generator", "generator_unordered"]),
)
def test_however_it_is_cut_the_results_are_those_of_the_loop(size: int, batch: Any, ahead: Any, shape: str) -> None:
    found = list(loop(abs, range(size), batch_size=batch, pre_dispatch=ahead, return_as=shape))
    assert (sorted(found) if shape == "generator_unordered" else found) == list(range(size))


def test_workers_are_other_processes_and_stay_for_the_next_call() -> None:
    first = pids()
    assert os.getpid() not in first
    assert len(first | pids() | pids()) <= 2


def test_other_numbers_and_initializers_get_workers_of_their_own() -> None:
    first = pids()
    assert not first & pids(n_jobs=3)
    assert not first & pids()
    kept = pids(initializer=mark, initargs=("yes",))
    assert len(kept | pids(initializer=mark, initargs=("yes",))) <= 2
    assert not kept & pids(initializer=mark, initargs=("no",))


def mark(word: str) -> None:
    os.environ["FANWISE_MARKED"] = word


def test_the_initializer_runs_in_each_worker() -> None:
    assert set(loop(os.getenv, ["FANWISE_MARKED"] * 6, initializer=mark, initargs=("yes",))) == {"yes"}


def test_threads_of_linear_algebra_are_as_many_as_asked_for() -> None:
    with joblib.parallel_config("fanwise", n_jobs=2, inner_max_num_threads=1):
        assert set(loop(os.getenv, ["OPENBLAS_NUM_THREADS"] * 4)) == {"1"}


@pytest.mark.parametrize("jobs", [1, None])
def test_one_job_runs_in_the_calling_process(jobs: int | None) -> None:
    with joblib.parallel_config("fanwise", n_jobs=jobs):
        assert pids() == {os.getpid()}


def test_minus_one_is_every_core() -> None:
    assert joblib.effective_n_jobs(-1) == HostResources().cores().usable
    assert joblib.effective_n_jobs(-1000) == 1
    with pytest.raises(ValueError, match="n_jobs == 0"):
        loop(abs, [1], n_jobs=0)


def test_an_exception_is_the_users_own_and_does_not_wait_for_the_others() -> None:
    with pytest.raises(ZeroDivisionError, match="item 0") as caught:
        loop(fail_at_once_or_never, range(4), batch_size=1)
    assert "fail_at_once_or_never" in str(caught.value.__cause__)
    assert loop(abs, [-1]) == [1]


def test_a_managed_parallel_goes_on_after_an_exception() -> None:
    with joblib.Parallel(batch_size=1) as parallel:
        with pytest.raises(ZeroDivisionError):
            parallel(joblib.delayed(fail_at_once_or_never)(item) for item in range(4))
        assert parallel(joblib.delayed(abs)(item) for item in (-1, -2)) == [1, 2]


def test_a_source_that_fails_while_workers_run_raises_its_error() -> None:
    def source() -> Iterator[int]:
        yield from range(8)
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        loop(abs, source(), batch_size=1, pre_dispatch=4)


def test_a_timeout_ends_the_call_and_its_workers() -> None:
    with pytest.raises(multiprocessing.TimeoutError):
        loop(time.sleep, [600, 600], timeout=0.05)


def test_what_kills_its_worker_is_lost_and_the_next_call_works() -> None:
    with pytest.raises(WorkerLostError, match="exit code 3"):
        loop(os._exit, [3, 3])
    assert loop(abs, [-1, -2]) == [1, 2]


def test_what_cannot_be_sent_is_named() -> None:
    lock = threading.Lock()
    with pytest.raises(NotPicklableError, match="lock"):
        loop(lambda _: lock, range(4))


def failing() -> None:
    raise RuntimeError("no licence")


def test_an_initializer_that_fails_fails_the_call() -> None:
    with pytest.raises(BackendError):
        loop(abs, range(50), initializer=failing, batch_size=1)


def test_a_generator_that_is_left_ends_its_workers() -> None:
    results = loop(abs, range(1000), return_as="generator", batch_size=1)
    assert next(results) == 0
    del results
    assert loop(abs, [-1]) == [1]


@pytest.mark.parametrize("others", [2, 3])
def test_two_generators_at_once_do_not_disturb_each_other(others: int) -> None:
    ahead, late = (
        loop(abs, range(100), return_as="generator", batch_size=1, n_jobs=jobs, pre_dispatch=2) for jobs in (2, others)
    )
    assert [next(ahead), next(late)] == [0, 0]
    assert list(ahead) == list(range(1, 100))
    assert list(late) == list(range(1, 100))


def inner(_: int) -> tuple[str, int]:
    parallel = joblib.Parallel(n_jobs=2)
    parallel(joblib.delayed(abs)(i) for i in range(4))
    by_name = joblib.Parallel(n_jobs=2, backend="fanwise")
    assert by_name(joblib.delayed(abs)(i) for i in range(4)) == [0, 1, 2, 3]
    return type(parallel._backend).__name__, by_name._effective_n_jobs()


def test_a_loop_inside_runs_in_threads_and_starts_no_more_processes_than_its_share() -> None:
    share = max(1, HostResources().cores().usable // 2)
    assert set(loop(inner, range(4))) == {("ThreadingBackend", min(2, share))}


def test_arrays_arrive_as_in_the_loop_writable() -> None:
    numpy = pytest.importorskip("numpy")

    def add(array: Any) -> float:
        array += 1
        return float(array.sum())

    assert loop(add, [numpy.zeros(300_000), numpy.zeros(3)]) == [300_000.0, 3.0]


def test_an_option_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="not workers"):
        loop(abs, [1, 2], workers=3)


def test_it_can_be_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.parallel.DEFAULT_BACKEND", "loky")
    register(make_default=True)
    assert joblib.parallel.DEFAULT_BACKEND == "fanwise"


def test_without_joblib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(UsageError, match=r"fanwise\[joblib\]"):
        register()


PROGRAM = """
import os, time, joblib
from fanwise.integrations.joblib import register

def work(item):
    os.write(1, b"reached\\n")
    time.sleep(600)

register()
try:
    joblib.Parallel(2, backend="fanwise")(joblib.delayed(work)(i) for i in range(4))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.faults
@pytest.mark.slow
def test_an_interrupt_ends_the_call_at_once() -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        text=True,
        env=plain_environment(),
        start_new_session=True,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "reached\n"
    os.killpg(program.pid, signal.SIGINT)
    out, _ = program.communicate(timeout=20)
    assert out.splitlines()[-1] == "interrupted"
    assert program.returncode == 0
