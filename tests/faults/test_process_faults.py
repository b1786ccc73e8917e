"""What a fault in one item costs: that item, and nothing else. At the level of a crew of worker processes."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.crew_driver import PATIENCE_S, Driver, RealClock, Rescuer, chunks_of, work

from fanwise.backends.process import ProcessBackend
from fanwise.errors import BackendError, NotPicklableError
from fanwise.records.outcomes import Failed, Ok
from fanwise.records.scheduling import ChunkFinished, Printed, StartFailed, WorkerDied, WorkerReady
from fanwise.testing import BadException, Exit, Hang, Kill, Raise, Scripted, Unpicklable

# pytest-timeout watches every test from a thread of its own, which takes no lock that a fork would copy
pytestmark = [
    pytest.mark.process,
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:workers are forked as requested"),
]

ITEMS, BAD, WORKERS = 40, 17, 2


class LockedError(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()
        self.text = text


class NoEntry:
    """A value whose unpickling raises."""

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise ZeroDivisionError("not here")


def read_address_zero() -> None:
    ctypes.string_at(0)


def recurse() -> int:
    return 1 + recurse()


def close_descriptors() -> int:
    os.closerange(3, 256)
    return BAD


def leave_a_thread() -> int:
    threading.Thread(target=time.sleep, args=(PATIENCE_S,), daemon=True).start()
    return BAD


def leave_a_child() -> int:
    subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    return BAD


def spoil_environment() -> int:
    os.chdir("/")
    os.environ["FANWISE_SPOILT"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return BAD


class Act:
    """A fault that calls a function."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act

    def happen(self) -> Any:
        return self.act()


def identity(x: Any) -> Any:
    return x


ALWAYS = 5  # attempts
FAULTS: dict[str, list[Any]] = {
    "raises": [Raise(ValueError("bad"))],
    "sigkill": [Kill()] * ALWAYS,
    "sigkill-once": [Kill()],
    "segfault": [Act(read_address_zero)] * ALWAYS,
    "abort": [Act(os.abort)] * ALWAYS,
    "os-exit": [Exit(3)] * ALWAYS,
    "sys-exit": [Act(lambda: sys.exit(3))],
    "memory-error": [Raise(MemoryError())],
    "recursion-error": [Act(recurse)],
    "unpicklable-result": [Unpicklable()],
    "result-fails-to-load": [Act(NoEntry)],
    "exception-with-odd-init": [BadException()],
    "exception-with-lock": [Act(lambda: (_ for _ in ()).throw(LockedError("held")))],
    "huge-result": [Act(lambda: bytes(300 << 20))],
    "daemon-thread-left": [Act(leave_a_thread)],
    "forked-child-left": [Act(leave_a_child)],
    "closes-descriptors": [Act(close_descriptors)] * ALWAYS,
    "spoils-environment": [Act(spoil_environment)],
    "keyboard-interrupt-raised": [Raise(KeyboardInterrupt())],
}
ELSEWHERE = {"unpicklable-argument", "timeout-sleeping", "timeout-holding-gil"}
OUTCOMES: dict[str, tuple[str, str]] = {
    "raises": ("Failed", "ValueError"),
    "sigkill": ("Lost", "SIGKILL"),
    "sigkill-once": ("Ok", ""),
    "segfault": ("Lost", "SIGSEGV in read_address_zero, test_process_faults.py"),
    "abort": ("Lost", "SIGABRT in happen, test_process_faults.py"),
    "os-exit": ("Lost", "exit code 3"),
    "sys-exit": ("Failed", "SystemExit"),
    "memory-error": ("Failed", "MemoryError"),
    "recursion-error": ("Failed", "RecursionError"),
    "unpicklable-result": ("Failed", "NotPicklableError"),
    "result-fails-to-load": ("Failed", "NotPicklableError"),
    "exception-with-odd-init": ("Failed", "OddError"),
    "exception-with-lock": ("Failed", "LockedError"),
    "huge-result": ("Ok", ""),
    "daemon-thread-left": ("Ok", ""),
    "forked-child-left": ("Ok", ""),
    "closes-descriptors": ("Lost or Ok", "exit code 70"),
    "spoils-environment": ("Ok", ""),
    "keyboard-interrupt-raised": ("Failed", "KeyboardInterrupt"),
}


