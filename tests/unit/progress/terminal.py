"""A terminal to write to: a pseudo terminal whose screen is what an emulator makes of the bytes."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pyte
import pytest


class Terminal:
    """``stream`` is the program's side; ``screen()`` what a person sees, ``bytes`` everything that was written."""

    def __init__(self, columns: int = 80, rows: int = 24, encoding: str = "utf-8") -> None:
        self._master, slave = os.openpty()
        tty.setraw(self._master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._slave = slave
        self.stream: TextIO = os.fdopen(slave, "w", encoding=encoding, newline="\r\n")
        self.bytes = b""
        self._size = columns, rows
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Standard output and standard error are this terminal."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdout", self.stream)
            patch.setattr("sys.stderr", self.stream)
            yield

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def _read(self) -> None:
        while True:
            try:
                got = os.read(self._master, 65_536)
            except OSError:  # the program's side is closed and all is read
                return
            if not got:
                return
            self.bytes += got

    def screen(self) -> list[str]:
        """Lines on the screen, without those below the last one, after the program has ended its output."""
        self.close()
        screen = pyte.Screen(*self._size)
        pyte.ByteStream(screen).feed(self.bytes)
        lines = [line.rstrip() for line in screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def close(self) -> None:
        if not self.stream.closed:
            self.stream.close()
        self._reader.join(10)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1
