r"""Bytes of an audit file as text with ``\n`` line ends, and what they were read as."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

__all__ = ["Decoded", "NotText", "decode"]

_BOMS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ARCHIVES = (
    (0, b"\x1f\x8b"),  # gzip
    (0, b"PK\x03\x04"),  # zip
    (0, b"PK\x05\x06"),  # zip without members
    (0, b"7z\xbc\xaf\x27\x1c"),
    (0, b"\xfd7zXZ\x00"),
    (0, b"\x28\xb5\x2f\xfd"),  # zstd
    (257, b"ustar\x00"),
    (257, b"ustar "),
)
_UTF16_SAMPLE = 4096
_NUL_SAMPLE = 8192


class NotText(Exception):
    """The bytes are not to be read as text; ``failed`` if they were said to be."""

    def __init__(self, reason: str, *, failed: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failed = failed


@dataclass(frozen=True, slots=True)
class Decoded:
    r"""``text`` has ``\n`` line ends only; ``folded`` is the same in UTF-8 with ASCII letters in lower case."""

    text: str
    encoding: str
    folded: bytes

    @classmethod
    def of(cls, text: str, encoding: str = "utf-8") -> Decoded:
        r"""Text with its line ends made ``\n``; half surrogate pairs become U+FFFD."""
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        try:
            return cls(text, encoding, text.encode().lower())
        except UnicodeEncodeError:
            whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return cls(whole, encoding, whole.encode().lower())


def decode(data: bytes, encoding: str | None = None, *, compat: str | None = None) -> Decoded:
    """Read bytes as text: byte-order mark, then UTF-16 by its zero bytes, then UTF-8, then cp1252.

    Raises
    ------
    NotText
        Empty, an archive, binary, or not in the encoding that was named.
    """
    if not data:
        raise NotText("empty file")
    if any(data.startswith(magic, at) for at, magic in _ARCHIVES):
        raise NotText("archive; unpack it first")
    if encoding is not None:
        return _as_told(data, encoding, compat)
    for mark, name in _BOMS:
        if data.startswith(mark):
            kept = data if compat and name == "utf-8" else data[len(mark) :]
            return Decoded.of(kept.decode(name, "replace"), name)
    if wide := _wide(data[:_UTF16_SAMPLE]):
        return Decoded.of(data.decode(wide, "replace"), wide)
    if b"\0" in data[:_NUL_SAMPLE]:
        raise NotText("binary file")
    return _narrow(data)


def _wide(sample: bytes) -> str | None:
    """UTF-16 without a mark: text of mostly Latin letters has a zero in every second byte."""
    even, odd = sample[::2], sample[1::2]
    if not odd:
        return None
    zero_even, zero_odd = even.count(0) / len(even), odd.count(0) / len(odd)
    if zero_even >= 0.30 and zero_odd < 0.05:
        return "utf-16-be"
    return "utf-16-le" if zero_odd >= 0.30 and zero_even < 0.05 else None


def _narrow(data: bytes) -> Decoded:
    if data.isascii():
        return _ascii(data)
    try:
        return Decoded.of(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        return Decoded.of(data.decode("cp1252", "replace"), "cp1252")


def _ascii(data: bytes) -> Decoded:
    """The common case: normalise and fold the bytes, without encoding the text again."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return Decoded(data.decode("ascii"), "ascii", data.lower())


def _as_told(data: bytes, encoding: str, compat: str | None) -> Decoded:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotText(f"not {encoding}: {error.reason} at byte {error.start:,}", failed=True) from None
    except UnicodeError as error:
        raise NotText(f"not {encoding}: {error}", failed=True) from None
    return Decoded.of(text if compat else text.removeprefix("\ufeff"), encoding)
