"""Frames between a coordinator and one worker, over a socket of their own that keeps message boundaries.

A frame is a header of 24 bytes and a payload: up to 64 KiB in the same packet; larger in one segment of anonymous
memory whose descriptor goes beside it (a packet above the socket's buffer fails with EMSGSIZE); in fragments if no
descriptor is to be had.

Reading descriptors costs 2 µs more than reading bytes, so a packet with descriptors is announced. The two directions
differ in how. To the worker, a frame `EXPECT` goes before and the descriptors are in the packet of the frame itself:
each read takes a whole frame, since the coordinator may take unread frames back from the worker's end of the socket. To
the coordinator, the frame goes first and its descriptors in a packet after it, for which room can be made.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from fanwise import _memfd
from fanwise.errors import BackendError

__all__ = ["INLINE", "Channel", "Frame", "Kind", "Role", "WireError"]

INLINE = 64 << 10
_MAGIC = 0xFA15
_VERSION = 1
_HEADER = struct.Struct("<HBBHHIIQ")
_PACK = _HEADER.pack
_MASK = 0xFFFFFFFF
_FRAGMENT = 1 << 15
_QUIET = int(getattr(socket, "MSG_NOSIGNAL", 0))
_CLOEXEC, _AT_ONCE = int(_memfd.CLOEXEC), int(getattr(socket, "MSG_DONTWAIT", 0))
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ETOOMANYREFS, errno.ENOMEM})

Readable = bytes | bytearray | memoryview


class Kind:
    """What a frame says. (Not an enum: telling frames apart is in the path of every chunk.)"""

    SETUP = 1  # to the worker: state, initializer, how to run
    FUNCTION = 2
    CHUNK = 3
    ATTACH = 4  # either way: descriptors that later frames mention
    STOP = 5
    EXPECT = 6  # the next frame has descriptors
    FORGET = 7  # ids of attachments that their owner has closed
    READY = 16  # to the coordinator
    RESULTS = 17
    RETURNED = 18  # the rest of a chunk, unstarted
    REFUSED = 19  # a chunk or function that did not arrive well
    BROKEN = 20  # the initializer failed


class Role(IntEnum):
    """Which end of the socket this is."""

    COORDINATOR = 0
    WORKER = 1


class WireError(BackendError):
    """What arrived is not a frame of this protocol: the sender is treated as dead."""


class Frame(NamedTuple):
    """One message. The payload of a small frame is valid until the next one is received."""

    kind: int
    flags: int
    chunk: int
    payload: memoryview
    fds: Sequence[int] = ()
    lasting: bool = False  # the payload is memory of its own, and writable
    cut: bool = False  # the payload was lost: no descriptor was free


class _Packet(NamedTuple):
    parts: Sequence[Readable]
    fds: tuple[int, ...] = ()


class Spare:
    """A descriptor held back, so that one can be received when all others are taken."""

    def __init__(self) -> None:
        self._fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def release(self) -> None:
        """Make room for one descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def restore(self) -> None:
        """Take the place again, if it is still free."""
        try:
            self._fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in _NO_DESCRIPTORS:
                raise


