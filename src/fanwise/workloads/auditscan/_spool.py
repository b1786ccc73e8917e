"""What a search found in one file, as bytes that are written once and copied from then on.

A spooled file is one line of JSON (what file, what system, which rule found how much and where), then the rows of
each rule as lines of JSON. A row is the end of the object that ``results.jsonl`` has for it: that file is copied.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from json.encoder import encode_basestring as quoted
from typing import Any, overload

from fanwise.workloads.auditscan._match import Fields, Row
from fanwise.workloads.auditscan._model import Match, System
from fanwise.workloads.auditscan._search import Found

__all__ = [
    "Block",
    "Spooled",
    "SpooledMatches",
    "count_found",
    "have_fields",
    "pack_head",
    "prefixed",
    "raw_rows",
    "row_values",
    "spool",
    "unpack",
]


_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Block:
    """Where the rows of one rule are in the body of a spooled file."""

    rule: int
    rows: int = 0
    offset: int = 0
    length: int = 0
    missing: bool = False
    has_fields: bool = False
    status: str = "ok"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Spooled:
    """One audit file after the search. ``status`` is ``done``, ``skipped`` or ``failed``."""

    sha256: str | None = None
    size: int = 0
    encoding: str | None = None
    system: System | None = None
    status: str = "done"
    reason: str = ""
    excusable: bool = False
    blocks: tuple[Block, ...] = ()
    body: bytes = field(default=b"", repr=False)

    @property
    def timed_out(self) -> bool:
        return any(block.status == "timeout" for block in self.blocks)


def spool(found: Iterable[Found]) -> tuple[tuple[Block, ...], bytes]:
    """Rows of all rules one after the other, and where each rule's begin."""
    blocks, parts, at = [], [], 0
    for one in found:
        text = "".join(_lines(one.rows, missing=one.missing)).encode()
        with_fields = any(row[2] for row in one.rows)
        blocks.append(Block(one.rule, len(one.rows), at, len(text), one.missing, with_fields, one.status, one.reason))
        parts.append(text)
        at += len(text)
    return tuple(blocks), b"".join(parts)


def _lines(rows: Iterable[Row], *, missing: bool) -> Iterator[str]:
    end = ',"missing":true}\n' if missing else ',"missing":false}\n'
    return (f'{{"line":{line},"text":{quoted(text)},"fields":{_object(fields)}{end}' for line, text, fields in rows)


def _object(fields: Fields | None) -> str:
    if fields is None:
        return "null"
    return "{" + ",".join([f"{quoted(name)}:{quoted(value)}" for name, value in fields.items()]) + "}"


def prefixed(rows: bytes, prefix: bytes) -> bytes:
    """Each row with more members at the front of its object; ``prefix`` is ``{"a":1,``."""
    return prefix + rows[1:].replace(b"\n{", b"\n" + prefix) if rows else b""


def row_values(rows: bytes) -> Iterator[dict[str, Any]]:
    """Rows as the objects they are (line, text, fields, missing); a megabyte of them is in memory at a time."""
    start = 0
    while start < len(rows):
        end = rows.find(b"\n", start + _PIECE) + 1 or len(rows)
        yield from json.loads(b"[" + rows[start : end - 1].replace(b"\n", b",") + b"]")
        start = end


class SpooledMatches(Sequence[Match]):
    """Matches of one rule in one file that stay on disk until somebody looks."""

    def __init__(self, block: Block, read: Callable[[int, int], bytes]) -> None:
        self._block = block
        self._read = read

    def raw(self) -> bytes:
        """The rows as they lie there."""
        return self._read(self._block.offset, self._block.length)

    @property
    def has_fields(self) -> bool:
        return self._block.has_fields

    @property
    def missing(self) -> bool:
        """Whether the one row only says that there are none."""
        return self._block.missing

    def __len__(self) -> int:
        return self._block.rows

    def __iter__(self) -> Iterator[Match]:
        return (Match(**row) for row in row_values(self.raw()))

    @overload
    def __getitem__(self, index: int) -> Match: ...
    @overload
    def __getitem__(self, index: slice) -> list[Match]: ...
    def __getitem__(self, index: int | slice) -> Match | list[Match]:
        return list(self)[index]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sequence)
            and len(self) == len(other)
            and all(a == b for a, b in zip(self, other, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]  # compares as a list does


def raw_rows(matches: Sequence[Match]) -> bytes:
    """Matches as spooled rows, wherever they are."""
    if isinstance(matches, SpooledMatches):
        return matches.raw()
    found = [Found(0, [(m.line, m.text, None if m.fields is None else dict(m.fields))], m.missing) for m in matches]
    return spool(found)[1]


def count_found(matches: Sequence[Match]) -> int:
    """Matches without a row that says there are none."""
    if isinstance(matches, SpooledMatches):
        return 0 if matches.missing else len(matches)
    return sum(not match.missing for match in matches)


def have_fields(matches: Sequence[Match]) -> bool:
    """Whether any match has columns."""
    return matches.has_fields if isinstance(matches, SpooledMatches) else any(match.fields for match in matches)


def pack_head(spooled: Spooled) -> bytes:
    """The line before the body of a spooled file, with the body's checksum."""
    header = {name: value for name, value in asdict(spooled).items() if name != "body"}
    header["crc32"] = zlib.crc32(spooled.body)
    return json.dumps(header).encode() + b"\n"


def unpack(data: bytes) -> Spooled | None:
    """Read one back; None if it is torn or not one."""
    head, _, body = data.partition(b"\n")
    try:
        header = json.loads(head)
        if header.pop("crc32") != zlib.crc32(body):
            return None
        system = System(**header.pop("system"))
        blocks = tuple(Block(**block) for block in header.pop("blocks"))
        return Spooled(system=system, blocks=blocks, body=body, **header)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
