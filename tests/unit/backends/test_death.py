"""Why a worker died, in words."""

from __future__ import annotations

import signal

import pytest

from fanwise.backends.process import _death
from fanwise.backends.process._death import describe, oom_kills

SEGFAULT = """Fatal Python error: Segmentation fault

Thread 0x00007f0000000001 (most recent call first):
  File "/home/u/other.py", line 5 in idle

Current thread 0x00007f0000000000 (most recent call first):
  File "{stdlib}/ctypes/__init__.py", line 519 in string_at
  File "/venv/lib/python3.11/site-packages/hydro/c.py", line 7 in call
  File "/home/u/model.py", line 88 in step
  File "{ours}/process/_execution.py", line 12 in run_block
  File "{ours}/process/_worker.py", line 12 in run

Extension modules: numpy (total: 1)
"""
TEXT = SEGFAULT.format(stdlib=_death._LIBRARY, ours=_death._OURS)


@pytest.mark.parametrize(
    ("code", "words", "reason"),
    [
        (3, "", "exit code 3"),
        (0, "", "exit code 0"),
        (None, "", "gone; somebody else has collected its exit code"),
        (-signal.SIGSEGV, TEXT, "SIGSEGV in step, model.py:88"),
        (-signal.SIGABRT, "", "SIGABRT"),
        (-signal.SIGSEGV, TEXT.replace('"/home/u/model.py"', '"/venv/site-packages/x.py"'), "SIGSEGV in call, c.py:7"),
        (-signal.SIGSEGV, "\n".join(TEXT.splitlines()[:7]), "SIGSEGV in string_at, __init__.py:519"),
        (-50, "", "signal 50"),
    ],
)
def test_reasons(code: int | None, words: str, reason: str) -> None:
    assert describe(code, words, 0, out_of_memory=False) == reason


def test_a_kill_mentions_memory_as_far_as_known() -> None:
    killed = -signal.SIGKILL
    assert describe(killed, "", 3_100_000_000, out_of_memory=True) == "SIGKILL (out of memory; 3.1 GB resident)"
    reason = describe(killed, "", 31_000_000, out_of_memory=False)
    assert reason == "SIGKILL (from outside, or for want of memory; 31 MB resident)"


def test_kills_for_want_of_memory_are_counted() -> None:
    assert oom_kills() >= 0
    assert _death._counter(b"low 0\noom 3\noom_kill 2\n") == 2
    assert _death._counter(b"nothing\n") == 0
