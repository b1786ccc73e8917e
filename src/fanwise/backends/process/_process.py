"""How the coordinator knows a worker's process: a descriptor that becomes readable at its end, and its exit code."""

from __future__ import annotations

import os
import signal
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import subprocess

__all__ = ["NEWS", "Child", "Grandchild", "Process", "Spawned"]

NEWS = struct.Struct("<i")
"""What the fork server writes to the pipe of a worker: its process id, later its wait status."""


class Process(Protocol):
    """A worker's process."""

    ended: bool
    trouble: str  # why there was never a process

    @property
    def pid(self) -> int | None:
        """Its number, once known."""

    @property
    def is_born(self) -> bool:
        """Whether there is, or was, a process."""

    def fileno(self) -> int:
        """A descriptor that is readable when there is news."""

    def poll(self) -> bool:
        """Look; whether the process has ended (it is reaped then)."""

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal; None if nobody knows."""

    def kill(self) -> bool:
        """Send SIGKILL; False if the process is not known yet."""

    def close(self) -> None:
        """Close the descriptor."""


class Child:
    """A process that this one forked."""

    trouble = ""
    is_born = True

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = False
        self.code: int | None = None
        try:
            self._fd = os.pidfd_open(pid)
        except OSError:  # no descriptor is free: it cannot be looked after
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise

    def fileno(self) -> int:
        return self._fd

    def poll(self) -> bool:
        if not self.ended:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else in this process waits for all children
                self.ended = True
            else:
                self.ended = pid != 0
                self.code = os.waitstatus_to_exitcode(status) if self.ended else None
        return self.ended

    def kill(self) -> bool:
        if not self.ended:
            os.kill(self.pid, signal.SIGKILL)
        return True

    def close(self) -> None:
        os.close(self._fd)


class Spawned:
    """A fresh interpreter that this process started."""

    trouble = ""
    is_born = True

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.ended = False
        try:
            self._fd = os.pidfd_open(popen.pid)
        except OSError:  # no descriptor is free: it cannot be looked after
            popen.kill()
            popen.wait()
            raise

    @property
    def code(self) -> int | None:
        return self._popen.returncode

    def fileno(self) -> int:
        return self._fd

    def poll(self) -> bool:
        self.ended = self._popen.poll() is not None
        return self.ended

    def kill(self) -> bool:
        self._popen.kill()
        return True

    def close(self) -> None:
        os.close(self._fd)
        if not self.ended:  # the copy of a forked child, whose process this is not
            self._popen.returncode = 0


class Grandchild:
    """A process that the fork server forked; it tells through a pipe."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.trouble = ""
        self.pid: int | None = None
        self.ended = False
        self.code: int | None = None
        os.set_blocking(fd, False)

    def fileno(self) -> int:
        return self._fd

    def poll(self) -> bool:
        with suppress(BlockingIOError):
            while not self.ended:
                news = os.read(self._fd, NEWS.size)
                number = NEWS.unpack(news)[0] if news else None
                if number is None:
                    self.ended, self.trouble = True, "gone together with the fork server"
                elif number < 0 and self.pid is None:
                    self.ended, self.trouble = True, f"the fork server cannot fork: {os.strerror(-number)}"
                elif self.pid is None:
                    self.pid = number
                else:
                    self.ended, self.code = True, os.waitstatus_to_exitcode(number)
        return self.ended

    @property
    def is_born(self) -> bool:
        self.poll()
        return self.pid is not None

    def kill(self) -> bool:
        if not self.poll() and self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        return self.ended or self.pid is not None

    def close(self) -> None:
        os.close(self._fd)
