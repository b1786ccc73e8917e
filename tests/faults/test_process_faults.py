"""What a fault in one item costs: that item, and nothing else. At the level of a crew of worker processes."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import os
import resource
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
from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Failed, Ok
from fanwise.records.scheduling import ChunkFinished, ChunkReturned, Printed, StartFailed, WorkerDied, WorkerReady
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


def test_a_worker_that_dies_idle_says_so(backend: ProcessBackend) -> None:
    crew = backend.hire(work(identity, [1, 2], inheritable=True), 1, RealClock())
    driver = Driver(crew, 1)
    (worker,) = driver.ready()
    crew.send(worker, chunks_of(2, 2)[0])
    driver.hear(ChunkFinished)
    os.kill(driver.hear(WorkerReady)[0].pid, signal.SIGKILL)
    (died,) = driver.hear(WorkerDied)
    crew.close(kill=False)
    assert (died.idle, died.index) == (True, None)


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


def test_a_worker_that_dies_while_it_starts_dies_of_no_item() -> None:
    backend = ProcessBackend(method="spawn")
    crew = backend.hire(work(identity, [1]), 1, RealClock())
    crew.start(1)
    crew.kill(1, "bad luck")
    (died,) = Driver(crew, 1).hear(WorkerDied)
    crew.close(kill=True)
    backend.close()
    assert (died.worker, died.index, died.idle) == (1, None, True)
    assert "bad luck" in died.reason


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


class TestWithFewDescriptors:
    """Descriptors are scarce in the caller, or in a worker: large things still arrive."""

    SIZE = 3 << 20

    @pytest.fixture
    def scarce(self) -> Iterator[Callable[[], None]]:
        """Takes all descriptors of the caller but a few."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        held: list[int] = []

        def take() -> None:
            highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
            with contextlib.suppress(OSError):
                while True:
                    held.append(os.dup(0))

        yield take
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_a_caller_without_descriptors_gets_large_results(
        self, backend: ProcessBackend, scarce: Callable[[], None]
    ) -> None:
        crew = backend.hire(work(lambda n: bytes(n), [self.SIZE] * 4), 2, RealClock())
        driver = Driver(crew, 2)
        workers = driver.ready()
        scarce()
        for worker, chunk in zip(workers * 2, chunks_of(4, 1), strict=True):
            crew.send(worker, chunk)
        driver.hear(ChunkFinished, 4)
        crew.close(kill=False)
        assert {len(o.value) for o in driver.outcomes().values()} == {self.SIZE}

    def test_a_caller_without_descriptors_can_send_large_items(
        self, backend: ProcessBackend, scarce: Callable[[], None]
    ) -> None:
        crew = backend.hire(work(len, [bytes(self.SIZE)] * 2), 1, RealClock())
        driver = Driver(crew, 1)
        (worker,) = driver.ready()
        scarce()
        crew.send(worker, chunks_of(2, 2)[0])
        driver.hear(ChunkFinished)
        crew.close(kill=False)
        assert {o.value for o in driver.outcomes().values()} == {self.SIZE}

    def test_a_caller_without_descriptors_cannot_start_workers(
        self, backend: ProcessBackend, scarce: Callable[[], None]
    ) -> None:
        crew = backend.hire(work(len, []), 1, RealClock())
        scarce()
        crew.start(1)
        (failed,) = [e for e in crew.wait(0) if isinstance(e, StartFailed)]
        crew.close(kill=False)
        assert "Too many open files" in failed.reason

    def test_a_worker_without_descriptors_gets_large_items_in_fragments(self, backend: ProcessBackend) -> None:
        def exhaust(data: bytes) -> int:
            with contextlib.suppress(OSError):
                while True:
                    os.dup(0)
            return len(data)

        items = [b"small", *[bytes(self.SIZE)] * 3]
        crew = backend.hire(work(exhaust, items), 1, RealClock())
        driver = Driver(crew, 1)
        outcomes = driver.run(chunks_of(4, 1))
        crew.close(kill=False)
        assert [outcomes[i].value for i in range(4)] == [5, *[self.SIZE] * 3]

    def test_a_worker_without_descriptors_can_answer_at_length(self, backend: ProcessBackend) -> None:
        def exhaust(size: int) -> bytes:
            with contextlib.suppress(OSError):
                while True:
                    os.dup(0)
            return bytes(size)

        crew = backend.hire(work(exhaust, [self.SIZE]), 1, RealClock())
        outcomes = Driver(crew, 1).run(chunks_of(1, 1))
        crew.close(kill=False)
        assert outcomes[0].value == bytes(self.SIZE)


