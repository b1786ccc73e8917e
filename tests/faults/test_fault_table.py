"""Forty items on two workers, item 17 misbehaves: what becomes of it, and that the other 39 arrive."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import fanwise
from fanwise.errors import ItemTimeoutError, NotPicklableError, WorkerLostError

pytestmark = [
    pytest.mark.faults,
    pytest.mark.process,
    # the test runner's own thread; it holds no lock of ours
    pytest.mark.filterwarnings("ignore:workers are forked as requested:fanwise.FanwiseWarning"),
]

BAD = 17


def raises(_: int) -> None:
    raise ValueError("bad 17")


def sigkill(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault(_: int) -> None:
    ctypes.string_at(0)


def abort(_: int) -> None:
    os.abort()


def os_exit(_: int) -> None:
    os._exit(3)


def sys_exit(_: int) -> None:
    sys.exit(3)


def memory_error(_: int) -> None:
    raise MemoryError


def recursion_error(item: int) -> None:
    recursion_error(item)


def unpicklable_result(_: int) -> Any:
    return threading.Lock()


class FailsToLoad:
    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("not a number",)


def result_fails_to_load(_: int) -> Any:
    return FailsToLoad()


class OddInitError(Exception):
    def __init__(self, a: str, b: int) -> None:
        super().__init__(a)
        self.b = b


def odd_init(_: int) -> None:
    raise OddInitError("odd", 5)


class HoldsLockError(Exception):
    pass


def holds_lock(_: int) -> None:
    error = HoldsLockError("locked")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    raise error


def huge_result(_: int) -> bytes:
    return bytes(30_000_000)


def leaves_a_thread(item: int) -> int:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return item


def leaves_a_child(item: int) -> int:
    if os.fork() == 0:
        time.sleep(0.2)
        os._exit(0)
    return item


def closes_descriptors(item: int) -> int:
    os.closerange(3, 256)
    return item


def spoils_environment(item: int) -> int:
    os.chdir("/")
    os.environ["FANWISE_SPOILED"] = "1"
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return item


def raises_keyboard_interrupt(_: int) -> None:
    raise KeyboardInterrupt


class One:
    """Does the deed at item 17 and returns every other item; a class, so that it travels to any worker."""

    def __init__(self, deed: Callable[[int], Any]) -> None:
        self._deed = deed

    def __call__(self, item: int) -> Any:
        return self._deed(item) if item == BAD else item


FAILED = [
    (raises, ValueError),
    (sys_exit, SystemExit),
    (memory_error, MemoryError),
    (recursion_error, RecursionError),
    (unpicklable_result, NotPicklableError),
    (result_fails_to_load, NotPicklableError),
    (odd_init, OddInitError),
    (holds_lock, HoldsLockError),
    (raises_keyboard_interrupt, KeyboardInterrupt),
]
LOST = [(sigkill, "SIGKILL"), (segfault, "SIGSEGV"), (abort, "SIGABRT"), (os_exit, "exit code 3")]
FINE = [huge_result, leaves_a_thread, leaves_a_child, spoils_environment]

methods = pytest.mark.parametrize(
    "method",
    ["fork", pytest.param("forkserver", marks=pytest.mark.slow), pytest.param("spawn", marks=pytest.mark.slow)],
)


@pytest.fixture
def executor(method: str) -> Any:
    with fanwise.Executor(2, mp_context=method, backend="process") as made:
        yield made


def others_are_fine(run: fanwise.Run) -> bool:
    others = [outcome for outcome in run.outcomes if outcome.index != BAD]
    return [outcome.index for outcome in others] == [i for i in range(40) if i != BAD] and all(
        outcome.unwrap() == outcome.index for outcome in others
    )


@methods
@pytest.mark.parametrize("chunk_size", [None, 5])
class TestFaults:
    @pytest.mark.parametrize(("deed", "error"), FAILED, ids=lambda value: getattr(value, "__name__", ""))
    def test_an_item_that_fails_is_failed(
        self, executor: fanwise.Executor, chunk_size: int | None, deed: Callable[[int], Any], error: type
    ) -> None:
        run = fanwise.run(One(deed), range(40), executor=executor, chunk_size=chunk_size)
        bad = run.outcomes[BAD]
        assert isinstance(bad, fanwise.Failed)
        assert type(bad.error) is error
        assert bad.attempts == 1
        assert others_are_fine(run)

    @pytest.mark.parametrize(("deed", "reason"), LOST, ids=lambda value: getattr(value, "__name__", ""))
    def test_an_item_that_kills_its_worker_is_lost(
        self, executor: fanwise.Executor, chunk_size: int | None, deed: Callable[[int], Any], reason: str
    ) -> None:
        run = fanwise.run(One(deed), range(40), executor=executor, chunk_size=chunk_size)
        bad = run.outcomes[BAD]
        assert isinstance(bad, fanwise.Lost)
        assert isinstance(bad.error, WorkerLostError)
        assert reason in bad.reason
        assert bad.attempts == 2
        assert others_are_fine(run)

    @pytest.mark.parametrize("deed", FINE, ids=lambda deed: deed.__name__)
    def test_an_item_with_bad_manners_is_no_failure(
        self, executor: fanwise.Executor, chunk_size: int | None, deed: Callable[[int], Any]
    ) -> None:
        run = fanwise.run(One(deed), range(40), executor=executor, chunk_size=chunk_size)
        assert run.outcomes[BAD].ok
        assert others_are_fine(run)

    def test_a_worker_that_closes_its_descriptors_costs_its_item_at_most(
        self, executor: fanwise.Executor, chunk_size: int | None
    ) -> None:
        run = fanwise.run(One(closes_descriptors), range(40), executor=executor, chunk_size=chunk_size)
        assert isinstance(run.outcomes[BAD], fanwise.Ok | fanwise.Lost)
        assert others_are_fine(run)


@methods
@pytest.mark.slow
class TestTimeouts:
    def test_an_item_that_hangs_is_ended(self, executor: fanwise.Executor) -> None:
        run = fanwise.run(One(hangs), range(40), executor=executor, timeout=2)
        assert isinstance(run.outcomes[BAD].error, ItemTimeoutError)
        assert others_are_fine(run)

    def test_an_item_that_holds_the_interpreter_is_ended_too(self, executor: fanwise.Executor) -> None:
        run = fanwise.run(One(holds_the_interpreter), range(40), executor=executor, timeout=2)
        assert isinstance(run.outcomes[BAD].error, ItemTimeoutError)
        assert others_are_fine(run)


def hangs(_: int) -> None:
    threading.Event().wait(60)


def holds_the_interpreter(_: int) -> None:
    ctypes.PyDLL(None).pause()


@methods
def test_a_worker_killed_once_costs_nothing(executor: fanwise.Executor) -> None:
    scripted = fanwise.testing.Scripted(abs, {BAD: [fanwise.testing.Kill(signal.SIGKILL)]})
    run = fanwise.run(scripted, range(40), executor=executor)
    assert run.outcomes[BAD].ok
    assert run.outcomes[BAD].attempts == 2
    assert others_are_fine(run)


@pytest.mark.slow
def test_when_every_item_kills_its_worker_all_are_lost_and_it_ends() -> None:
    run = fanwise.run(sigkill, range(12), backend="process", workers=2)
    assert [type(outcome) for outcome in run.outcomes] == [fanwise.Lost] * 12


def test_an_unpicklable_item_fails_alone_when_it_has_to_be_sent() -> None:
    items = [threading.Lock() if i == BAD else i for i in range(40)]
    with fanwise.Executor(2, backend="process") as executor:
        executor.submit(abs, 1).result(30)
        run = fanwise.run(identity, iter(items), executor=executor)
    assert isinstance(run.outcomes[BAD].error, NotPicklableError)
    assert others_are_fine(run)


def identity(item: Any) -> Any:
    return item if isinstance(item, int) else "a lock"


def test_a_function_that_cannot_be_sent_is_inherited_by_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANWISE_START_METHOD", "fork")
    lock = threading.Lock()

    def guarded(item: int) -> int:
        with lock:
            return item

    assert fanwise.map(guarded, range(40), backend="process", workers=2) == list(range(40))


def test_a_map_inside_a_map_is_right() -> None:
    run = fanwise.run(inner, range(6), backend="process", workers=2)
    assert run.values() == [sum(range(n)) for n in range(6)]


def inner(item: int) -> int:
    return sum(fanwise.map(abs, range(item)))


def test_a_caller_with_threads_gets_right_results() -> None:
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert fanwise.map(abs, range(-40, 0), backend="process", workers=2) == list(range(40, 0, -1))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
