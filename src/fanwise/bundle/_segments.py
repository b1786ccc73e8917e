"""The bytes of one bundle: a writer that fills a descriptor from front to back, and the read-only map of the result."""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Sequence
from contextlib import suppress

from fanwise import _memfd
from fanwise.bundle import _layout
from fanwise.bundle._codecs.parts import Encoded, Source
from fanwise.bundle._hashes import Hash, Hasher
from fanwise.bundle._layout import HEADER_BYTES, MAX_BYTES, PICKLED_FLAG, Entry, Extent, Header
from fanwise.errors import BundleError

__all__ = ["Segment", "Writer"]

_PIECE = 1 << 22  # hashed while it is in the cache, then written


class Writer:
    """Fills a segment entry by entry; a sink for those who write streams.

    Parameters
    ----------
    fd : int
        Open for writing, empty, the caller's to close.
    hash : Hash
        Of header and directory.
    checked : bool
        Whether each buffer gets a checksum: files do, memory that nobody can change does not.
    """

    closed = False  # what pyarrow asks a sink

    def __init__(self, fd: int, hash: Hash, *, checked: bool) -> None:
        self._fd = fd
        self._hash = hash
        self._checked = checked
        self._hasher: Hasher = hash.new64()
        self._at = HEADER_BYTES
        self._entries: list[Entry] = []
        self._flags = hash.flag

    def put(self, name: str, encoded: Encoded) -> None:
        """Write one entry."""
        buffers = tuple(self._put_buffer(name, source) for source in encoded.sources)
        self._entries.append(Entry(name, encoded.kind, encoded.meta, buffers))
        if encoded.is_pickled:
            self._flags |= PICKLED_FLAG

    def _put_buffer(self, name: str, source: Source) -> Extent:
        offset = _layout.aligned(self._at, source.nbytes)
        if offset + source.nbytes > MAX_BYTES:
            raise BundleError(f"entry {name!r} makes the bundle larger than {MAX_BYTES:,} bytes")
        self._at = offset
        self._hasher = self._hash.new64()
        source.write(self)
        return Extent(offset, self._at - offset, self._hash.value(self._hasher) if self._checked else None)

    def write(self, data: bytes | memoryview) -> int:
        """Append to the current buffer."""
        view = memoryview(data)
        if not view.nbytes:
            return 0
        view = view.cast("B")
        step = _PIECE if self._checked else view.nbytes
        for start in range(0, view.nbytes, step):
            piece = view[start : start + step]
            if self._checked:
                self._hasher.update(piece)
            self._at += _memfd.write_at(self._fd, piece, self._at)
        return view.nbytes

    def flush(self) -> None:
        """Nothing is held back; polars and pyarrow ask."""

    def finish(self, id: bytes) -> int:
        """Write directory and header; returns the total length in bytes."""
        directory = _layout.pack_directory(self._entries)
        directory_at = self._at
        self._at += _memfd.write_at(self._fd, directory, directory_at)
        header = Header(id, self._flags, self._at, directory_at, len(directory), self._hash.sum64(directory))
        _memfd.write_at(self._fd, _layout.pack_header(header, self._hash.sum64), 0)
        return self._at


class Segment:
    """Mapped bytes that nobody writes. They stay as long as a view of them does, also after `close`.

    Attributes
    ----------
    view : memoryview
        All bytes, read-only.
    mapped : mmap or None
        The map they lie in, unless they are part of another segment.
    """

    __slots__ = ("__weakref__", "_closer", "_fd", "_file", "mapped", "view")

    def __init__(self, view: memoryview, mapped: mmap.mmap | None = None) -> None:
        self.view = view
        self.mapped = mapped
        self._file: tuple[int, int] | None = None
        self._fd: int | None = None
        self._closer: weakref.finalize[[int], Segment] | None = None

    @classmethod
    def map(cls, fd: int, size: int, *, keep: bool) -> Segment:
        """Map a descriptor of ``size`` bytes, taking it over: it is kept to be handed on, or closed."""
        try:
            mapped = _memfd.map_read(fd, size)
            segment = cls(memoryview(mapped), mapped)
            segment._file = _file_of(fd)
        except BaseException:
            os.close(fd)
            raise
        if keep:
            segment._own(fd)
        else:
            os.close(fd)
        return segment

    def _own(self, fd: int) -> None:
        self._fd = fd
        self._closer = weakref.finalize(self, os.close, fd)
        self._closer.atexit = False  # the kernel closes it

    @property
    def size(self) -> int:
        return self.view.nbytes

    def cut(self, buffers: Sequence[Extent]) -> list[memoryview]:
        """Read-only views of some buffers."""
        return [self.view[b.offset : b.end] for b in buffers]

    def descriptor(self) -> int:
        """A descriptor of these bytes, valid while the segment is open.

        A receiver has closed the one it got, but its map keeps a duplicate, which is found among the open ones. What
        has none, a part of another segment, is copied into memory of its own once.
        """
        if self._fd is not None:
            return self._fd
        found = _find(self._file) if self._file is not None else None
        if found is None:
            found = _memfd.make([self.view], frozen=True)
            self._own(found)
        return found

    def close(self) -> None:
        """Let go. The memory goes with the last view.

        The map is dropped, not closed: some libraries refer to a buffer's owner without exporting the buffer, and
        would read unmapped memory.
        """
        if self._closer is not None:
            self._closer()
        self.view = memoryview(b"")
        self.mapped = None


def _file_of(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _find(file: tuple[int, int]) -> int | None:
    """An open descriptor of a file; None also where the system does not list them."""
    names = os.listdir("/dev/fd") if os.path.isdir("/dev/fd") else []
    for name in names:
        with suppress(OSError):  # that of the listing itself is closed by now
            if _file_of(int(name)) == file:
                return int(name)
    return None
