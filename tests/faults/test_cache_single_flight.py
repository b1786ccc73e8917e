"""Single flight over threads and processes: computed once; killed, failing and stopped leaders; recursion; fork."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fanwise import Cache
from fanwise.cache import _flights
from fanwise.errors import CacheError

pytestmark = [pytest.mark.faults, pytest.mark.process]

BACKENDS = ["index", "files"]


@pytest.fixture(params=BACKENDS)
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cache]:
    with Cache(tmp_path / "c", backend=request.param) as cache:
        yield cache


class Child:
    """A forked process with a pipe to tell us things and one to be told to go on."""

    def __init__(self, work: Callable[[Child], Any]) -> None:
        self._out, out = os.pipe()
        inward, self._in = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(out)
            os.close(inward)
            return
        code = 1
        try:
            os.close(self._out)
            os.close(self._in)
            self._out, self._in = out, inward
            work(self)
            code = 0
        except CacheError:
            code = 3
        finally:
            os._exit(code)

    def say(self, text: str) -> None:
        """In the child: tell the parent."""
        os.write(self._out, text.encode() + b"\n")

    def await_go(self) -> None:
        """In the child: wait for the parent."""
        os.read(self._in, 1)

    def hear(self) -> str:
        """In the parent: the next line, or nothing if the child has ended."""
        line = b""
        while (byte := os.read(self._out, 1)) not in {b"", b"\n"}:
            line += byte
        return line.decode()

    def go(self) -> None:
        os.write(self._in, b"g")

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def end(self) -> int:
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._out)
        os.close(self._in)
        return code


def computed(path: Path) -> list[str]:
    """What was computed, by whom: one line each."""
    return path.read_text().splitlines() if path.exists() else []


def note(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, text.encode() + b"\n")
    os.close(fd)


def test_each_key_is_computed_once_over_four_processes_with_four_threads(cache: Cache, tmp_path: Path) -> None:
    log = tmp_path / "log"
    stripes = {cache.key(n)[0]: n for n in range(60)}  # of keys that share a file of `flock` one has no lease
    keys = sorted(stripes.values())[:12]

    def work(child: Child) -> None:
        barrier = threading.Barrier(4)
        wrong: list[Any] = []

        def thread(offset: int) -> None:
            barrier.wait()
            for step in range(len(keys)):
                key = keys[(step + offset) % len(keys)]
                value = cache.get_or_compute(key, lambda: (note(log, str(key)), time.sleep(0.002), [key])[-1])
                if value != [key]:
                    wrong.append(value)

        child.await_go()
        threads = [threading.Thread(target=thread, args=(3 * n,)) for n in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert not wrong
        assert cache.stats().takeovers == 0

    children = [Child(work) for _ in range(4)]
    for child in children:
        child.go()
    assert [child.end() for child in children] == [0] * 4
    assert sorted(computed(log), key=int) == [str(key) for key in keys]


def leader_and_waiters(
    cache: Cache, log: Path, count: int, lead: Callable[[Child], Any], **waits: Any
) -> tuple[Child, list[Child]]:
    """A leader that is computing, and waiters that are waiting for it."""
    leader = Child(lambda child: cache.get_or_compute("k", lambda: lead(child)))
    assert leader.hear() == "computing"

    def wait(child: Child) -> None:
        child.say("waiting")
        value = cache.get_or_compute("k", lambda: (note(log, "waiter"), "waiter's")[-1])
        stats = cache.stats()
        child.say(f"{value} {stats.waits} {stats.takeovers} {stats.computes}")

    waiters = [Child(wait) for _ in range(count)]
    for waiter in waiters:
        assert waiter.hear() == "waiting"
    until = time.monotonic() + 10
    for waiter in waiters:  # asleep in the kernel, or between two looks
        while wchan(waiter.pid) == "" and time.monotonic() < until:
            os.sched_yield()
    return leader, waiters


def wchan(pid: int) -> str:
    """Whether a process sleeps."""
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    return "asleep" if state in "SD" else ""


def computing(child: Child) -> str:
    child.say("computing")
    child.await_go()
    return "leader's"


def test_waiters_get_the_leaders_value(cache: Cache, tmp_path: Path) -> None:
    leader, waiters = leader_and_waiters(cache, tmp_path / "log", 3, computing)
    leader.go()
    assert [waiter.hear() for waiter in waiters] == ["leader's 1 0 0"] * 3
    assert [child.end() for child in (leader, *waiters)] == [0] * 4
    assert computed(tmp_path / "log") == []


def test_one_waiter_takes_over_from_a_killed_leader(cache: Cache, tmp_path: Path) -> None:
    leader, waiters = leader_and_waiters(cache, tmp_path / "log", 3, computing)
    leader.kill()
    assert leader.end() == -9
    heard = [waiter.hear() for waiter in waiters]
    assert sorted(heard) == sorted(["waiter's 1 1 1", "waiter's 1 0 0", "waiter's 1 0 0"])
    assert [waiter.end() for waiter in waiters] == [0] * 3
    assert computed(tmp_path / "log") == ["waiter"]


def test_a_stopped_leader_is_waited_for_and_taken_over_once_it_is_killed(cache: Cache, tmp_path: Path) -> None:
    leader, (waiter,) = leader_and_waiters(cache, tmp_path / "log", 1, computing)
    leader.kill(signal.SIGSTOP)
    os.waitpid(leader.pid, os.WUNTRACED)
    assert computed(tmp_path / "log") == []
    leader.kill()
    assert waiter.hear() == "waiter's 1 1 1"
    assert (leader.end(), waiter.end()) == (-9, 0)


def test_waiters_of_a_failing_leader_compute_at_once_each_for_itself(cache: Cache, tmp_path: Path) -> None:
    def fail(child: Child) -> None:
        child.say("computing")
        child.await_go()
        raise CacheError("stands for any error of the function")

    leader, waiters = leader_and_waiters(cache, tmp_path / "log", 3, fail)
    leader.go()
    heard = [waiter.hear() for waiter in waiters]
    assert {line.split()[0] for line in heard} == {"waiter's"}
    assert sum(int(line.split()[2]) for line in heard) == 0, "nobody took over"
    assert leader.end() == 3
    assert [waiter.end() for waiter in waiters] == [0] * 3


def test_waiters_do_not_queue_for_a_value_that_cannot_be_stored(cache: Cache, tmp_path: Path) -> None:
    def unstorable(child: Child) -> Any:
        child.say("computing")
        child.await_go()
        import warnings

        warnings.simplefilter("ignore")
        return iter(())

    leader, waiters = leader_and_waiters(cache, tmp_path / "log", 2, unstorable)
    leader.go()
    assert {waiter.hear().split()[0] for waiter in waiters} == {"waiter's"}
    assert [child.end() for child in (leader, *waiters)] == [0] * 3


def test_a_fork_inside_a_computation_does_not_keep_the_lease(cache: Cache, tmp_path: Path) -> None:
    """The grandchild outlives its parent, which held the lease."""
    inherited = tmp_path / "grandchild"

    def fork_and_wait(child: Child) -> str:
        pid = os.fork()
        if pid == 0:
            inherited.write_text(str(os.getpid()))
            signal.pause()
            os._exit(0)
        while not inherited.exists() or not inherited.read_text():
            os.sched_yield()
        return computing(child)

    leader, (waiter,) = leader_and_waiters(cache, tmp_path / "log", 1, fork_and_wait)
    leader.kill()
    try:
        assert waiter.hear() == "waiter's 1 1 1"
        assert (leader.end(), waiter.end()) == (-9, 0)
    finally:
        os.kill(int(inherited.read_text()), signal.SIGKILL)


def test_an_interrupt_while_computing_stores_nothing_and_frees_the_lease(cache: Cache) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get_or_compute("k", interrupt)
    assert cache.get_or_compute("k", lambda: 1) == 1
    assert cache.stats().stores == 1


def test_an_interrupt_reaches_a_waiter(tmp_path: Path) -> None:
    with Cache(tmp_path / "c", backend="index") as cache:
        leader = Child(lambda child: cache.get_or_compute("k", lambda: computing(child)))
        assert leader.hear() == "computing"

        def wait(child: Child) -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            child.say("waiting")
            try:
                cache.get_or_compute("k", lambda: 1)
            except KeyboardInterrupt:
                child.say("interrupted")

        waiter = Child(wait)
        assert waiter.hear() == "waiting"
        until = time.monotonic() + 10
        while wchan(waiter.pid) == "" and time.monotonic() < until:
            os.sched_yield()
        waiter.kill(signal.SIGINT)
        assert waiter.hear() == "interrupted"
        leader.go()
        assert (waiter.end(), leader.end()) == (0, 0)


def test_rings_of_waiting_cannot_close(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, each computing what the other one needs: after a while one of them stops waiting."""
    monkeypatch.setattr(_flights, "NESTED_WAIT_S", 0.3)

    def work(child: Child, mine: str, other: str) -> None:
        def compute() -> str:
            child.say("computing")
            child.await_go()
            return f"{mine}+{cache.get_or_compute(other, lambda: other)}"

        child.say(cache.get_or_compute(mine, compute))

    one, two = Child(lambda c: work(c, "a", "b")), Child(lambda c: work(c, "b", "a"))
    assert (one.hear(), two.hear()) == ("computing", "computing")
    one.go(), two.go()
    assert {one.hear()[0], two.hear()[0]} == {"a", "b"}
    assert (one.end(), two.end()) == (0, 0)


