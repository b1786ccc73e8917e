"""Another process at the end of a socket, without any backend: it resolves bundles and says what it sees."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fanwise import Bundle, _memfd
from fanwise.bundle import accept, forget, freeze, resolve
from fanwise.typing import Attachment

ROOT = Path(__file__).parents[2]
_HELD: list[Any] = []


def own_descriptors() -> list[str]:
    """Memory files and bundle files that this process has open."""
    gc.collect()
    links = []
    for name in os.listdir("/proc/self/fd"):
        if os.path.islink(f"/proc/self/fd/{name}"):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return [link for link in links if "fanwise" in link and "deleted" in link]


def own_maps() -> int:
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return sum("fanwise" in line and "(deleted)" in line for line in maps)


def unique_and_proportional() -> tuple[int, int]:
    """Bytes of memory that only this process has, and its share of all it maps."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as rollup:
        sizes = {w[0]: int(w[1]) * 1024 for w in map(str.split, rollup) if len(w) == 3}
    return sizes["Private_Clean:"] + sizes["Private_Dirty:"], sizes["Pss:"]


def write_to(address: int) -> None:
    """What C code does that ignores the flag of an array."""
    import ctypes
    import faulthandler

    faulthandler.disable()
    ctypes.memset(address, 1, 1)


VERBS: dict[str, Callable[..., Any]] = {
    "read": lambda bundle, name: bundle[name].tolist(),
    "kept": lambda bundle, name: bundle[name],
    "digest": lambda bundle: bundle.digest,
    "repr": repr,
    "hold": lambda bundle, name: _HELD.append(bundle[name]),
    "held": lambda bundle: [h.tolist() for h in _HELD],
    "is_writeable": lambda bundle, name: bundle[name].flags.writeable,
    "descriptors": lambda bundle: len(own_descriptors()),
    "sum": lambda bundle: float(sum(array.sum() for array in bundle.values())),
    "maps": lambda bundle: own_maps(),
    "read all": lambda bundle, ids: sum(len(b["note"]) == 5 for b in [resolve(i) for i in ids]),
    "close": lambda bundle: bundle.close(),
    "crash": lambda bundle, name: write_to(bundle[name].ctypes.data),
    "die": lambda bundle: os.kill(os.getpid(), signal.SIGKILL),
}


def serve(sock: socket.socket) -> None:
    """Answer until the other side hangs up."""
    while True:
        message, fds = _memfd.receive(sock, 1 << 16)
        if not message:
            return
        answer_fds: list[int] = []
        try:
            answer: Any = _answer(*pickle.loads(message), fds[0] if fds else -1, answer_fds)
        except Exception as error:
            answer = error
        _memfd.send(sock, [pickle.dumps(answer)], answer_fds)


def serve_at(fd: int) -> None:
    with socket.socket(fileno=fd) as sock:
        serve(sock)


def _answer(verb: str, id: bytes, size: int, args: tuple[Any, ...], fd: int, answer_fds: list[int]) -> Any:
    if verb == "memory":
        return unique_and_proportional()
    if verb == "accept":
        return accept(Attachment(id, fd, size))
    if verb == "forget":
        return forget(id)
    if verb == "make":
        made = freeze(*args, name="made by a worker")
        _HELD.append(made)
        attachment = made.attachment()
        answer_fds.append(attachment.fd)
        return attachment.id, attachment.size
    return VERBS[verb](resolve(id, fd, size), *args)


class Peer:
    """The process at the other end."""

    def __init__(self, sock: socket.socket, pid: int) -> None:
        self.sock = sock
        self.pid = pid
        self.status: int | None = None  # how it ended

    def ask(self, verb: str, attachment: Attachment, *args: Any, fd: int | None = None) -> Any:
        """Have something done with a bundle; its error, if it had one, is raised here."""
        self.tell(verb, attachment, *args, fd=fd)
        return self.hear()[0]

    def tell(self, verb: str, attachment: Attachment, *args: Any, fd: int | None = None) -> None:
        sent = attachment.fd if fd is None else fd
        message = pickle.dumps((verb, attachment.id, attachment.size, args))
        _memfd.send(self.sock, [message], [sent] if sent >= 0 else [])

    def hear(self) -> tuple[Any, list[int]]:
        message, fds = _memfd.receive(self.sock, 1 << 16)
        if not message:
            raise EOFError("the peer has ended")
        answer = pickle.loads(message)
        if isinstance(answer, Exception):
            raise answer
        return answer, fds

    def make(self, values: dict[str, Any]) -> Bundle:
        """A bundle that the peer made, attached here."""
        self.tell("make", Attachment(bytes(16), -1, 0), values)
        (id, size), fds = self.hear()
        return resolve(id, fds[0], size, keep=False)


@contextmanager
def forked() -> Iterator[Peer]:
    """A child that inherits everything."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads, from Python 3.12 on
        pid = os.fork()
    if not pid:
        status = 1
        try:
            ours.close()
            serve(theirs)
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    peer = Peer(ours, pid)
    try:
        yield peer
    finally:
        ours.close()
        _, status = os.waitpid(pid, 0)
        peer.status = os.waitstatus_to_exitcode(status)


@contextmanager
def spawned() -> Iterator[Peer]:
    """A fresh interpreter that has only the socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    code = "import sys; from tests.contract import bundle_peers; bundle_peers.serve_at(int(sys.argv[1]))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(theirs.fileno())], pass_fds=[theirs.fileno()], env=environment
    )
    theirs.close()
    try:
        yield Peer(ours, process.pid)
    finally:
        ours.close()
        process.wait()