@pytest.fixture
def backend() -> Iterator[ProcessBackend]:
    made = ProcessBackend(method="fork")
    yield made
    made.close()


def rescue(backend: ProcessBackend, fn: Callable[..., Any], items: list[Any], size: int, **options: Any) -> Rescuer:
    crew = backend.hire(work(fn, items, **options), WORKERS, RealClock())
    try:
        driver = Rescuer(crew, WORKERS)
        driver.run(chunks_of(len(items), size))
    finally:
        crew.close(kill=True)
    return driver


@pytest.mark.parametrize("size", [5, 20])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_costs_its_own_item(backend: ProcessBackend, fault: str, size: int) -> None:
    driver = rescue(backend, Scripted(identity, {BAD: FAULTS[fault]}), list(range(ITEMS)), size, inheritable=True)
    outcomes = driver.outcomes()
    kind, detail = OUTCOMES[fault]
    others = [outcomes[i].value for i in range(ITEMS) if i != BAD]
    assert others == [i for i in range(ITEMS) if i != BAD]
    if BAD in driver.lost:
        assert "Lost" in kind
        assert detail in driver.lost[BAD]
    elif kind == "Failed":
        assert isinstance(outcomes[BAD], Failed)
        assert type(outcomes[BAD].error).__name__ == detail
    else:
        assert "Ok" in kind
        assert isinstance(outcomes[BAD], Ok)


def test_every_published_fault_is_tried(shared_data: Path) -> None:
    table = json.loads((shared_data / "engine" / "faults.json").read_text())
    ids = {row["id"]: row["outcome"] for row in table["rows"]}
    assert ids.keys() == FAULTS.keys() | ELSEWHERE
    assert {name: ids[name] for name in OUTCOMES} == {name: kind for name, (kind, _) in OUTCOMES.items()}


def test_an_exception_keeps_class_arguments_and_attributes(backend: ProcessBackend) -> None:
    script = Scripted(identity, {0: FAULTS["exception-with-odd-init"], 1: FAULTS["exception-with-lock"]})
    outcomes = rescue(backend, script, [0, 1], 2, inheritable=True).outcomes()
    odd, locked = outcomes[0].error, outcomes[1].error
    assert (odd.args, odd.b) == (("first",), "second")
    assert (locked.args, locked.text) == (("held",), "held")
    assert not hasattr(locked, "lock")
    assert any("'lock'" in note for note in locked.__notes__)


def test_an_item_that_cannot_be_pickled_is_left_out(backend: ProcessBackend) -> None:
    items: list[Any] = list(range(ITEMS))
    items[BAD] = {"connection": threading.Lock()}
    driver = rescue(backend, identity, items, 5)
    assert sorted(driver.outcomes()) == [i for i in range(ITEMS) if i != BAD]
    assert isinstance(driver.unsendable[BAD], NotPicklableError)
    assert "items[17]['connection'] is a _thread.lock" in str(driver.unsendable[BAD])


def test_an_inherited_item_need_not_be_pickled(backend: ProcessBackend) -> None:
    items: list[Any] = [threading.Lock(), 1]
    driver = rescue(backend, lambda x: x == 1, items, 1, inheritable=True)
    assert [driver.outcomes()[i].value for i in (0, 1)] == [False, True]


