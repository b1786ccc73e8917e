"""Reading one segment: its directory, its buffers once they are verified, its values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fanwise.bundle import _codecs, _hashes, _layout
from fanwise.bundle._codecs import raw
from fanwise.bundle._codecs.parts import Part, UntrustedPickleError
from fanwise.bundle._layout import HEADER_BYTES, Entry, Header
from fanwise.bundle._segments import Segment
from fanwise.errors import BundleError

__all__ = ["EntryDescription", "Reader"]

# What codecs and the packages below them raise on a description that does not fit its bytes.
_DAMAGE: tuple[type[Exception], ...] = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError),
    *(OSError, RuntimeError, TypeError, ValueError),
)


@dataclass(frozen=True, slots=True)
class EntryDescription:
    """What an entry is, read from the directory alone.

    Attributes
    ----------
    name, kind : str
        ``kind`` is the codec: ``"ndarray"``, ``"pandas.DataFrame"``, ``"pickle"``, …
    dtype : str or None
        Of arrays and columns.
    shape : tuple of int or None
        Of arrays, columns and tables (rows, columns).
    nbytes : int
        Size of its buffers in the segment.
    """

    name: str
    kind: str
    dtype: str | None
    shape: tuple[int, ...] | None
    nbytes: int


class Reader:
    """The entries of a segment.

    Parameters
    ----------
    segment : Segment
    where : str
        What messages call it: ``bundle 'market'`` or the quoted path of a file.
    trust : bool
        Whether pickles may be loaded, and compiled code rely on contents unseen.
    verify : bool
        Whether each buffer's checksum is compared at its first access.
    """

    def __init__(self, segment: Segment, where: str, *, trust: bool, verify: bool) -> None:
        self.segment = segment
        self.where = where
        self.trust = trust
        self.verify = verify
        self._hash: _hashes.Hash | None = None
        self._verified: set[str] = set()
        self.header = self._read_header()
        self.entries: Mapping[str, Entry] = {e.name: e for e in self._read_directory(self.header)}

    def _read_header(self) -> Header:
        page = bytes(self.segment.view[:HEADER_BYTES])
        return _layout.parse_header(page, self.segment.size, self.where, self._checksum_for)

    def _checksum_for(self, flags: int) -> _layout.Checksum | None:
        self._hash = _hashes.for_flags(flags, self.where, needed=self.verify)
        return self._hash.sum64 if self._hash is not None else None

    def _read_directory(self, header: Header) -> tuple[Entry, ...]:
        at = header.directory_at
        text = bytes(self.segment.view[at : at + header.directory_bytes])
        if self._hash is not None and self._hash.sum64(text) != header.directory_sum:
            raise BundleError(f"{self.where}: damaged directory")
        return _layout.parse_directory(text, at, self.where)

    def describe(self) -> list[EntryDescription]:
        """One line an entry; nothing is loaded."""
        return [_describe(e) for e in self.entries.values()]

    def buffers(self, name: str) -> list[memoryview]:
        """The buffers of an entry, verified if they are to be."""
        entry = self.entries[name]
        views = self.segment.cut(entry.buffers)
        if self.verify and name not in self._verified:
            for extent, view in zip(entry.buffers, views, strict=True):
                self._compare(name, extent, view)
            self._verified.add(name)
        return views

    def _compare(self, name: str, extent: _layout.Extent, view: memoryview) -> None:
        if extent.checksum is None or self._hash is None or self._hash.sum64(view) == extent.checksum:
            return
        raise BundleError(
            f"{self.where}: entry {name!r} is damaged (checksum of bytes {extent.offset:,}..{extent.end:,})"
        )

    def verify_all(self) -> None:
        """Verify every entry now."""
        for name in self.entries:
            self.buffers(name)

    def read(self, name: str) -> Any:
        """The value of an entry over the segment itself."""
        self._refuse(self.entries[name])
        return self._decode(self.entries[name], self.buffers(name))

    def thaw(self, name: str) -> Any:
        """The value of an entry over memory of the caller's own."""
        entry = self.entries[name]
        self._refuse(entry)
        value = self._decode(entry, [memoryview(bytearray(b)) for b in self.buffers(name)])
        if entry.kind == "bytes":
            return raw.thaw(entry.meta, value)
        return {key: value.thaw(key) for key in value} if entry.kind == "bundle" else value

    def _refuse(self, entry: Entry) -> None:
        """Before anything of it is read: an untrusted pickle is not even hashed."""
        if not _codecs.is_known(entry.kind):
            raise BundleError(f"entry {entry.name!r} is of a kind that this fanwise does not know: {entry.kind}")
        if entry.kind == "pickle" and not self.trust:
            raise _untrusted(entry.name, "is")

    def _decode(self, entry: Entry, buffers: list[memoryview]) -> Any:
        try:
            return _codecs.decode(Part(entry.kind, entry.meta, buffers, self.trust))
        except UntrustedPickleError:
            raise _untrusted(entry.name, "holds") from None
        except BundleError:
            raise
        except ImportError as error:
            needed = error.name or error
            raise BundleError(f"entry {entry.name!r} is a {entry.kind}; reading it needs {needed}") from error
        except _DAMAGE as error:
            if entry.kind == "pickle":  # the user's own code ran
                error.add_note(f"while loading entry {entry.name!r} of {self.where}")
                raise
            at = entry.buffers[0].offset if entry.buffers else self.header.directory_at
            raise BundleError(f"{self.where}: entry {entry.name!r} is damaged at byte {at:,} ({error!r})") from error

    def digest(self) -> str:
        """The content digest, 32 hex digits: of names, kinds, descriptions and bytes, and of the name of the hash."""
        hash = _hashes.preferred()
        hasher = hash.new128()
        hasher.update(f"fanwise-bundle-1 {hash.name}".encode())
        for entry in self.entries.values():
            if entry.kind == "bundle":  # by content, wherever it lives
                described: list[Any] = [entry.name, entry.kind, self.read(entry.name).digest]
            else:
                described = [entry.name, entry.kind, entry.meta, [b.length for b in entry.buffers]]
            head = json.dumps(described).encode()
            hasher.update(len(head).to_bytes(8, "little") + head)
            if entry.kind != "bundle":
                for view in self.buffers(entry.name):
                    hasher.update(view)
        return hasher.hexdigest()


def _untrusted(name: str, how: str) -> BundleError:
    return BundleError(f"entry {name!r} {how} a pickle; Bundle.open(path, trust=True) if you trust this file")


def _describe(entry: Entry) -> EntryDescription:
    meta = entry.meta
    dtype = meta.get("dtype", meta.get("descr", meta.get("format")))
    shape = meta.get("shape")
    return EntryDescription(
        entry.name,
        entry.kind,
        None if dtype is None else str(dtype),
        tuple(shape) if isinstance(shape, list) else None,
        entry.nbytes,
    )