class Channel:
    """One end: sends and receives frames, in order, numbered.

    Parameters
    ----------
    sock : socket.socket
        ``AF_UNIX``, ``SOCK_SEQPACKET``. If it is non-blocking, frames that do not fit are kept until `flush`.
    role : Role
        Which end this is.
    spare : Spare or None
        Of the coordinator: what to let go while a descriptor arrives. Settable, as workers are lent on.
    """

    def __init__(self, sock: socket.socket, role: Role, spare: Spare | None = None) -> None:
        self._sock = sock
        self._role = role
        self.spare = spare
        self._outbox: deque[_Packet] = deque()
        self._buffer = memoryview(bytearray(_HEADER.size + INLINE))
        self._sent = 0
        self._received = 0
        self._awaited: tuple[Frame, int] | None = None  # its descriptor is yet to come
        self._partial: bytearray | None = None

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    @property
    def sent(self) -> int:
        """Packets sent that had a number; settable, for a worker whose children speak for it."""
        return self._sent

    @sent.setter
    def sent(self, count: int) -> None:
        self._sent = count

    @property
    def pending(self) -> bool:
        """Whether frames wait for the socket to take them."""
        return bool(self._outbox)

    @property
    def readable(self) -> bool:
        """Whether something has come, be it the end."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    def send(
        self, kind: int, parts: Sequence[Readable] = (), *, chunk: int = 0, flags: int = 0, fds: Sequence[int] = ()
    ) -> None:
        """Send a frame, or keep it if the socket is full. ``fds`` are duplicated, the originals stay the caller's."""
        length = _length(parts)
        if length <= INLINE and not fds:
            self.post(kind, b"".join(parts), chunk, flags)
        else:
            self._outbox.extend(self._large(kind, parts, length, (chunk & _MASK, flags), fds))
            self.flush()

    def post(self, kind: int, payload: bytes, chunk: int = 0, flags: int = 0) -> None:
        """Send a frame of at most 64 KiB."""
        self._sent = sent = (self._sent + 1) & _MASK
        packet = _PACK(_MAGIC, _VERSION, kind, flags, 0, chunk & _MASK, sent, len(payload)) + payload
        if self._outbox:
            self._outbox.append(_Packet((packet,)))
            return
        try:
            self._sock.send(packet, _QUIET)  # 1 µs less than sendmsg
        except BlockingIOError:
            self._outbox.append(_Packet((packet,)))

    def _header(self, kind: int, flags: int, fds: int, chunk: int, length: int) -> bytes:
        self._sent = (self._sent + 1) & _MASK
        return _HEADER.pack(_MAGIC, _VERSION, kind, flags, fds, chunk, self._sent, length)

    def _large(
        self, kind: int, parts: Sequence[Readable], length: int, labels: tuple[int, int], fds: Sequence[int]
    ) -> Iterator[_Packet]:
        chunk, flags = labels
        held: list[int] = []
        try:
            held.extend(os.dup(fd) for fd in fds)
            held.insert(0, _memfd.make(parts))
        except OSError as error:
            for fd in held:
                os.close(fd)
            if error.errno not in _NO_DESCRIPTORS or fds:
                raise
            yield from self._fragments(kind, parts, length, labels)
            return
        expect = self._header(Kind.EXPECT, 0, 0, 0, 0) if self._role is Role.COORDINATOR else b""
        header = self._header(kind, flags, len(held), chunk, length)
        if self._role is Role.WORKER:
            yield _Packet((header,))
            yield _Packet((b"\0",), tuple(held))
        else:
            yield _Packet((expect,))
            yield _Packet((header,), tuple(held))

    def _fragments(
        self, kind: int, parts: Sequence[Readable], length: int, labels: tuple[int, int]
    ) -> Iterator[_Packet]:
        chunk, flags = labels
        for view in map(_flat, parts):
            for at in range(0, len(view), INLINE):
                header = self._header(kind, flags | _FRAGMENT, 0, chunk, length)
                yield _Packet((header, bytes(view[at : at + INLINE])))

    def send_inline(self, kind: int, parts: Sequence[Readable], *, chunk: int = 0, flags: int = 0) -> None:
        """Send a frame without any descriptor: the other end has none free."""
        length = _length(parts)
        if length <= INLINE:
            self.post(kind, b"".join(parts), chunk, flags)
            return
        self._outbox.extend(self._fragments(kind, parts, length, (chunk & _MASK, flags)))
        self.flush()

    def flush(self) -> None:
        """Send what was kept, as far as the socket takes it."""
        while self._outbox and self._try(self._outbox[0]):
            for fd in self._outbox.popleft().fds:
                os.close(fd)

    def _try(self, packet: _Packet) -> bool:
        try:
            if packet.fds:
                _memfd.send(self._sock, packet.parts, packet.fds)
            else:
                self._sock.sendmsg(packet.parts, (), _QUIET)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return False
            raise
        return True

    def receive(self) -> Frame | None:
        """Coordinator: the next frame; None if there is none yet, or only part of it has come.

        Raises
        ------
        EOFError
            If the other end is gone.
        WireError
            If what came is not the next frame of this protocol.
        """
        if self._awaited is not None:
            return self._receive_descriptors(self._awaited)
        try:
            size = self._sock.recv_into(self._buffer)
        except BlockingIOError:
            return None
        kind, flags, fds, chunk, length = self._open(size)
        if fds:
            self._awaited = Frame(kind, flags, chunk, self._buffer[:0]), length
            return self._receive_descriptors(self._awaited)
        frame = Frame(kind, flags, chunk, self._buffer[_HEADER.size : size])
        return frame if length == size - _HEADER.size else self._gather(frame, length)

    def await_frame(self) -> Frame:
        """Worker: wait for the next frame; one whose descriptors are lost comes with ``cut``. Raises like `receive`."""
        while True:
            frame = self._receive_bytes()
            if frame is not None and frame.kind == Kind.EXPECT:
                frame = self._receive_whole(0)
            if frame is not None:  # else it was a fragment of a larger frame
                return frame

    def take_back(self) -> Frame | None:
        """Return the next frame that the worker has not read yet, if there is one; it will not see it.

        For the coordinator's copy of the worker's end: which of the two gets a packet is the kernel's decision.
        """
        return self._receive_whole(_AT_ONCE)

    def _receive_bytes(self) -> Frame | None:
        size = self._sock.recv_into(self._buffer)
        kind, flags, fds, chunk, length = self._open(size)
        frame = Frame(kind, flags, chunk, self._buffer[_HEADER.size : size])
        if fds:  # its announcement was taken back, but not the frame
            return frame._replace(cut=True)
        return frame if length == size - _HEADER.size else self._gather(frame, length)

    def _receive_whole(self, flags: int) -> Frame | None:
        try:
            size, ancillary, seen, _ = self._sock.recvmsg_into([self._buffer], _memfd.ROOM, _CLOEXEC | flags)
        except BlockingIOError:
            return None
        kind, flags, expected, chunk, length = self._open(size)
        frame = Frame(kind, flags, chunk, self._buffer[_HEADER.size : size])
        if expected:
            fds = _memfd.descriptors(ancillary)
            if len(fds) == expected and not seen & socket.MSG_CTRUNC:
                return _mapped(frame, length, fds)
            _close_all(fds)
            return frame._replace(cut=True)
        return frame if length == size - _HEADER.size else self._gather(frame, length)

    def _receive_descriptors(self, awaited: tuple[Frame, int]) -> Frame | None:
        if self.spare is not None:
            self.spare.release()
        try:
            _, fds = _memfd.receive(self._sock, 1)
            self._awaited = None
            return _mapped(*awaited, fds)
        except BlockingIOError:
            return None
        finally:
            if self.spare is not None:
                self.spare.restore()

    def _open(self, size: int) -> tuple[int, int, int, int, int]:
        """Check the header of the packet just received; return kind, flags, descriptors, chunk, length."""
        if size < _HEADER.size:
            if size == 0:
                raise EOFError("the other end of the socket is gone")
            raise WireError(f"a packet of {size} bytes is no frame")
        magic, version, kind, flags, fds, chunk, sequence, length = _HEADER.unpack_from(self._buffer)
        if magic != _MAGIC:
            raise WireError(f"a frame begins with {magic:#06x} instead of {_MAGIC:#06x}")
        if version != _VERSION:
            raise WireError(f"a frame has version {version}, this process speaks version {_VERSION}")
        # frames to a worker may have been taken back, so that it sees gaps
        if sequence != (self._received + 1) & _MASK and self._role is Role.COORDINATOR:
            raise WireError(f"frame {sequence} came after frame {self._received}")
        self._received = sequence
        return kind, flags, fds, chunk, length

    def _gather(self, part: Frame, length: int) -> Frame | None:
        """Add a fragment to those before; the whole frame if it is complete."""
        if not part.flags & _FRAGMENT:
            raise WireError(f"a frame announces {length:,} bytes and holds {len(part.payload):,}")
        if self._partial is None:
            self._partial = bytearray()
        self._partial += part.payload
        if len(self._partial) < length:
            return None
        whole, self._partial = self._partial, None
        if len(whole) != length:
            raise WireError(f"fragments of {length:,} bytes add up to {len(whole):,}")
        return part._replace(flags=part.flags & ~_FRAGMENT, payload=memoryview(whole), lasting=True)

    def close(self) -> None:
        """Close the socket and drop what was not sent."""
        for packet in self._outbox:
            _close_all(packet.fds)
        self._outbox.clear()
        self._sock.close()


def _mapped(frame: Frame, length: int, fds: list[int]) -> Frame:
    """The frame whose payload is in the first of these segments."""
    segment, *others = fds
    try:
        if os.fstat(segment).st_size < length:
            raise WireError(f"a segment holds less than the {length:,} bytes announced")
        payload = _memfd.load(segment, length) if length else memoryview(b"")
    except BaseException:
        _close_all(others)
        raise
    finally:
        os.close(segment)
    return frame._replace(payload=payload, fds=others, lasting=True)


def _length(parts: Sequence[Readable]) -> int:
    return sum(part.nbytes if isinstance(part, memoryview) else len(part) for part in parts)


def _flat(part: Readable) -> memoryview | bytes:
    return part if isinstance(part, bytes) else memoryview(part).cast("B")


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