def test_threads_that_wait_for_each_other_go_on_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_flights, "NESTED_WAIT_S", 0.2)
    with Cache(disk=0) as cache:
        both = threading.Barrier(2)
        results: dict[str, str] = {}

        def work(mine: str, other: str) -> None:
            def compute() -> str:
                both.wait()
                return f"{mine}+{cache.get_or_compute(other, lambda: other)}"

            results[mine] = cache.get_or_compute(mine, compute)

        threads = [threading.Thread(target=work, args=pair) for pair in (("a", "b"), ("b", "a"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(results) == {"a", "b"}


def test_failing_threads_do_not_queue(cache: Cache) -> None:
    """Four threads want a value whose computation takes its time and fails: together they need that time about twice."""
    inside = threading.Semaphore(0)
    most = [0]
    now = [0]
    lock = threading.Lock()

    def fail() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        if now[0] == 1:
            inside.release()
        time.sleep(0.2)
        with lock:
            now[0] -= 1
        raise ValueError("no")

    errors: list[BaseException] = []

    def work() -> None:
        try:
            cache.get_or_compute("k", fail)
        except ValueError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 4
    assert most[0] >= 2, "the waiters computed one after another"


def test_two_caches_of_one_directory_know_of_each_others_recursion(tmp_path: Path) -> None:
    with Cache(tmp_path / "c") as one, Cache(tmp_path / "c") as two, pytest.raises(CacheError, match="needs"):
        one.get_or_compute("k", lambda: two.get_or_compute("k", lambda: 1))


def test_a_memoised_recursion_without_end_names_the_chain(tmp_path: Path) -> None:
    with Cache(tmp_path / "c") as cache:

        def f(x: int) -> int:
            return g(x - 2)

        def g(x: int) -> int:
            return memo_f(x + 2)

        memo_f = cache.memoize(f)
        g = cache.memoize(g)
        with pytest.raises(CacheError) as caught:
            memo_f(3)
        assert ".f(3)' needs '" in str(caught.value)
        assert str(caught.value).endswith(
            "f(3) -> test_a_memoised_recursion_without_end_names_the_chain.<locals>.g(1) -> "
            "test_a_memoised_recursion_without_end_names_the_chain.<locals>.f(3))"
        )
