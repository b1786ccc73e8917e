"""Blobs: large payloads, each a file named by the digest of its content and never written in place.

The first read in a process checks the whole digest and keeps a stamp of the file; a later read with an equal stamp
maps it without reading it (a 100 MB array in about 20 µs).
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

from fanwise import _memfd
from fanwise.cache._contents import Stamp, is_settled, stamp_of
from fanwise.cache._directory import Directory, is_unwritable
from fanwise.cache._hashing import Buffer, digest128, digest_parts

__all__ = ["BLOB_FROM", "ORPHAN_AGE_S", "Blobs", "Stray"]

BLOB_FROM = 1 << 16
ORPHAN_AGE_S = 3600.0
_STAMPS = 1 << 16
_PIECE = 1 << 26
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_DIGEST = re.compile(r"[0-9a-f]{32}")


class Blobs:
    """The blobs of one directory."""

    __slots__ = ("_directory", "_durable", "_stamps")

    def __init__(self, directory: Directory, *, durable: bool) -> None:
        self._directory = directory
        self._durable = durable
        self._stamps: dict[bytes, Stamp] = {}

    @contextmanager
    def _folder(self, digest: bytes, *, make: bool = False) -> Iterator[tuple[Directory, Directory]]:
        """``blobs`` and the folder of a digest within, each opened without following links."""
        with (
            closing(self._directory.child("blobs", make=make)) as root,
            closing(root.child(digest[:1].hex(), make=make)) as folder,
        ):
            yield root, folder

    def store(self, parts: Sequence[Buffer]) -> tuple[bytes, int, int]:
        """Write a payload unless it is there; its digest, its length, and how many bytes are new on the disk."""
        digest = digest_parts(parts)
        size = sum(map(len, parts))
        with self._folder(digest, make=True) as (root, folder):
            status = folder.status(digest.hex())
            if status is not None and status.st_size == size:
                return digest, size, 0
            self._write(root, folder, digest.hex(), parts)
        return digest, size, size

    def _write(self, root: Directory, folder: Directory, name: str, parts: Sequence[Buffer]) -> None:
        draft = f"tmp-{secrets.token_hex(8)}"
        fd = root.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            for part in parts:
                _write(fd, part)
            if self._durable:
                os.fdatasync(fd)
            root.rename(draft, folder, name)
        except BaseException:
            root.remove(draft)
            raise
        finally:
            os.close(fd)

    def load(self, digest: bytes, size: int) -> memoryview | None:
        """The payload as this process's own memory; None if the file is damaged, which removes it.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        known = self._stamps.get(digest)
        if known is not None:
            view = self._load_known(digest, size, known)
            if view is not None:
                return view
        with self._folder(digest) as (_, folder):
            fd = folder.open(digest.hex())
            try:
                stamp = stamp_of(os.fstat(fd))
                settled = is_settled(stamp)
                view = _memfd.load(fd, size) if stamp[2] == size else None
            finally:
                os.close(fd)
            if view is None or digest128(view) != digest:
                self._discard(folder, digest.hex())
                return None
        if settled:
            self._remember(digest, stamp)
        return view

    def _load_known(self, digest: bytes, size: int, known: Stamp) -> memoryview | None:
        """In one step: a file with the stamp of the one that was checked is that file, whatever led to it."""
        name = digest.hex()
        fd = os.open(f"blobs/{name[:2]}/{name}", _READ, dir_fd=self._directory.fd)
        try:
            return _memfd.load(fd, size) if stamp_of(os.fstat(fd)) == known else None
        finally:
            os.close(fd)

    def _discard(self, folder: Directory, name: str) -> None:
        """Equal content will be stored again, and is not as long as a file of that name is there."""
        try:
            folder.remove(name)
        except OSError as error:
            if not is_unwritable(error):
                raise

    def _remember(self, digest: bytes, stamp: Stamp) -> None:
        if len(self._stamps) >= _STAMPS:
            self._stamps.clear()
        self._stamps[digest] = stamp

    def is_whole(self, digest: bytes, size: int) -> bool:
        """Whether a blob is there and what it should be; reads all of it."""
        try:
            with self._folder(digest) as (_, folder):
                fd = folder.open(digest.hex())
                try:
                    content = iter(lambda: os.read(fd, _PIECE), b"")
                    return os.fstat(fd).st_size == size and digest_parts(content) == digest
                finally:
                    os.close(fd)
        except FileNotFoundError:
            return False

    def remove(self, digest: bytes) -> int:
        """Remove a blob; the bytes that became free."""
        self._stamps.pop(digest, None)
        try:
            with self._folder(digest) as (_, folder):
                status = folder.status(digest.hex())
                return status.st_size if status and folder.remove(digest.hex()) else 0
        except FileNotFoundError:
            return 0

    def all(self) -> Iterator[Stray]:
        """Every file below ``blobs``."""
        try:
            root = self._directory.child("blobs", make=False)
        except FileNotFoundError:
            return
        with closing(root):
            for entry in list(root.entries()):
                if not entry.is_dir(follow_symlinks=False):
                    yield from _stray(root, entry.name, entry.name)
                    continue
                with closing(root.child(entry.name, make=False)) as folder:
                    for name in folder.names():
                        yield from _stray(folder, name, f"{entry.name}/{name}")

    def remove_stray(self, stray: Stray) -> None:
        """Remove a file that `all` gave."""
        with closing(self._directory.child("blobs")) as root:
            folder, _, name = stray.name.rpartition("/")
            if not folder:
                root.remove(name)
                return
            with closing(root.child(folder)) as inner:
                inner.remove(name)


class Stray(NamedTuple):
    """A file below ``blobs``: its name there, the digest that the name says (empty for drafts), size and age."""

    name: str
    digest: bytes
    size: int
    age_s: float


def _stray(folder: Directory, file: str, name: str) -> Iterator[Stray]:
    """A file, unless its writer has renamed it meanwhile."""
    status = folder.status(file)
    if status is not None:
        digest = bytes.fromhex(file) if _DIGEST.fullmatch(file) else b""
        yield Stray(name, digest, status.st_size, time.time() - status.st_mtime)


def _write(fd: int, part: Buffer) -> None:
    view = memoryview(part)
    while view:
        view = view[os.write(fd, view[:_PIECE]) :]
