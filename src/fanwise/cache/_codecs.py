"""How values are stored: text and bytes as they are, other safe types by structure, the rest signed or not at all."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable
from enum import Enum
from operator import attrgetter
from typing import Any, NamedTuple

from fanwise.cache import _plain_codecs, _signed
from fanwise.cache._hashing import Buffer
from fanwise.cache._keys import name_of
from fanwise.cache._signed import Signer
from fanwise.cache._values import Reader, ReaderTable, Unstorable, Writer, WriterTable, damaged
from fanwise.errors import CacheError, UsageTypeError

__all__ = ["BYTES", "CODEC_NAMES", "PICKLE", "TEXT", "VALUE", "Codec", "Codecs", "Encoded", "Refused"]

BYTES, TEXT, VALUE, PICKLE = 1, 2, 3, 4
CODEC_NAMES = {BYTES: "bytes", TEXT: "str", VALUE: "value", PICKLE: "pickle"}
_UNREADABLE = (ArithmeticError, LookupError, ValueError, TypeError, RuntimeError, ImportError, AttributeError)


class Refused(CacheError):
    """A record that may not be read here: unsigned, signed by somebody else, or of a class that is not registered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """How a further type is stored: as a value of the safe types, under a name.

    Parameters
    ----------
    name : str
        What entries call it; another name is another codec.
    cls : type
        Exactly this type; not its subclasses.
    encode, decode : callable
        From an instance to a storable value, and back.
    """

    name: str
    cls: type
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


class Encoded(NamedTuple):
    """A value ready to be stored, in pieces."""

    codec: int
    parts: list[Buffer]
    size: int
    meta: bytes = b""

    def joined(self) -> bytes:
        return b"".join(self.parts)


class Codecs:
    """The codecs of one cache.

    Parameters
    ----------
    extra : iterable of Codec or type
        Further types: dataclasses, attrs classes, named tuples and enums need no functions.
    signer : Signer, optional
        Makes other values storable as signed pickles.
    """

    def __init__(self, extra: Iterable[Codec | type] = (), signer: Signer | None = None) -> None:
        self._signer = signer
        self._writers: dict[type, Callable[[Writer, Any], None]] = dict(_plain_codecs.WRITERS)
        self._readers: ReaderTable = {**_plain_codecs.READERS, **_LAZY, b"C": self._read_custom}
        self._loaded: set[str] = set()
        self._custom: dict[str, Codec] = {}
        for each in extra:
            codec = each if isinstance(each, Codec) else codec_of(each)
            self._custom[codec.name] = codec
            self._writers[codec.cls] = self._writer_of(codec)

    def encode(self, key: bytes, value: Any) -> Encoded:
        """A value as bytes.

        Raises
        ------
        Unstorable
            If no codec takes it.
        """
        kind = type(value)
        if kind is bytes:
            return Encoded(BYTES, [value], len(value))
        if kind is str:
            text = value.encode("utf-8", "surrogatepass")
            return Encoded(TEXT, [text], len(text))
        self._learn()
        writer = Writer(self._writers)
        try:
            writer.value(value)
            parts = writer.parts()
            return Encoded(VALUE, parts, sum(map(len, parts)))
        except RecursionError:
            raise Unstorable(value) from None
        except Unstorable:
            if self._signer is None:
                raise
        return self._sign(key, value)

    def decode(self, key: bytes, codec: int, payload: Buffer, meta: Buffer = b"") -> Any:
        """The value of a payload.

        Raises
        ------
        CacheError
            If the payload is damaged or may not be read (`Refused`).
        """
        if codec == BYTES:
            return bytes(payload)
        try:
            if codec == TEXT:
                return str(payload, "utf-8", "surrogatepass")
            if codec == VALUE:
                return Reader(payload, self._readers).whole()
        except _UNREADABLE as error:
            raise damaged(f"{type(error).__name__}: {error}") from error
        if codec == PICKLE:
            return self._verified(key, payload, meta)
        raise Refused(f"unknown codec {codec}")

    def _sign(self, key: bytes, value: Any) -> Encoded:
        assert self._signer is not None
        content = _signed.dump(value)
        if content is None:
            raise Unstorable(value)
        return Encoded(PICKLE, [content], len(content), self._signer.mac(_signed_fields(key, content)))

    def _verified(self, key: bytes, payload: Buffer, meta: Buffer) -> Any:
        if self._signer is None or not self._signer.accepts(meta, _signed_fields(key, payload)):
            raise Refused("a pickle that this cache did not sign")
        return _signed.load(payload)

    def _learn(self) -> None:
        """Types of packages that have been imported since."""
        for package in _PACKAGES:
            if package not in self._loaded and sys.modules.get(package) is not None:
                self._loaded.add(package)
                self._writers.update(_writers_of(package))

    def _writer_of(self, codec: Codec) -> Callable[[Writer, Any], None]:
        name = codec.name.encode()

        def write(writer: Writer, value: Any) -> None:
            if writer.begin(b"C", value):
                writer.framed(name)
                writer.value(codec.encode(value))
                writer.end(value)

        return write

    def _read_custom(self, reader: Reader) -> Any:
        place = reader.begin()
        name = reader.framed().decode()
        codec = self._custom.get(name)
        if codec is None:
            raise Refused(f"no codec {name!r} here")
        return reader.end(place, codec.decode(reader.value()))


