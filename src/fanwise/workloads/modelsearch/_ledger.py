"""Finished chunks on disk: one append-only file of records that each prove themselves.

A record is ``magic · record key · chunk · length · BLAKE2b-128 of all that · payload``; the key is the hash of
everything that the outcome depends on. A record that was cut off, damaged or written for another run is passed over and
counted: the next magic is looked for behind it. Payloads are NumPy archives without pickles.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fanwise._claims import claim
from fanwise.errors import UsageError

__all__ = ["FileLedger", "MemoryLedger", "pack", "unpack"]

MAGIC = b"FWCHUNK1"
_HEAD = struct.Struct("<8s16sQQ16s")
SYNC_EVERY_S = 1.0

Arrays = Mapping[str, NDArray[Any]]


def pack(arrays: Arrays) -> bytes:
    """Arrays as bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def unpack(payload: bytes) -> dict[str, NDArray[Any]]:
    """The arrays that `pack` was given."""
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _proof(key: bytes, chunk: int, payload: bytes) -> bytes:
    return hashlib.blake2b(struct.pack("<16sQ", key, chunk) + payload, digest_size=16).digest()


class MemoryLedger:
    """Finished chunks of a search that leaves no files."""

    def __init__(self) -> None:
        self._payloads: dict[int, bytes] = {}
        self.damaged = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._payloads.clear()

    def __contains__(self, chunk: int) -> bool:
        return chunk in self._payloads

    def save(self, chunk: int, payload: bytes) -> None:
        self._payloads[chunk] = payload

    def load(self, chunk: int) -> bytes:
        return self._payloads[chunk]


class FileLedger:
    """Finished chunks in a file, kept for ``resume``.

    Parameters
    ----------
    path : Path
        The file; made if it is not there.
    key : bytes
        16 bytes; records with another key are not looked at.
    fresh : bool
        Forget what is there, once nobody else is found to write it.

    Raises
    ------
    UsageError
        If another process is writing the file, or it belongs to another user.
    """

    def __init__(self, path: Path, key: bytes, *, fresh: bool = False) -> None:
        self._key = key
        self._at: dict[int, tuple[int, int]] = {}
        self.damaged = 0
        self._synced = time.monotonic()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._claim(path)
            if fresh:
                os.ftruncate(self._fd, 0)
            self._scan()
        except BaseException:
            os.close(self._fd)
            raise

    def _claim(self, path: Path) -> None:
        if os.fstat(self._fd).st_uid != os.getuid():
            raise UsageError(f"{path} belongs to another user; choose another output directory")
        try:
            claim(self._fd)
        except BlockingIOError:
            raise UsageError(
                f"{path.parent.parent} is being written by another search; wait for it or choose -o"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            os.fsync(self._fd)
        finally:
            os.close(self._fd)

    def __contains__(self, chunk: int) -> bool:
        return chunk in self._at

    def _scan(self) -> None:
        """Find the good records; the last one of a chunk counts."""
        size = os.fstat(self._fd).st_size
        at = 0
        while at < size:
            record = self._record(at, size)
            if record is None:
                self.damaged += 1
                at = self._next_magic(at + 1, size)
                continue
            chunk, length = record
            self._at[chunk] = (at + _HEAD.size, length)
            at += _HEAD.size + length

    def _record(self, at: int, size: int) -> tuple[int, int] | None:
        """Chunk and payload length of the record at an offset, if it is one of ours and whole."""
        head = os.pread(self._fd, _HEAD.size, at)
        if len(head) < _HEAD.size:
            return None
        magic, key, chunk, length, proof = _HEAD.unpack(head)
        if magic != MAGIC or key != self._key or at + _HEAD.size + length > size:
            return None
        payload = os.pread(self._fd, length, at + _HEAD.size)
        return (chunk, length) if _proof(key, chunk, payload) == proof else None

    def _next_magic(self, at: int, size: int) -> int:
        step = 1 << 20
        while at < size:
            block = os.pread(self._fd, step + len(MAGIC) - 1, at)
            found = block.find(MAGIC)
            if found >= 0:
                return at + found
            at += step
        return size

    def save(self, chunk: int, payload: bytes) -> None:
        """Append a record; it survives the death of this process at once, a loss of power after a second."""
        record = memoryview(
            _HEAD.pack(MAGIC, self._key, chunk, len(payload), _proof(self._key, chunk, payload)) + payload
        )
        start = os.fstat(self._fd).st_size
        written = 0
        while written < len(record):
            written += os.write(self._fd, record[written:])
        self._at[chunk] = (start + _HEAD.size, len(payload))
        if time.monotonic() - self._synced > SYNC_EVERY_S:
            os.fdatasync(self._fd)
            self._synced = time.monotonic()

    def load(self, chunk: int) -> bytes:
        at, length = self._at[chunk]
        return os.pread(self._fd, length, at)

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._at))