def test_every_item_killing_its_worker_ends(backend: ProcessBackend) -> None:
    script = Scripted(identity, {i: [Kill()] * ALWAYS for i in range(8)})
    driver = rescue(backend, script, list(range(8)), 4, inheritable=True)
    assert sorted(driver.lost) == list(range(8))
    starts = [e for e in driver.events if isinstance(e, WorkerReady)]
    assert len(starts) <= 2 * 8 + WORKERS


@pytest.mark.parametrize("hang", [Hang(), Act(lambda: sum(range(10**13)))], ids=["sleeping", "holding-the-lock"])
def test_a_hanging_item_can_be_stopped(backend: ProcessBackend, hang: Any) -> None:
    crew = backend.hire(work(Scripted(identity, {1: [hang]}), [0, 1], inheritable=True, single=True), 1, RealClock())
    driver = Driver(crew, 1)
    (worker,) = driver.ready()
    crew.send(worker, chunks_of(2, 2)[0])
    while [(w, i) for w, i, _ in crew.running()] != [(worker, 1)]:
        crew.wait(0.001)
    crew.kill(worker, "timeout")
    (died,) = driver.hear(WorkerDied)
    assert (died.reason, died.index) == ("timeout", 1)
    crew.close(kill=True)


def test_finished_items_survive_the_death_of_their_chunk(backend: ProcessBackend) -> None:
    script = Scripted(identity, {30: [Kill()] * ALWAYS})
    slow = Scripted(script, {i: [Hang(0.002)] for i in range(30)})
    crew = backend.hire(work(slow, list(range(40)), inheritable=True), 1, RealClock())
    driver = Driver(crew, 1)
    (worker,) = driver.ready()
    crew.send(worker, chunks_of(40, 40)[0])
    (died,) = driver.hear(WorkerDied)
    assert died.index == 30
    assert driver.outcomes().keys() >= set(range(10)), "results are sent every 50 ms"
    crew.close(kill=True)


def test_the_last_words_of_a_worker_are_reported(backend: ProcessBackend) -> None:
    def complain(_: int) -> None:
        os.write(2, b"free(): invalid pointer\n")
        faulthandler._sigsegv()

    crew = backend.hire(work(complain, [0], inheritable=True), 1, RealClock())
    driver = Driver(crew, 1)
    (worker,) = driver.ready()
    crew.send(worker, chunks_of(1, 1)[0])
    (died,) = driver.hear(WorkerDied)
    assert "SIGSEGV in complain, test_process_faults.py" in died.reason
    assert "complain" in died.traceback
    assert died.output == "free(): invalid pointer\n"
    assert [(p.fd, p.text) for p in driver.events if isinstance(p, Printed)] == [(2, "free(): invalid pointer\n")]
    crew.close(kill=True)


def broken_initializer() -> None:
    raise LookupError("no licence")


def test_a_failing_initializer_is_fatal_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    backend = ProcessBackend(method="fork", initializer=broken_initializer)
    crew = backend.hire(work(identity, [1], inheritable=True), 1, RealClock())
    driver = Driver(crew, 1)
    crew.start(1)
    (failed,) = driver.hear(StartFailed)
    crew.close(kill=True)
    backend.close()
    assert failed.fatal
    assert type(failed.error) is LookupError
    (record,) = [r for r in caplog.records if r.name == "concurrent.futures"]
    assert record.levelname == "CRITICAL"
    assert "no licence" in record.getMessage()


def test_an_initializer_that_kills_its_worker_is_fatal() -> None:
    backend = ProcessBackend(method="fork", initializer=os._exit, initargs=(9,))
    crew = backend.hire(work(identity, [1], inheritable=True), 1, RealClock())
    driver = Driver(crew, 1)
    crew.start(1)
    (failed,) = driver.hear(StartFailed)
    crew.close(kill=True)
    backend.close()
    assert failed.fatal
    assert "exit code 9" in failed.reason


