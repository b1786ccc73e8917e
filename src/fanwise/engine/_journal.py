"""The resume file: finished items by content, so that a second call does only what is left.

Layout: the line ``fanwise-journal 1``, a line of JSON, then records ``u32 length · u32 crc32(body) · body`` with
body = ``u8 kind (1: Ok) · u64 index · 16-byte item key · payload``, all little endian. The payload is a pickle 5 and its
out-of-band buffers, each with its length before it. A record that does not fit or whose sum is wrong is the torn
tail of a process that died while writing: it and what follows is cut off.

The file is private: its payloads are pickles. One that belongs to somebody else, or that others may write, is refused.
"""

from __future__ import annotations

import json
import mmap
import os
import pickle
import stat
import struct
import time
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self
from zlib import crc32

from fanwise._claims import claim
from fanwise.errors import FanwiseWarning, UsageError

__all__ = ["Header", "Journal", "encode_record", "item_key", "records"]

MAGIC = b"fanwise-journal 1\n"
KIND_OK = 1
SYNC_EVERY_S = 1.0
_FRAME = struct.Struct("<II")
_BODY = struct.Struct("<BQ16s")
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Header:
    """What a journal belongs to. ``function`` is the fingerprint of the function, ``label`` its name."""

    function: str
    label: str
    seed: int | None
    python: str
    fanwise: str

    def line(self) -> bytes:
        """As it stands in the file."""
        fields = {name: getattr(self, name) for name in ("function", "label", "seed", "python", "fanwise")}
        return json.dumps(fields, sort_keys=True).encode() + b"\n"


def item_key(item: Any, index: int | None = None) -> bytes | None:
    """The key of an item by content (with a seed also by index); None if it cannot be pickled."""
    content = encode_value(item)
    salt = b"" if index is None else _LENGTH.pack(index)
    return None if content is None else blake2b(content, digest_size=16, salt=salt).digest()


def encode_record(index: int, key: bytes, payload: bytes) -> bytes:
    """One record, ready to be appended."""
    body = _BODY.pack(KIND_OK, index, key) + payload
    return _FRAME.pack(len(body), crc32(body)) + body


