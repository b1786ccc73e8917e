"""Small parts of the coordinator: numbers of functions, the register of descriptors, polls, processes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.backends.process import _ends, _guard
from fanwise.backends.process._ends import enter, open_ends
from fanwise.backends.process._guard import Raised, attempt
from fanwise.backends.process._messages import FunctionOptions
from fanwise.backends.process._parcel import Numbering, pack_function
from fanwise.backends.process._pickling import Packed
from fanwise.backends.process._poller import Poller
from fanwise.backends.process._process import NEWS, Child, Grandchild, Spawned
from fanwise.errors import NotPicklableError
from fanwise.typing import Work

OPTIONS = FunctionOptions(single=False, capture=True, seed=None, isolate=False, state=b"")


class TestNumbering:
    @given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.booleans()), max_size=30))
    def test_equal_functions_have_equal_numbers(self, uses: list[tuple[bytes, bool]]) -> None:
        numbering = Numbering()
        numbers: dict[tuple[bytes, bool], set[int]] = {}
        for data, single in uses:
            options = FunctionOptions(single=single, capture=True, seed=None, isolate=False, state=b"")
            numbers.setdefault((data, single), set()).add(numbering.number(Packed(data), options))
        assert all(len(found) == 1 for found in numbers.values())
        assert len(set().union(*numbers.values())) == len(numbers)

    def test_a_reserved_number_is_nobody_elses(self) -> None:
        numbering = Numbering()
        assert numbering.reserve() != numbering.reserve() != numbering.number(Packed(b"a"), OPTIONS)

    @pytest.mark.parametrize("packed", [Packed(b"x" * (2 << 20)), Packed(b"a", [memoryview(b"buffer")])])
    def test_what_is_large_is_not_remembered(self, packed: Packed) -> None:
        numbering = Numbering()
        assert numbering.number(packed, OPTIONS) != numbering.number(packed, OPTIONS)

    def test_the_memory_is_bounded(self) -> None:
        numbering = Numbering()
        first = numbering.number(Packed(b"first"), OPTIONS)
        for n in range(100):
            numbering.number(Packed(str(n).encode()), OPTIONS)
        assert numbering.number(Packed(b"first"), OPTIONS) != first


def test_a_function_that_cannot_be_packed_is_explained() -> None:
    lock = threading.Lock()
    with pytest.raises(NotPicklableError, match=r"fn\.<lock>"):
        pack_function(Work(lambda x: lock, list), Numbering(), isolate=False)


def test_a_callable_without_a_module_goes_by_value() -> None:
    class Callee:
        def __call__(self, x: int) -> int:
            return x

    Callee.__module__ = "nowhere_at_all"
    parcel = pack_function(Work(Callee(), list), Numbering(), isolate=False, by_value=True)
    assert parcel.packed.reduced


class Held:
    def __init__(self) -> None:
        self.closed = 0

    def let_go(self) -> None:
        self.closed += 1


def test_what_is_entered_is_let_go_in_a_child_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import weakref

    monkeypatch.setattr(_ends, "_register", weakref.WeakSet())
    held, gone = Held(), Held()
    enter(held)
    enter(gone)
    del gone
    for _ in range(2):
        _ends.fork_gate.acquire()
        _ends._let_go_all()
    assert held.closed == 1


def test_a_forking_thread_waits_for_descriptors_being_made() -> None:
    begun, forked = threading.Event(), threading.Event()

    def fork() -> None:
        begun.set()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        forked.set()

    with _ends.fork_gate:
        thread = threading.Thread(target=fork)
        thread.start()
        begun.wait()
        assert not forked.is_set()
    thread.join()
    assert forked.is_set()


def test_ends_are_above_the_standard_descriptors() -> None:
    code = """