def test_no_room_for_a_process_is_a_start_that_failed(backend: ProcessBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    crew = backend.hire(work(identity, [1], inheritable=True), 1, RealClock())

    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    crew.start(2)
    failed = [e for e in crew.wait(0) if isinstance(e, StartFailed)]
    crew.close(kill=True)
    assert len(failed) == 2
    assert not failed[0].fatal
    assert "Resource temporarily unavailable" in failed[0].reason


def test_chunks_of_a_worker_that_reached_its_limit_come_back() -> None:
    backend = ProcessBackend(method="fork", max_tasks_per_child=3)
    driver = rescue_with(backend, list(range(20)), 5)
    backend.close()
    pids = {o.worker for o in driver.outcomes().values()}
    assert sorted(driver.outcomes()) == list(range(20))
    assert len(pids) >= 7


def rescue_with(backend: ProcessBackend, items: list[Any], size: int) -> Rescuer:
    from fanwise.records.scheduling import WorkerRetired

    class Replacing(Rescuer):
        def _hear(self, event: Any, strikes: dict[int, int]) -> None:
            super()._hear(event, strikes)
            if isinstance(event, WorkerRetired):
                self.crew.start(1)

    crew = backend.hire(work(identity, items), WORKERS, RealClock())
    driver = Replacing(crew, WORKERS)
    driver.run(chunks_of(len(items), size))
    crew.close(kill=False)
    return driver


ORPHANS = """
import os, sys, time
from fanwise.backends.process import ProcessBackend
from fanwise.records.scheduling import WorkerReady
from tests.crew_driver import Driver, RealClock, chunks_of, work
method = sys.argv[1]
def spin(x):
    sum(range(10**13))
backend = ProcessBackend(method=method)
crew = backend.hire(work(spin, [1, 2], inheritable=True), 2, RealClock())
driver = Driver(crew, 2)
for chunk, worker in zip(chunks_of(2, 1), driver.ready()):
    crew.send(worker, chunk)
while len(crew.running()) < 2:
    crew.wait(0.001)
if os.fork() == 0:  # a child of the caller must not keep the workers alive
    time.sleep(60)
    os._exit(0)
print(*[e.pid for e in driver.events if isinstance(e, WorkerReady)], flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_nothing_survives_a_killed_caller(method: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", ORPHANS, method],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    process.kill()
    process.wait()
    process.stdout.close()
    until = time.monotonic() + 1
    while (alive := [pid for pid in pids if _is_alive(pid)]) and time.monotonic() < until:
        os.sched_yield()
    os.killpg(process.pid, signal.SIGKILL)  # the child that the caller had forked
    assert not alive


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def count_ours() -> int:
    """Sockets, segments, pipes and polls open in this process."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:  # the descriptor of the listing
            continue
        found += link.startswith(("socket:", "pipe:", "anon_inode:[eventpoll]", "anon_inode:[pidfd]", "/memfd:fanwise"))
    return found


def look_around_in_a_child(backend: ProcessBackend) -> tuple[str, int]:
    """What a child that the caller forks can do with the backend, and how many of our descriptors it has."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            backend.hire(work(identity, [1]), 1, RealClock())
        except BackendError as error:
            os.write(tell, f"{error}\n{count_ours() - 2}".encode())
        finally:
            os._exit(0)
    os.close(tell)
    os.waitpid(pid, 0)
    said, left = os.read(told, 1000).decode().split("\n")
    os.close(told)
    return said, int(left)


def test_a_child_forked_by_the_caller_has_a_closed_copy(backend: ProcessBackend) -> None:
    before = count_ours()
    crew = backend.hire(work(identity, [1, 2], inheritable=True), 1, RealClock())
    driver = Driver(crew, 1)
    (worker,) = driver.ready()
    assert count_ours() > before
    assert look_around_in_a_child(backend) == ("this backend belongs to another process", before)
    crew.send(worker, chunks_of(2, 2)[0])
    driver.hear(ChunkFinished)
    assert len(driver.outcomes()) == 2
    crew.close(kill=False)