def encode_value(value: Any) -> bytes | None:
    """A value as payload: pickle and out-of-band buffers, each with its length; None if it cannot be pickled."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        parts = [pickle.dumps(value, 5, buffer_callback=buffers.append)]
    except Exception:  # noqa: BLE001  # whatever an object's reducer raises
        return None
    parts += [bytes(buffer.raw()) for buffer in buffers]
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def decode_value(payload: bytes) -> Any:
    """The value of a payload; its arrays are writable, as the loop would give them."""
    parts: list[bytearray] = []
    at = 0
    while at < len(payload):
        (length,) = _LENGTH.unpack_from(payload, at)
        at += _LENGTH.size
        parts.append(bytearray(payload[at : at + length]))
        at += length
    return pickle.loads(parts[0], buffers=parts[1:])


def records(content: bytes | mmap.mmap, start: int) -> Iterator[tuple[bytes, int, int]]:
    """Records from byte ``start`` on as (key, begin of payload, end), up to the first that is torn."""
    at = start
    while at + _FRAME.size <= len(content):
        length, check = _FRAME.unpack_from(content, at)
        body = content[at + _FRAME.size : at + _FRAME.size + length]
        if length < _BODY.size or len(body) < length or crc32(body) != check:
            return
        kind, _, key = _BODY.unpack_from(body)
        begin, at = at + _FRAME.size + _BODY.size, at + _FRAME.size + length
        if kind == KIND_OK:
            yield key, begin, at


class Journal:
    """An open journal. `recall` before an item is run, `keep` after; `close` at the end.

    Parameters
    ----------
    path : path
        The file; made with mode 0600 if it is not there.
    header : Header
        What this call is. A journal of another function or seed is refused.
    now : callable
        Monotonic clock, for the pace of `fdatasync`.

    Raises
    ------
    UsageError
        If the file is another call's, damaged in its head, in use, or not private to this user.
    OSError
        If it cannot be made or written. Later that is only said: what is finished goes back to the caller all the same.
    """

    def __init__(self, path: str | os.PathLike[str], header: Header, now: Callable[[], float] = time.monotonic) -> None:
        self.path = os.fspath(path)
        self.resumed = 0
        self.kept = 0
        self._now = now
        self._seeded = header.seed is not None
        self._warned: set[str] = set()
        self._end = 0  # of the whole records
        self._known: defaultdict[bytes, deque[tuple[int, int]]] = defaultdict(deque)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._lock()
            self._check_owner()
            self._read(header)
        except BaseException:
            os.close(self._fd)
            raise
        self._synced_at = now()

    def __repr__(self) -> str:
        return f"<Journal {self.path!r}, {self.resumed} resumed, {self.kept} kept>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def recall(self, item: Any, index: int) -> tuple[bytes | None, bool, Any]:
        """The key of an item, whether it is finished, and then its value; each record serves one occurrence."""
        key = item_key(item, index if self._seeded else None)
        if key is None:
            self._warn_unpicklable(index)
            return None, False, None
        waiting = self._known.get(key)
        if not waiting:
            return key, False, None
        self.resumed += 1
        begin, end = waiting.popleft()
        return key, True, decode_value(os.pread(self._fd, end - begin, begin))

    def keep(self, index: int, key: bytes | None, value: Any) -> None:
        """Append a finished item; one that cannot be pickled, or finds no space, is run again next time."""
        if key is None:
            return
        payload = encode_value(value)
        if payload is None:
            self._warn_unpicklable(index)
            return
        try:
            self._append(encode_record(index, key, payload))
        except OSError as error:
            self._warn_unwritable(error)
            return
        self.kept += 1
        if self._now() - self._synced_at >= SYNC_EVERY_S:
            self._sync()

    def close(self) -> None:
        """Make the file durable and let it go."""
        if self._fd >= 0:
            self._sync()
            os.close(self._fd)
            self._fd = -1

    def _append(self, record: bytes) -> None:
        """Write a record behind the last whole one; nothing is left of one that could not be written."""
        view = memoryview(record)
        try:
            while view.nbytes:
                view = view[os.pwrite(self._fd, view, self._end + len(record) - view.nbytes) :]
        except BaseException:
            os.ftruncate(self._fd, self._end)
            raise
        self._end += len(record)

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd) if hasattr(os, "fdatasync") else os.fsync(self._fd)
        except OSError as error:
            self._warn_unwritable(error)
        self._synced_at = self._now()

    def _lock(self) -> None:
        try:
            claim(self._fd)
        except OSError as error:
            pid = _holder_of(self._fd)
            by = "another run" if pid is None else f"the run of process {pid}"
            raise UsageError(f"{self.path} is in use by {by}; wait for it, or choose another path") from error

    def _check_owner(self) -> None:
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{self.path} is not a file; choose another path")
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise UsageError(
                f"{self.path} belongs to or may be written by others, and a journal is loaded as pickles; "
                f"if you trust it: chmod 600 {self.path}"
            )

    def _read(self, header: Header) -> None:
        size = os.fstat(self._fd).st_size
        head = MAGIC + header.line()
        if size < len(head) and head.startswith(os.pread(self._fd, size, 0)):  # new, or ended before its first record
            self._append(head)
            return
        with mmap.mmap(self._fd, size, access=mmap.ACCESS_READ) as content:
            whole = self._check_header(content[: 1 << 16], header)
            for key, begin, end in records(content, whole):
                self._known[key].append((begin, end))
                whole = end
        os.ftruncate(self._fd, whole)
        self._end = whole

    def _check_header(self, content: bytes, header: Header) -> int:
        """Where the records begin."""
        magic, line = content[: len(MAGIC)], content[len(MAGIC) :].split(b"\n", 1)[0]
        try:
            other = Header(**json.loads(line))
        except (ValueError, TypeError):
            other = None
        if magic != MAGIC or other is None:
            raise UsageError(f"{self.path} is not a fanwise journal, or its head is damaged; choose another path")
        if (other.function, other.seed) != (header.function, header.seed):
            raise UsageError(
                f"{self.path} was written by {_described(other)}; you call {_described(header)}. "
                "Delete it or choose another path"
            )
        return len(MAGIC) + len(line) + 1

    def _warn_unpicklable(self, index: int) -> None:
        self._warn_once(
            "unpicklable",
            f"item {index} or its result cannot be pickled, so {self.path} cannot hold it; it will run again on resume",
        )

    def _warn_unwritable(self, error: OSError) -> None:
        self._warn_once(
            "unwritable",
            f"{self.path} cannot be written: {error.strerror}; what it does not hold will run again on resume",
        )

    def _warn_once(self, topic: str, text: str) -> None:
        if topic not in self._warned:
            self._warned.add(topic)
            warnings.warn(text, FanwiseWarning, stacklevel=4)


def _holder_of(fd: int) -> int | None:
    """The process that holds the lock of a file, where the system tells."""
    status = os.fstat(fd)
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        with open("/proc/locks", encoding="ascii") as locks:
            rows = [line.split() for line in locks]
    except OSError:  # not Linux, or hidden
        return None
    return next((int(row[4]) for row in rows if row[1] == "FLOCK" and row[5] == file), None)


def _described(header: Header) -> str:
    seed = "" if header.seed is None else f" with seed {header.seed}"
    return f"{header.label} (version {header.function[:8]}){seed}"
