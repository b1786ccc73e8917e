"""Ctrl-C, SIGTERM and the death of the caller, each in a program of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.faults, pytest.mark.process, pytest.mark.slow]

PROGRAM = """
import json, os, signal, sys, threading, time
import fanwise

def work(item):
    if item == 5:
        print("reached", flush=True)
    end = time.perf_counter() + 0.02
    while time.perf_counter() < end:
        pass
    return item

def main():
    place = json.loads(sys.argv[1])
    try:
        fanwise.map(work, range(100_000), **place)
    except fanwise.RunInterrupted as error:
        run = error.run
        print(json.dumps({
            "signal": error.signal,
            "kept": len(run.outcomes),
            "right": all(o.unwrap() == o.index for o in run.outcomes),
            "ended": run.report.ended,
            "threads": threading.active_count(),
            "handlers": [signal.getsignal(s) in (signal.SIG_DFL, signal.default_int_handler) for s in (2, 15)],
        }), flush=True)

main()
"""

PLACES = [{"workers": 1}, {"backend": "thread", "workers": 2}, {"backend": "process", "workers": 2}, {}]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    programs: list[subprocess.Popen[str]] = []
    (tmp_path / "program.py").write_text(PROGRAM)

    def begin(place: dict[str, Any]) -> subprocess.Popen[str]:
        command = [sys.executable, str(tmp_path / "program.py"), json.dumps(place)]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        programs.append(program)
        assert program.stdout is not None
        assert program.stdout.readline() == "reached\n"
        return program

    yield begin
    for program in programs:
        program.kill()
        program.communicate()


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interrupt_keeps_what_is_finished_and_leaves_nothing(start: Any, place: dict[str, Any], number: int) -> None:
    program = start(place)
    family = psutil.Process(program.pid).children(recursive=True)
    program.send_signal(number)
    out, err = program.communicate(timeout=60)
    told = json.loads(out.splitlines()[-1])
    assert told["signal"] == number
    assert told["kept"] >= 5
    assert told["right"]
    assert told["ended"] == "interrupted"
    assert told["threads"] == 1
    assert told["handlers"] == [True, True]
    assert program.returncode == 0, err
    assert not psutil.wait_procs(family, timeout=10)[1]


def test_workers_do_not_outlive_a_caller_that_is_killed(start: Any) -> None:
    before = set(os.listdir("/dev/shm"))
    program = start({"backend": "process", "workers": 2})
    family = psutil.Process(program.pid).children(recursive=True)
    assert len(family) >= 2
    program.kill()
    assert not psutil.wait_procs(family, timeout=10)[1], "workers are still there"
    assert set(os.listdir("/dev/shm")) <= before
