"""Delimited text, a block at a time: counts by whole columns, and each record's text exactly as it was."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError
from fanwise.workloads.exactci._counts import LARGEST, count_of_text

__all__ = ["PlainBlock", "QuotedBlock", "TextSource"]

BLOCK_BYTES = 1 << 18
OTHER_DELIMITERS = ";", "\t"
NEWLINE, RETURN, QUOTE, ZERO = b'\n\r"0'
DIGITS = 10  # longer ones are read one by one; 10**9 has ten

Counts = tuple[NDArray[np.int64], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class PlainBlock:
    """Records without quotes: ``marks`` are the positions before, between and after the fields of each."""

    data: bytes
    first_line: int
    delimiter: str
    left: NDArray[np.int64]
    right: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.left)

    def line(self, row: int) -> int:
        """Line of the file, from 1."""
        return self.first_line + row

    def cell(self, row: int, column: int) -> str:
        """Text of one field."""
        return self.data[self.left[row, column] : self.right[row, column]].decode()

    def counts(self, columns: Sequence[int]) -> Counts:
        """Counts in these columns and what is wrong with them, shape (rows, columns) each."""
        values, plain = _digits(self.data, self.left[:, columns], self.right[:, columns])
        status = np.zeros(values.shape, np.uint8)
        for row, place in np.argwhere(~plain):
            values[row, place], status[row, place] = count_of_text(self.cell(row, columns[place]))
        return values, status

    def records(self) -> list[str]:
        """Text of each record, without its line end."""
        text = self.data.decode()
        return (text.replace("\r\n", "\n") if "\r" in text else text).split("\n")[:-1]

    def fields(self) -> list[list[str]]:
        """Text of each field."""
        return [record.split(self.delimiter) for record in self.records()]


@dataclass(frozen=True, slots=True)
class QuotedBlock:
    """Records read one by one: some are quoted, or not as they should be."""

    texts: list[str]
    rows: list[list[str]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.rows)

    def line(self, row: int) -> int:
        """Line of the file on which the record begins, from 1."""
        return self.lines[row]

    def cell(self, row: int, column: int) -> str:
        """Text of one field, without its quotes."""
        return self.rows[row][column]

    def counts(self, columns: Sequence[int]) -> Counts:
        """Counts in these columns and what is wrong with them, shape (rows, columns) each."""
        pairs = np.array([[count_of_text(row[column]) for column in columns] for row in self.rows], np.int64)
        pairs = pairs.reshape(len(self.rows), len(columns), 2)
        return pairs[..., 0], pairs[..., 1].astype(np.uint8)

    def records(self) -> list[str]:
        """Text of each record, without its line end, quotes as they were."""
        return self.texts

    def fields(self) -> list[list[str]]:
        """Text of each field, without its quotes."""
        return self.rows


def _digits(
    data: bytes, left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read decimal digits between two positions, all cells at once; also tell which cells are nothing else."""
    text = np.frombuffer(data, np.uint8)
    length = right - left
    plain = (length > 0) & (length <= DIGITS)
    values = np.zeros(length.shape, np.int64)
    for position in range(min(int(length.max(initial=0)), DIGITS)):
        inside = position < length
        digit = text[np.minimum(left + position, right - 1)] - np.uint8(ZERO)
        values = np.where(inside, values * 10 + digit, values)
        plain &= (digit <= 9) | ~inside
    plain &= values <= LARGEST
    return values, plain


def _plain(data: bytes, first_line: int, delimiter: str, width: int) -> PlainBlock | None:
    """The block as `PlainBlock`, or None if it must be read record by record."""
    if QUOTE in data or data.count(b"\r") != data.count(b"\r\n"):
        return None
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == NEWLINE)
    marks = np.flatnonzero(text == ord(delimiter))
    if len(marks) != len(ends) * (width - 1):
        return None
    between = marks.reshape(len(ends), width - 1)
    starts = np.concatenate([[0], ends[:-1] + 1])
    left = np.column_stack([starts, between + 1])
    right = np.column_stack([between, ends - (text[ends - 1] == RETURN)])
    if (left > right).any() or (left[:, 0] == right[:, -1]).any():
        return None
    return PlainBlock(data, first_line, delimiter, left, right)


