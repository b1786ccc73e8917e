"""Why a worker died, in words: its exit code or signal, memory, and the frame that the interpreter could still name."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from functools import cache

__all__ = ["describe", "oom_kills"]

_FRAME = re.compile(r'^  File "(?P<path>[^"]*)", line (?P<line>\d+) in (?P<name>\S+)', re.MULTILINE)
_THREAD = re.compile(r"^(?:Current thread|Thread) ", re.MULTILINE)
_LIBRARY = os.path.dirname(os.__file__)
_PACKAGES = ("site-packages", "dist-packages")
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def describe(code: int | None, last_words: str, rss: int, *, out_of_memory: bool) -> str:
    """One phrase for a death.

    Parameters
    ----------
    code : int or None
        Exit code, negative for a signal, as `os.waitstatus_to_exitcode` gives; None if nobody knows.
    last_words : str
        What `faulthandler` wrote.
    rss : int
        Resident bytes when last seen.
    out_of_memory : bool
        Whether the kernel has killed something for want of memory since the worker started.
    """
    if code is None:
        return "gone; somebody else has collected its exit code"
    if code >= 0:
        return f"exit code {code}"
    name = _signal_name(-code)
    if -code == signal.SIGKILL:
        cause = "out of memory" if out_of_memory else "from outside, or for want of memory"
        return f"{name} ({cause}; {_size(rss)} resident)"
    frame = _user_frame(last_words)
    return f"{name} in {frame}" if frame else name


def _signal_name(number: int) -> str:
    with suppress(ValueError):  # a real-time signal has no name
        return signal.Signals(number).name
    return f"signal {number}"


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _user_frame(last_words: str) -> str | None:
    """The innermost frame of the user's own code in the thread that crashed, else the innermost of all."""
    threads = _THREAD.split(last_words)
    crashed = next((text for text in last_words.split("\n\n") if text.startswith("Current thread")), threads[-1])
    frames = [match.groupdict() for match in _FRAME.finditer(crashed)]
    for outside in (_is_own, _is_installed):
        for frame in frames:
            if outside(frame["path"]):
                return _title(frame)
    return _title(frames[0]) if frames else None


def _is_own(path: str) -> bool:
    return _is_installed(path) and not any(name in path for name in _PACKAGES)


def _is_installed(path: str) -> bool:
    return not path.startswith(_OURS) and (any(n in path for n in _PACKAGES) or not path.startswith(_LIBRARY))


def _title(frame: dict[str, str]) -> str:
    return f"{frame['name']}, {os.path.basename(frame['path'])}:{frame['line']}"


def oom_kills() -> int:
    """How often the kernel has killed for want of memory: in this control group, else on the whole machine."""
    for path in _counters():
        with suppress(OSError), open(path, "rb") as counters:
            return _counter(counters.read())
    return 0


@cache
def _counters() -> tuple[str, ...]:
    """Where the kernel counts: asked once, since every run wants to know."""
    group = ""
    with suppress(OSError, StopIteration), open("/proc/self/cgroup") as groups:
        group = next(line.split(":", 2)[2].strip() for line in groups if line.startswith("0::"))
    return (f"/sys/fs/cgroup{group}/memory.events",) * bool(group) + ("/proc/vmstat",)


def _counter(text: bytes) -> int:
    _, found, rest = text.partition(b"oom_kill ")
    return int(rest.split(b"\n", 1)[0]) if found else 0