def _signed_fields(key: bytes, payload: Buffer) -> tuple[Buffer, ...]:
    return key, PICKLE.to_bytes(2, "little"), payload


_PACKAGES = ("numpy", "pandas", "polars", "pyarrow")


def _writers_of(package: str) -> WriterTable:
    if package == "numpy":
        from fanwise.cache import _array_codecs

        return _array_codecs.WRITERS
    from fanwise.cache import _frame_codecs

    return _frame_codecs.writers_of(package)


def _read_lazily(module: str, name: str) -> Callable[[Reader], Any]:
    """Reading an array imports NumPy; a host without it has a miss."""

    def read(reader: Reader) -> Any:
        from importlib import import_module

        return getattr(import_module(module), name)(reader)

    return read


_LAZY: ReaderTable = {
    b"A": _read_lazily("fanwise.cache._array_codecs", "read_array"),
    b"G": _read_lazily("fanwise.cache._array_codecs", "read_scalar"),
    b"g": _read_lazily("fanwise.cache._array_codecs", "read_text_scalar"),
    b"P": _read_lazily("fanwise.cache._frame_codecs", "read_frame"),
}


def codec_of(cls: Any) -> Codec:
    """The codec of a class that says what its fields are."""
    if not isinstance(cls, type):
        raise UsageTypeError(f"codecs: expected classes or Codec objects, got {type(cls).__name__}")
    name = name_of(cls)
    if issubclass(cls, Enum):
        return Codec(name, cls, attrgetter("name"), cls.__getitem__)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return Codec(name, cls, tuple, vars(cls)["_make"].__get__(None, cls))
    if dataclasses.is_dataclass(cls):
        return _by_fields(name, cls, [field.name for field in dataclasses.fields(cls)])
    if hasattr(cls, "__attrs_attrs__"):
        return _by_fields(name, cls, [field.name for field in cls.__attrs_attrs__])
    raise UsageTypeError(f"codecs: {name} has no fields to take; pass Codec(name, cls, encode, decode)")


def _by_fields(name: str, cls: type, fields: list[str]) -> Codec:
    """No method of the class runs when an instance is read."""

    def encode(value: Any) -> dict[str, Any]:
        if getattr(value, "__dict__", {}).keys() - set(fields):
            raise Unstorable(value)  # more than its fields: the copy would have less
        return {field: getattr(value, field) for field in fields}

    def decode(state: Any) -> Any:
        if not isinstance(state, dict) or list(state) != fields:
            raise Refused(f"{name} has other fields now")
        value: Any = object.__new__(cls)
        for field, item in state.items():
            object.__setattr__(value, field, item)
        return value

    return Codec(name, cls, encode, decode)