def test_a_crew_in_a_forked_child_says_so(backend: ProcessBackend) -> None:
    crew = backend.hire(work(identity, [1], inheritable=True), 1, RealClock())
    Driver(crew, 1).ready()
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            crew.wait(None)
        except BackendError as error:
            os.write(tell, str(error).encode())
        finally:
            os._exit(0)
    os.close(tell)
    os.waitpid(pid, 0)
    assert os.read(told, 1000) == b"these workers belong to another process"
    os.close(told)
    crew.close(kill=False)


def test_commands_to_a_worker_that_is_gone_or_going_are_ignored(backend: ProcessBackend) -> None:
    crew = backend.hire(work(identity, [1], inheritable=True), 1, RealClock())
    driver = Driver(crew, 1)
    (worker,) = driver.ready()
    crew.kill(worker, "told to")
    for act in (
        lambda: crew.send(worker, chunks_of(1, 1)[0]),
        lambda: crew.cancel(worker, 7),
        lambda: crew.retire(worker),
    ):
        act()
    driver.hear(WorkerDied)
    for act in (
        lambda: crew.send(worker, chunks_of(1, 1)[0]),
        lambda: crew.cancel(worker, 7),
        lambda: crew.kill(worker, ""),
    ):
        act()
    assert crew.wait(0) == []
    assert crew.sizes() == {}
    crew.close(kill=False)


def test_sizes_are_those_of_live_workers(backend: ProcessBackend) -> None:
    crew = backend.hire(work(identity, [1], inheritable=True), 2, RealClock())
    workers = Driver(crew, 2).ready()
    sizes = crew.sizes()
    crew.close(kill=False)
    assert set(sizes) == set(workers)
    assert all(size > 1 << 20 for size in sizes.values())


def test_a_full_socket_is_no_obstacle(backend: ProcessBackend) -> None:
    """More is sent than a socket holds, to a worker that is busy; nothing blocks and nothing is lost."""
    items: list[Any] = [b"x" * 60_000] * 40
    crew = backend.hire(work(len, items), 1, RealClock())
    driver = Driver(crew, 1)
    (worker,) = driver.ready()
    for chunk in chunks_of(40, 1):
        crew.send(worker, chunk)
    driver.hear(ChunkFinished, 40)
    crew.close(kill=False)
    assert {o.value for o in driver.outcomes().values()} == {60_000}


def test_chunks_behind_a_long_item_are_taken_back_in_any_order(backend: ProcessBackend, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    items = [str(tmp_path / "fifo"), *[""] * 6]
    crew = backend.hire(work(lambda path: path and Path(path).read_text(), items, single=True), 1, RealClock())
    driver = Driver(crew, 1)
    (worker,) = driver.ready()
    crew.send(worker, Chunk(1, 0, 1))
    for chunk in (2, 3, 4):
        crew.send(worker, Chunk(chunk, chunk, 1))
    with open(tmp_path / "fifo", "w") as writer:
        crew.cancel(worker, 3)
        (returned,) = driver.hear(ChunkReturned)
        writer.write("now")
    driver.hear(ChunkFinished, 3)
    crew.close(kill=False)
    assert returned.chunk == 3
    assert sorted(driver.outcomes()) == [0, 2, 4]
