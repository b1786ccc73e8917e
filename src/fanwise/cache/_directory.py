"""A directory that only this user can write to: opened once, and everything in it by name from there.

No link is followed below the directory, so nobody can make the cache read or write elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from fanwise.errors import CacheError

__all__ = ["Directory", "is_unwritable", "of_other_kind", "write_all"]

_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This file is a cache directory tag created by fanwise.\n"
    b"# For information about cache directory tags see https://bford.info/cachedir/\n"
)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDERS = {"blobs", "entries", "locks"}
_UNWRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}


def is_unwritable(error: OSError) -> bool:
    """Whether a place cannot be written to, as opposed to being no place at all."""
    return error.errno in _UNWRITABLE


def write_all(fd: int, data: bytes | memoryview, at: int) -> None:
    """Write everything, at an offset."""
    written = os.pwrite(fd, data, at)
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], at + written)


class Directory:
    """An open directory of this user.

    Parameters
    ----------
    fd : int
        Its descriptor; closed by `close`.
    path : str
        How messages call it.
    """

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path

    @classmethod
    def at(cls, path: str, *, given: bool, label: str, make: bool = True) -> Directory:
        """Open, and make if need be, the directory of a cache. A path that was given may lead through links.

        Raises
        ------
        CacheError
            If it is a file, cannot be made, belongs to somebody else or can be written by others.
        OSError
            If it is missing, and is not to be made or its place is read-only.
        """
        real = os.path.realpath(path) if given else path
        made = make and _make(real, label)
        try:
            fd = os.open(real, _READ | os.O_DIRECTORY)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _refusal(error, real, label) from error
        directory = cls(fd, label)
        try:
            directory.check_trust(os.fstat(fd), label)
            if made or (make and not directory.names()):
                directory.write_once("CACHEDIR.TAG", _TAG)
        except BaseException:
            directory.close()
            raise
        return directory

    def child(self, name: str, *, make: bool = True) -> Directory:
        """A directory within; raises `FileNotFoundError` if it is missing and not to be made."""
        while True:
            try:
                fd = self._open(name, _READ | os.O_DIRECTORY)
                break
            except FileNotFoundError:
                if not make:
                    raise
                with _already_there():
                    os.mkdir(name, 0o700, dir_fd=self.fd)
        return Directory(fd, os.path.join(self.path, name))

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of a file within, made 0600; it must be a plain file of this user."""
        return self._open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _open(self, name: str, flags: int) -> int:
        place = os.path.join(self.path, name)
        try:
            fd = os.open(name, flags, 0o600, dir_fd=self.fd)
        except OSError as error:
            if error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and self.is_link(name)):
                raise CacheError(f"{place!r} is a symbolic link; a cache holds none: remove it") from error
            raise
        try:
            self.check_trust(os.fstat(fd), place)
        except CacheError:
            os.close(fd)
            raise
        return fd

    def check_trust(self, status: os.stat_result, place: str) -> None:
        """Refuse what somebody else owns or may write."""
        if status.st_uid != os.geteuid():
            raise CacheError(
                f"{place!r} belongs to user {status.st_uid}, not to you; choose another --cache-dir "
                f"(to make it yours: chown -R {os.geteuid()} {self.path} && chmod 700 {self.path})"
            )
        if stat.S_IMODE(status.st_mode) & 0o022:
            raise CacheError(f"{place!r} can be written by others; run: chmod 700 {self.path}")

    def is_link(self, name: str) -> bool:
        try:
            return stat.S_ISLNK(os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def check_names(self) -> None:
        """Refuse a directory in which a link or somebody else's file lies, or a folder in the place of a file."""
        for entry in self.entries():
            place = os.path.join(self.path, entry.name)
            if entry.is_symlink():
                raise CacheError(f"{place!r} is a symbolic link; a cache holds none: remove it")
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder != (entry.name in _FOLDERS):
                raise of_other_kind(place, is_folder=is_folder)
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # evicted between the two calls
                continue
            if status.st_uid != os.geteuid():
                self.check_trust(status, place)

    def entries(self) -> Iterator[os.DirEntry[str]]:
        with os.scandir(self.fd) as found:
            yield from found

    def names(self) -> list[str]:
        return os.listdir(self.fd)

    def status(self, name: str) -> os.stat_result | None:
        """What a name refers to, or None."""
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def write_once(self, name: str, content: bytes) -> None:
        """Write a small file unless it is there."""
        with _already_there():
            fd = self.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                write_all(fd, content, 0)
            finally:
                os.close(fd)

    def remove(self, name: str) -> bool:
        """Remove a file; False if it was gone."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            return False
        return True

    def rename(self, name: str, other: Directory, new: str) -> None:
        os.rename(name, new, src_dir_fd=self.fd, dst_dir_fd=other.fd)

    def is_writable(self) -> bool:
        """Whether files can be made in it."""
        return os.access(".", os.W_OK, dir_fd=self.fd, effective_ids=True)

    def is_gone(self) -> bool:
        """Whether the directory was deleted since it was opened."""
        return os.fstat(self.fd).st_nlink == 0

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def of_other_kind(place: str, *, is_folder: bool) -> CacheError:
    """The error of a directory in the place of a file, or a file in that of a directory."""
    there, wanted = ("directory", "file") if is_folder else ("file", "directory")
    return CacheError(f"{place!r} is a {there} where a cache has a {wanted}; remove it, or choose another --cache-dir")


def _make(real: str, label: str) -> bool:
    try:
        os.makedirs(os.path.dirname(real) or ".", mode=0o700, exist_ok=True)
        with _already_there():
            os.mkdir(real, 0o700)
            return True
    except OSError as error:
        raise _refusal(error, real, label) from error
    return False


def _refusal(error: OSError, real: str, label: str) -> OSError | CacheError:
    if is_unwritable(error):
        return error
    if os.path.islink(real):
        return CacheError(f"cache directory {label!r} is a symbolic link; choose another --cache-dir")
    if os.path.exists(real):
        return CacheError(f"cache directory {label!r} is a file; choose another --cache-dir")
    return CacheError(f"cache directory {label!r} cannot be made: {error.strerror}; choose another --cache-dir")


@contextmanager
def _already_there() -> Iterator[None]:
    """Several processes may make one thing at the same instant: all but one find it made."""
    try:
        yield
    except FileExistsError:
        return
