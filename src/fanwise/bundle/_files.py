"""Bundles as files: written beside their final name and renamed, mapped when opened."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from fanwise import _memfd
from fanwise.bundle import _hashes
from fanwise.bundle._codecs.parts import Encoded, Span
from fanwise.bundle._layout import PICKLED_FLAG
from fanwise.bundle._reader import Reader
from fanwise.bundle._segments import Segment, Writer
from fanwise.errors import BundleError

if TYPE_CHECKING:
    from fanwise.bundle._bundle import Bundle

__all__ = ["map_file", "save"]

Path = str | os.PathLike[str]


def map_file(path: Path, *, trust: bool, verify: bool, at_once: bool) -> Reader:
    """Map a saved bundle and read its directory; ``at_once`` verifies all entries too."""
    where = repr(os.fspath(path))
    try:
        segment = _map(path, where)
    except (OSError, ValueError) as error:
        raise BundleError(f"{where} can't be opened: {_reason(error)}") from error
    try:
        reader = Reader(segment, where, trust=trust, verify=verify)
        if at_once:
            reader.verify_all()
        return reader
    except BaseException:
        segment.close()
        raise


def _map(path: Path, where: str) -> Segment:
    # Without O_NONBLOCK opening a pipe would wait for somebody to write to it.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and status.st_size:
        return Segment.map(fd, status.st_size, keep=True)
    os.close(fd)
    if stat.S_ISREG(status.st_mode):
        raise BundleError(f"{where} is not a fanwise bundle: it is empty")
    raise BundleError(f"{where} is not a fanwise bundle: it is no regular file")


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


def save(reader: Reader, path: Path, *, force: bool) -> None:
    """Write a bundle so that ``path`` is complete or absent."""
    where = repr(os.fspath(path))
    if not force and os.path.lexists(path):
        raise BundleError(f"{where} exists; save(path, force=True) replaces it")
    folder = os.path.dirname(os.path.abspath(path))
    temporary = os.path.join(folder, f".fanwise-{os.urandom(8).hex()}.tmp")
    try:
        _write_file(temporary, reader)
        _publish(temporary, path, where, force=force)
        _sync(folder)
    except (OSError, ValueError) as error:
        raise BundleError(f"{where} can't be written: {_reason(error)}") from error
    finally:
        with suppress(OSError):  # published, or never made
            os.unlink(temporary)


def _write_file(path: str, reader: Reader) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _write(fd, reader)
        os.fsync(fd)
    finally:
        os.close(fd)


def _publish(temporary: str, path: Path, where: str, *, force: bool) -> None:
    if force:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)  # unlike a rename it fails if another process was faster
    except FileExistsError:
        raise BundleError(f"{where} exists; save(path, force=True) replaces it") from None
    except OSError:  # a file system without hard links
        os.rename(temporary, path)


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write(fd: int, reader: Reader) -> int:
    writer = Writer(fd, _hashes.preferred(), checked=True)
    is_pickled = bool(reader.header.flags & PICKLED_FLAG)
    for entry in reader.entries.values():
        if entry.kind == "bundle":
            _put_image(writer, entry.name, reader.read(entry.name))
        else:
            sources = tuple(Span(view) for view in reader.buffers(entry.name))
            writer.put(entry.name, Encoded(entry.kind, entry.meta, sources, is_pickled))
    return writer.finish(os.urandom(16))


def _put_image(writer: Writer, name: str, inner: Bundle) -> None:
    """A bundle inside goes in as a file of its own would be written."""
    fd = _memfd.create("fanwise-image")
    try:
        size = _write(fd, inner.reader)
    except BaseException:
        os.close(fd)
        raise
    image = Segment.map(fd, size, keep=False)
    is_pickled = bool(inner.reader.header.flags & PICKLED_FLAG)
    writer.put(name, Encoded("bundle", {"name": inner.name}, (Span(image.view),), is_pickled))
    image.close()
