"""`Bundle`: named values in memory that every process reads and nobody writes."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from fanwise.bundle import _files
from fanwise.bundle._reader import EntryDescription, Reader
from fanwise.bundle._table import TABLE
from fanwise.bundle._transports import PRIVATE, Transport
from fanwise.bundle._views import Views
from fanwise.bundle._words import called, readable
from fanwise.errors import BundleError, UsageTypeError, UsageValueError
from fanwise.typing import Attachment

__all__ = ["SEALED_BIT", "TRUST_BIT", "VERIFY_BIT", "Bundle"]

# The last byte of the id that travels says how a receiver is to read the segment: 15 bytes are enough to tell it apart.
TRUST_BIT, VERIFY_BIT, SEALED_BIT = 1, 2, 4
_MADE_ONCE = frozenset({"bundle", "pickle"})


class Bundle(Mapping[str, Any]):
    """Frozen values by name; made by `freeze` and `Bundle.open`.

    Arrays, tables and columns are read-only views of memory that all processes share, the same object at each access
    in a process. `bytes` and plain objects are the process's own copy, made at first access. A bundle given to workers
    travels as a descriptor, whatever its size.

    Bundles are equal if they are the same object. Looking up a name in a closed bundle raises `BundleError`.

    Examples
    --------
    >>> import numpy as np
    >>> from fanwise import freeze
    >>> with freeze({"prices": np.arange(6.0)}, name="market") as bundle:
    ...     total = bundle["prices"].sum()
    >>> float(total), bundle.closed
    (15.0, True)
    """

    __slots__ = ("__weakref__", "_digest", "_found", "_goodbye", "_listeners", "_lock", "_name", "_names", "_reader",
                 "_size", "_transport", "_views", "companions", "id")  # fmt: skip

    def __init__(
        self,
        reader: Reader,
        transport: Transport = PRIVATE,
        *,
        name: str | None = None,
        companions: Sequence[Bundle] = (),
    ) -> None:
        if not isinstance(reader, Reader):
            raise UsageTypeError("a Bundle is made by freeze({name: value, …}) or Bundle.open(path)")
        self._reader: Reader | None = reader
        self._transport = transport
        self._name = name
        self._names = {n: e.nbytes for n, e in reader.entries.items()}
        self._lock = threading.RLock()
        self._views = Views()
        self._found = self._views.found
        self._digest: str | None = None
        self._listeners: list[Callable[[bytes], object]] = []
        self.companions = companions  # bundles inside this one live as long as it does
        options = reader.trust * TRUST_BIT | reader.verify * VERIFY_BIT | transport.is_sealed * SEALED_BIT
        self.id = reader.header.id[:-1] + bytes([options])
        self._goodbye = weakref.finalize(self, _announce, self._listeners, self.id)
        self._goodbye.atexit = False
        TABLE.add(self)

    def __getitem__(self, name: str) -> Any:
        get = self._found.get(name)
        if get is not None:
            value = get()
            if value is not None:
                return value
        return self._first(name)

    def _first(self, name: str) -> Any:
        """Read an entry that is not at hand. Only one thread of a process does, so that objects are made once."""
        with self._lock:
            entry = self.reader.entries[name]
            get = self._found.get(name)
            value = get() if get is not None else None
            if value is None:
                value = self.reader.read(name)
                self._views.keep(name, value, once=entry.kind in _MADE_ONCE)
            return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        label = f" {self._name!r}" if self._name else ""
        if self.closed:
            return f"<Bundle{label} closed>"
        entries = "1 entry" if len(self) == 1 else f"{len(self)} entries"
        return f"<Bundle{label} {entries}, {readable(self.nbytes, 2)}, {self._transport.name}>"

    @property
    def name(self) -> str | None:
        """What messages call the bundle."""
        return self._name

    @property
    def nbytes(self) -> int:
        """Size of all entries in bytes."""
        return sum(self._names.values())

    @property
    def closed(self) -> bool:
        """Whether `close` was called in this process."""
        return self._reader is None

    @property
    def in_use(self) -> bool:
        """Whether somebody in this process holds a view of it."""
        return self._views.any_alive()

    @property
    def reader(self) -> Reader:
        """The open segment, for the modules beside this one."""
        if self._reader is None:
            raise BundleError(f"{called(self._name)} is closed")
        return self._reader

    @property
    def digest(self) -> str:
        """128-bit digest of names, kinds, shapes and bytes as 32 hex digits: equal content, equal digest.

        It depends on neither process nor machine, only on which hash there is (xxh3, or blake2b without `xxhash`).
        Computed at first use (1 GB in about 0.1 s) and remembered.
        """
        if self._digest is None:
            self._digest = self.reader.digest()
        return self._digest

    def __fanwise_key__(self) -> str:
        return self.digest

    def describe(self) -> list[EntryDescription]:
        """What is in the bundle, entry by entry, without loading any.

        Returns
        -------
        list of EntryDescription
            With ``name``, ``kind``, ``dtype``, ``shape`` and ``nbytes``.
        """
        return self.reader.describe()

    def thaw(self, name: str) -> Any:
        """A copy of an entry that belongs to the caller and can be written.

        Parameters
        ----------
        name : str

        Returns
        -------
        object
            The value as it was given to `freeze`; a nested bundle as a dict of such copies.

        Raises
        ------
        KeyError
            If there is no such entry.
        BundleError
            If the bundle is closed, or the entry damaged or an untrusted pickle.

        Examples
        --------
        >>> import numpy as np
        >>> from fanwise import freeze
        >>> with freeze({"x": np.zeros(3)}) as bundle:
        ...     mine = bundle.thaw("x")
        >>> mine[0] = 1.0
        """
        return self.reader.thaw(name)

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the bundle to a file that `Bundle.open` maps.

        Parameters
        ----------
        path : path
            Appears complete or not at all; mode 0600.
        force : bool
            Replace a file that is there.

        Raises
        ------
        BundleError
            If the file exists and there is no ``force``, or it cannot be written (a full disk, say).

        Examples
        --------
        >>> import tempfile, pathlib
        >>> from fanwise import Bundle, freeze
        >>> path = pathlib.Path(tempfile.mkdtemp(), "market.fwb")
        >>> freeze({"note": b"hello"}).save(path)
        >>> Bundle.open(path)["note"]
        b'hello'
        """
        _files.save(self.reader, path, force=force)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: bool | Literal["all"] = True, trust: bool = False) -> Bundle:
        """Map a saved bundle, in a time that does not depend on its size.

        Parameters
        ----------
        path : path
        verify : bool or "all"
            Compare checksums of an entry at its first access (True), of all entries now (``"all"``), or never.
        trust : bool
            Load pickled entries too: that runs whatever code the file holds.

        Returns
        -------
        Bundle

        Raises
        ------
        BundleError
            If the file is missing, damaged, truncated, of a newer fanwise, or no bundle. A file that another program
            truncates while it is mapped ends the process (SIGBUS).

        Examples
        --------
        >>> import tempfile, pathlib
        >>> from fanwise import Bundle, freeze
        >>> path = pathlib.Path(tempfile.mkdtemp(), "market.fwb")
        >>> freeze({"note": b"hello"}).save(path)
        >>> Bundle.open(path, verify="all")["note"]
        b'hello'
        """
        if verify not in (True, False, "all"):
            raise UsageValueError(f"verify must be True, False or 'all', not {verify!r}")
        reader = _files.map_file(path, trust=trust, verify=bool(verify), at_once=verify == "all")
        return cls(reader, PRIVATE, name=os.fspath(path))

    def attachment(self) -> Attachment:
        """What to send beside a message that mentions the bundle, for `resolve` on the other side.

        The descriptor belongs to the bundle; -1 means that the receiver, being forked from this process later, needs
        none.
        """
        segment = self.reader.segment
        return Attachment(self.id, self._transport.offer(segment), segment.size, owner=self)

    def when_closed(self, listener: Callable[[bytes], object]) -> None:
        """Call ``listener(id)`` once, when this bundle is closed or collected: workers are then told to forget it.

        A listener that is told already is not told twice.
        """
        if listener not in self._listeners:
            self._listeners.append(listener)

    def __reduce__(self) -> tuple[Callable[..., Bundle], tuple[Any, ...]]:
        from fanwise.bundle import _attached

        return _attached.reopen, _attached.handle_of(self)

    def close(self) -> None:
        """Let go of the memory. It is freed when no process and no view has it any more; views stay valid."""
        with self._lock:
            reader, self._reader = self._reader, None
            if reader is None:
                return
            self._views.clear()
            TABLE.drop(self.id)
            self._goodbye()
            reader.segment.close()

    def after_fork(self) -> None:
        """In a child: locks may have been held by threads of the parent, and its workers are not ours to tell."""
        self._lock = threading.RLock()
        self._listeners.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _announce(listeners: list[Callable[[bytes], object]], id: bytes) -> None:
    while listeners:
        listeners.pop()(id)
