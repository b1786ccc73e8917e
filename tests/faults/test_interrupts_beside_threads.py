"""Ctrl-C and SIGTERM while a run is driven by a thread other than the main one, which alone hears of signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest
from tests.programs import plain_environment

pytestmark = [pytest.mark.faults, pytest.mark.process, pytest.mark.slow]

PROGRAM = """
import os, signal, sys, threading, time
import fanwise

daemon, items, place = sys.argv[1] == "daemon", int(sys.argv[2]), eval(sys.argv[3])
found = []
ended = threading.Event()  # a `join` that is interrupted takes its thread for ended, in Python 3.11

def work(item):
    time.sleep(0.01)
    if item == 5:
        os.write(1, b"reached\\n")
    return item

def drive():
    try:
        found.extend(fanwise.map(work, range(items), **place))
    finally:
        os.write(1, b"run %d %d\\n" % (len(found), found == list(range(items))))
        ended.set()

handlers = [signal.getsignal(2), signal.getsignal(15)]
thread = threading.Thread(target=drive, daemon=daemon)
try:
    thread.start()
    ended.wait()
except KeyboardInterrupt:
    same = handlers == [signal.getsignal(2), signal.getsignal(15)]
    os.write(1, b"main %d\\n" % same)
    if daemon:
        sys.exit(7)
    ended.wait()
"""
PLACES = [{"backend": "process", "workers": 2}, {"backend": "thread", "workers": 2}, {"workers": 1}]

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    programs: list[subprocess.Popen[str]] = []

    def begin(kind: str, items: int, place: dict[str, object]) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, kind, str(items), repr(place)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=plain_environment(),
            start_new_session=True,
        )
        programs.append(program)
        assert program.stdout is not None
        assert program.stdout.readline() == "reached\n"
        return program

    yield begin
    for program in programs:
        program.kill()
        program.communicate()


def family(program: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(program.pid).children(recursive=True)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_the_main_thread_hears_it_at_once_and_the_run_goes_on_if_it_is_waited_for(
    start: Start, place: dict[str, object]
) -> None:
    program = start("plain", 60, place)
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    out, err = program.communicate(timeout=60)
    assert out.splitlines() == ["main 1", "run 60 1"], err
    assert program.returncode == 0


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_program_that_ends_beside_a_daemon_thread_leaves_no_worker(start: Start, place: dict[str, object]) -> None:
    program = start("daemon", 100_000, place)
    workers = family(program)
    os.killpg(program.pid, signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert out.splitlines()[0] == "main 1", err
    assert program.returncode == 7, err
    assert not psutil.wait_procs(workers, timeout=10)[1]


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_second_interrupt_ends_the_program_and_its_workers(start: Start, place: dict[str, object]) -> None:
    program = start("plain", 100_000, place)
    workers = family(program)
    assert program.stdout is not None
    os.killpg(program.pid, signal.SIGINT)
    assert program.stdout.readline() == "main 1\n"
    for _ in range(3):  # the first breaks the wait of the program, one more that of the interpreter
        os.killpg(program.pid, signal.SIGINT)
        try:
            program.communicate(timeout=2)
            break
        except subprocess.TimeoutExpired:
            continue
    assert program.poll() is not None
    assert not psutil.wait_procs(workers, timeout=10)[1]


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_sigterm_ends_the_program_by_its_default_and_the_workers_with_it(
    start: Start, place: dict[str, object]
) -> None:
    program = start("plain", 100_000, place)
    workers = family(program)
    program.terminate()
    program.communicate(timeout=60)
    assert program.returncode == -signal.SIGTERM
    assert not psutil.wait_procs(workers, timeout=10)[1]