import os
from fanwise.backends.process._ends import open_ends
os.close(0)
os.close(1)
theirs, ours = open_ends()
fds = [*theirs.fds(), ours.sock.fileno(), ours.peer.fileno(), ours.life, ours.page, ours.out, ours.err]
assert min(fds) > 2 and len(set(fds)) == len(fds), fds
assert not any(os.get_inheritable(fd) for fd in fds)
"""
    assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE).stderr == b""


def test_ends_that_cannot_be_made_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))

    def refuse() -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(_ends, "make_page", refuse)
    with pytest.raises(OSError, match="Too many"):
        open_ends()
    assert len(os.listdir("/proc/self/fd")) == before


class TestPoller:
    def test_handlers_are_called_for_what_is_ready(self) -> None:
        told, tell = os.pipe()
        poller, heard = Poller(), []
        poller.watch(told, lambda: heard.append(os.read(told, 10)))
        poller.wait(0)
        os.write(tell, b"x")
        poller.wait(None)
        poller.wait(-1)
        assert heard == [b"x"]
        poller.forget(told)
        poller.forget(told)
        os.write(tell, b"y")
        poller.wait(0)
        assert heard == [b"x"]
        poller.close()
        os.close(told)
        os.close(tell)

    def test_writing_is_watched_only_if_wanted(self) -> None:
        import socket

        ours, theirs = socket.socketpair()
        poller, heard = Poller(), []
        poller.watch(ours.fileno(), lambda: heard.append(1))
        for wanted in (True, True, False, False):
            poller.also_writing(ours.fileno(), wanted=wanted)
            poller.wait(0)
        assert len(heard) == 2
        poller.also_writing(theirs.fileno(), wanted=True)  # not watched
        poller.close()
        ours.close()
        theirs.close()

    def test_a_handler_may_forget_another(self) -> None:
        pipes = [os.pipe() for _ in range(2)]
        poller, heard = Poller(), []

        def handle(own: int) -> None:
            heard.append(own)
            for told, _ in pipes:
                poller.forget(told)

        for told, tell in pipes:
            poller.watch(told, lambda own=told: handle(own))  # type: ignore[misc]
            os.write(tell, b"x")
        poller.wait(0)
        assert len(heard) == 1
        poller.close()
        for fd in (fd for pair in pipes for fd in pair):
            os.close(fd)


class TestProcesses:
    def fork(self, act: Callable[[], Any]) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                act()
            finally:
                os._exit(0)
        return pid

    def ended(self, process: Any) -> Any:
        import select

        poll = select.poll()
        poll.register(process.fileno(), select.POLLIN)
        while not process.poll():
            poll.poll(10_000)
        return process.code

    def test_a_child_has_its_exit_code(self) -> None:
        child = Child(self.fork(lambda: os._exit(5)))
        assert self.ended(child) == 5
        assert child.poll()
        assert child.kill()
        child.close()

    def test_a_killed_child_has_the_signal(self) -> None:
        child = Child(self.fork(signal.pause))
        assert not child.poll()
        child.kill()
        assert self.ended(child) == -signal.SIGKILL
        child.close()

    def test_a_child_that_somebody_else_has_reaped_has_no_code(self) -> None:
        pid = self.fork(lambda: None)
        child = Child(pid)
        os.waitpid(pid, 0)
        assert self.ended(child) is None
        child.close()

    def test_a_child_that_cannot_be_watched_is_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(pid: int) -> int:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(os, "pidfd_open", refuse)
        pid = self.fork(signal.pause)
        with pytest.raises(OSError, match="Too many"):
            Child(pid)
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, 0)
        popen = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        with pytest.raises(OSError, match="Too many"):
            Spawned(popen)
        assert popen.returncode == -signal.SIGKILL
        assert popen.stdin is not None
        popen.stdin.close()

    def test_a_spawned_process_has_its_exit_code(self) -> None:
        spawned = Spawned(subprocess.Popen([sys.executable, "-c", "raise SystemExit(4)"]))
        assert self.ended(spawned) == 4
        spawned.close()

    def test_a_copy_in_a_forked_child_is_let_go_in_silence(self) -> None:
        popen = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        spawned = Spawned(popen)
        pid, stdin = popen.pid, popen.stdin
        spawned.close()
        assert popen.returncode == 0, "so that its finalizer does not warn"
        assert stdin is not None
        stdin.close()
        os.waitpid(pid, 0)

    def test_news_of_a_grandchild_come_through_a_pipe(self) -> None:
        told, tell = os.pipe()
        grandchild = Grandchild(told)
        assert not grandchild.poll()
        assert not grandchild.kill(), "not known yet"
        pid = self.fork(signal.pause)
        os.write(tell, NEWS.pack(pid))
        assert not grandchild.poll()
        assert grandchild.kill()
        _, status = os.waitpid(pid, 0)
        assert grandchild.kill(), "gone already: no error"
        os.write(tell, NEWS.pack(status))
        os.close(tell)
        assert grandchild.poll()
        assert (grandchild.pid, grandchild.code) == (pid, -signal.SIGKILL)
        grandchild.close()

    @pytest.mark.parametrize(
        ("news", "trouble"),
        [([], "gone together with the fork server"), ([-errno.EAGAIN], "the fork server cannot fork: Resource")],
    )
    def test_a_grandchild_may_never_have_been(self, news: list[int], trouble: str) -> None:
        told, tell = os.pipe()
        grandchild = Grandchild(told)
        for number in news:
            os.write(tell, NEWS.pack(number))
        os.close(tell)
        assert grandchild.poll()
        assert grandchild.code is None
        assert grandchild.trouble.startswith(trouble)
        grandchild.close()


def test_an_attempt_is_a_value_or_what_was_raised() -> None:
    assert attempt(abs, -1) == 1
    raised = attempt(int, "x")
    assert isinstance(raised, Raised)
    assert isinstance(raised.error, ValueError)
    with pytest.raises(SystemExit):
        attempt(sys.exit, 1)
    assert isinstance(attempt(sys.exit, 1, caught=BaseException), Raised)


@pytest.mark.parametrize(("task", "code"), [(lambda: None, 0), (lambda: 1 / 0, _guard.DEFECT)])
def test_a_process_ends_with_a_code_that_says_how_it_went(task: Callable[[], Any], code: int) -> None:
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(tell, 2)
        _guard.exit_after(task)
    os.close(tell)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == code
    assert (b"ZeroDivisionError" in os.read(told, 10_000)) is (code != 0)
    os.close(told)
