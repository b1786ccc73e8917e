"""The files level: one record a file, never mapped, for file systems whose maps or locks cannot be relied on."""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from fanwise.cache._blobs import ORPHAN_AGE_S
from fanwise.cache._codecs import CODEC_NAMES, PICKLE
from fanwise.cache._directory import Directory, is_unwritable
from fanwise.cache._home import Home
from fanwise.cache._leases import LeaseSource
from fanwise.cache._level import Aged, Hit, Pruning, Usage, Write, choose, is_fresh, summary
from fanwise.cache._records import PICKLED, Record, pack_parts, unpack
from fanwise.cache._reports import Damage, EntryInfo, PruneReport, VerifyReport
from fanwise.cache._stats import Counters
from fanwise.cache._stripes import StripeLeases

__all__ = ["FilesLevel"]

_SHARE_OF_ONE = 4
_RECOUNT = 1000  # writes after which the entries of others are counted again
_LEFT_AFTER_EVICTION = 0.9
_ENTRY = re.compile(r"[0-9a-f]{32}")


class FilesLevel:
    """Level L2 on any file system.

    Parameters
    ----------
    home : Home
        Where the directory is, and how it is made again.
    limit : int
        Bytes of all entries.
    counters : Counters
        Where damage and expired entries are counted.
    """

    backend = "files"
    epoch: Any = None

    def __init__(self, home: Home, *, limit: int, counters: Counters) -> None:
        self._home = home
        self._limit = limit
        self._counters = counters
        self._size = 0
        self._writes = _RECOUNT
        self._use(home.open(make=True))

    @property
    def usable(self) -> bool:
        """Whether there is a directory, or one can be made."""
        return self._directory is not None or self._home.writable

    @property
    def writable(self) -> bool:
        """Whether entries can be stored."""
        return self._home.writable and (self._directory is None or self._directory.is_writable())

    def leases(self) -> LeaseSource | None:
        """Where leases between processes come from."""
        return self._leases if self.writable else None

    def refresh(self) -> None:
        """Notice a directory that was deleted."""
        if self._directory is None or self._directory.is_gone():
            self.close()
            self._use(self._home.open(make=False))

    def _use(self, directory: Directory | None) -> None:
        self._directory = directory
        self._leases = StripeLeases(directory) if directory is not None else None

    @contextmanager
    def _folder(self, key: bytes, *, make: bool = False) -> Iterator[Directory]:
        if self._directory is None:
            if not make:
                raise FileNotFoundError
            self._use(self._home.open(make=True))
            if self._directory is None:
                raise PermissionError(13, "the cache directory cannot be made", self._home.path)
        with (
            closing(self._directory.child("entries", make=make)) as root,
            closing(root.child(key[:1].hex(), make=make)) as folder,
        ):
            yield folder

    def read(self, key: bytes, now: float) -> Hit | None:
        """The whole file is read and checked at each hit."""
        data = self._content(key)
        if data is None:
            return None
        record = unpack(data)
        if record is None or record.key != key:
            self._counters.corrupt += 1
            self._remove(key)
            return None
        if not is_fresh(record.created, record.expires, now):
            self._counters.expired += 1
            return None
        return record.codec, record.payload, record.meta, record.flags, record.created, record.expires

    def _content(self, key: bytes) -> bytearray | None:
        try:
            with self._folder(key) as folder:
                fd = folder.open(key.hex())
        except FileNotFoundError:
            return None
        with open(fd, "rb", buffering=0) as file:
            data = bytearray(os.fstat(fd).st_size)
            view = memoryview(data)
            while view and (count := file.readinto(view)):
                view = view[count:]
        return data

    def _remove(self, key: bytes) -> bool:
        try:
            with self._folder(key) as folder:
                return _remove(folder, key.hex())
        except FileNotFoundError:
            return False

    def contains(self, key: bytes, now: float) -> bool:
        """Whether there is a valid entry."""
        data = self._content(key)
        record = unpack(data) if data is not None else None
        return record is not None and record.key == key and is_fresh(record.created, record.expires, now)

    def stamp(self, key: bytes) -> object:
        """Inode, time and size of the file; None if there is none."""
        try:
            with self._folder(key) as folder:
                status = folder.status(key.hex())
        except FileNotFoundError:
            return None
        return None if status is None else (status.st_ino, status.st_mtime_ns, status.st_size)

    def write(self, entry: Write) -> bool:
        """Store an entry: a temporary file, on the disk, renamed."""
        if entry.encoded.size > self._limit // _SHARE_OF_ONE:
            return False
        if not self.writable:
            return False
        try:
            self._write(entry)
        except FileNotFoundError:  # the directory was deleted meanwhile
            self.refresh()
            self._write(entry)
        self._count(entry.encoded.size)
        return True

    def _write(self, entry: Write) -> None:
        key, name, encoded, created, expires, flags = entry
        if encoded.codec == PICKLE:
            flags |= PICKLED
        record = Record(key, created, expires, flags, encoded.codec, name, encoded.meta, b"")
        draft = f"tmp-{secrets.token_hex(8)}"
        with self._folder(key, make=True) as folder:
            fd = folder.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                with open(fd, "wb", buffering=0) as file:
                    for part in pack_parts(record, encoded.parts):
                        view = memoryview(part)
                        while view:
                            view = view[file.write(view) :]
                    os.fsync(fd)
                folder.rename(draft, folder, bytes(key).hex())
            except BaseException:
                folder.remove(draft)
                raise

    def delete(self, key: bytes) -> bool:
        """Remove an entry."""
        return self._remove(key)

    def _all(self) -> Iterator[tuple[Directory, str, os.stat_result]]:
        """Every file, with its folder open."""
        if self._directory is None:
            return
        try:
            root = self._directory.child("entries", make=False)
        except FileNotFoundError:
            return
        with closing(root):
            for name in sorted(each.name for each in root.entries() if each.is_dir(follow_symlinks=False)):
                with closing(root.child(name, make=False)) as folder:
                    for file in sorted(folder.names()):
                        status = folder.status(file)
                        if status is not None and stat.S_ISREG(status.st_mode):
                            yield folder, file, status

    def _records(self) -> Iterator[tuple[Directory, str, int, Record | None]]:
        """Every entry; None for damaged ones."""
        for folder, name, status in self._all():
            if not _ENTRY.fullmatch(name):
                continue
            data = self._content(bytes.fromhex(name))
            record = unpack(data) if data is not None else None
            whole = record is not None and record.key.hex() == name
            yield folder, name, status.st_size, record if whole else None

    def entries(self, prefix: str) -> Iterator[EntryInfo]:
        """All entries whose names begin with ``prefix``."""
        for _, name, _, record in self._records():
            if record is not None and record.name.startswith(prefix):
                codec = CODEC_NAMES.get(record.codec, str(record.codec))
                size = len(record.payload)
                yield EntryInfo(name, record.name, size, record.created, record.expires, codec, "file")

    def clear(self, prefix: str) -> int:
        """Remove them; how many there were."""
        removed = 0
        for folder, name, _, record in self._records():
            if not prefix or (record is not None and record.name.startswith(prefix)):
                removed += _remove(folder, name) and record is not None
        self._writes = _RECOUNT
        return removed

    def _count(self, size: int) -> None:
        """Keep an estimate of the whole, and evict by age when it is above the limit."""
        self._size += size
        self._writes += 1
        if self._writes >= _RECOUNT or self._size > self._limit:
            self._writes = 0
            files = sorted((status.st_mtime_ns, name, status.st_size) for _, name, status in self._all())
            self._size = sum(size for *_, size in files)
            if self._size > self._limit:
                self._evict(files)

    def _evict(self, files: list[tuple[int, str, int]]) -> None:
        for _, name, size in files:
            if self._size <= self._limit * _LEFT_AFTER_EVICTION:
                return
            if _ENTRY.fullmatch(name) and self._remove(bytes.fromhex(name)):
                self._size -= size
                self._counters.evicted += 1

    def prune(self, plan: Pruning) -> PruneReport:
        """Remove expired, old and surplus entries, and drafts of writers that died."""
        entries = [Aged(name, r.created, r.expires, size) for _, name, size, r in self._records() if r is not None]
        doomed = choose(entries, plan)
        if not plan.dry_run:
            for each in doomed:
                self._remove(bytes.fromhex(each.place))
            self._home.remove_old_schemas()
        self._writes = _RECOUNT
        return summary(entries, doomed, self._drop_drafts(plan))

    def _drop_drafts(self, plan: Pruning) -> int:
        dropped = 0
        for folder, name, status in self._all():
            if name.startswith("tmp-") and time.time() - status.st_mtime > ORPHAN_AGE_S:
                dropped += 1
                if not plan.dry_run:
                    _remove(folder, name)
        return dropped

    def verify(self, *, repair: bool) -> VerifyReport:
        """Read and check every file."""
        whole, damage = 0, []
        for folder, name, _, record in self._records():
            if record is not None:
                whole += 1
                continue
            damage.append(Damage(f"entries/{name[:2]}/{name}", 0, name, "check of the record does not agree"))
            if repair:
                _remove(folder, name)
        return VerifyReport(whole, damage, repaired=repair and bool(damage))

    def usage(self) -> Usage:
        """Counted anew each time: other hosts write too."""
        sizes = [status.st_size for _, name, status in self._all() if _ENTRY.fullmatch(name)]
        return Usage(len(sizes), sum(sizes))

    def after_fork(self) -> None:
        """Leases belong to the parent; all else can be shared."""
        if self._leases is not None:
            self._leases.after_fork()

    def close(self) -> None:
        if self._leases is not None:
            self._leases.close()
        directory, self._directory = self._directory, None
        if directory is not None:
            directory.close()


def _remove(folder: Directory, name: str) -> bool:
    """Remove a file, if that is allowed."""
    try:
        return folder.remove(name)
    except OSError as error:
        if is_unwritable(error):
            return False
        raise