@dataclass(frozen=True, slots=True)
class TextSource:
    """A file of delimited text, read as often as wanted.

    Attributes
    ----------
    file : binary file
        Seekable.
    name : str
        What messages call it.
    delimiter : str
    columns : list of str
        Names in the header.
    """

    file: BinaryIO
    name: str
    delimiter: str
    columns: list[str]
    body: int
    first_line: int
    unit: str = "line"

    @classmethod
    def open(cls, file: BinaryIO, name: str, delimiter: str) -> TextSource:
        """Read the header; where it has one column, semicolons and tabs are tried, which spreadsheets write into .csv."""
        file.seek(0)
        head = _whole_record(file, file.readline())
        text = _decoded(head.removeprefix(b"\xef\xbb\xbf"), name, 1)
        found = {mark: _header(text, mark, name) for mark in (delimiter, *OTHER_DELIMITERS)}
        if len(found[delimiter]) == 1:
            delimiter = max(found, key=lambda mark: len(found[mark]))
        if not found[delimiter]:
            raise InputError(f"{name}: no header; the first line must name the columns")
        return cls(file, name, delimiter, found[delimiter], file.tell(), 1 + head.count(b"\n"))

    def blocks(self) -> Iterator[PlainBlock | QuotedBlock]:
        """Blocks of whole records, from the first one on; one empty block if there are none."""
        self.file.seek(self.body)
        line, width = self.first_line, len(self.columns)
        data = self.file.read(BLOCK_BYTES)
        if not data:
            yield QuotedBlock([], [], [])
        while data:
            data = _whole_record(self.file, data + self.file.readline())
            if not data.endswith(b"\n"):
                data += b"\n"
            text = _decoded(data, self.name, line)
            plain = _plain(data, line, self.delimiter, width)
            yield plain if plain is not None else self._quoted(text, line)
            line += data.count(b"\n")
            data = self.file.read(BLOCK_BYTES)

    def _quoted(self, text: str, first_line: int) -> QuotedBlock:
        lines = [piece + "\n" for piece in text.split("\n")[:-1]]
        block = QuotedBlock([], [], [])
        reader, start = csv.reader(iter(lines), delimiter=self.delimiter), 0
        try:
            with _any_length(text):
                for row in reader:
                    if row:
                        self._check(row, first_line + start)
                        block.texts.append("".join(lines[start : reader.line_num])[:-1].removesuffix("\r"))
                        block.rows.append(row)
                        block.lines.append(first_line + start)
                    start = reader.line_num
        except csv.Error as error:
            raise _refused(self.name, first_line + reader.line_num - 1, error) from error
        return block

    def _check(self, row: Sequence[str], line: int) -> None:
        if len(row) != len(self.columns):
            raise InputError(
                f"{self.name}, line {line}: {len(row)} fields, expected {len(self.columns)} as in the header"
            )


def _header(text: str, delimiter: str, name: str) -> list[str]:
    try:
        with _any_length(text):
            return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error as error:
        raise _refused(name, 1, error) from error


def _refused(name: str, line: int, error: csv.Error) -> InputError:
    """The ``csv`` module's message, or ours where it speaks of how to open files in Python."""
    lone = "new-line character" in str(error)
    why = "a carriage return alone ends no line; convert line ends to LF or CRLF" if lone else str(error)
    return InputError(f"{name}, line {line}: {why}")


@contextlib.contextmanager
def _any_length(text: str) -> Iterator[None]:
    """Let a field be as long as the text: the ``csv`` module refuses more than 131,072 characters."""
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, len(text)))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _whole_record(file: BinaryIO, data: bytes) -> bytes:
    """Read on until quotes are closed: a quoted field may hold line ends."""
    pieces, odd = [data], data.count(b'"') % 2
    while odd and (more := file.readline()):
        pieces.append(more)
        odd ^= more.count(b'"') % 2
    return b"".join(pieces)


def _decoded(data: bytes, name: str, first_line: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        raise InputError(f"{name}, line {line}: not UTF-8 (byte {data[error.start]:#04x}); convert it first") from error
