"""The structure of stored values: whole or refused, with no length believed that the payload does not bear out."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.cache._values import ALIGN, DEPTH, Reader, Unstorable, Writer, damaged
from fanwise.errors import CacheError


def write_int(writer: Writer, value: int) -> None:
    writer.out += b"i"
    writer.number(value)


def write_raw(writer: Writer, value: bytes) -> None:
    writer.out += b"r"
    writer.buffer(value)


def write_text(writer: Writer, value: str) -> None:
    writer.out += b"s"
    writer.framed(value.encode("utf-8", "surrogatepass"))


def write_list(writer: Writer, value: list[Any]) -> None:
    if writer.begin(b"l", value):
        writer.number(len(value))
        for item in value:
            writer.value(item)
        writer.end(value)


def read_list(reader: Reader) -> list[Any]:
    place = reader.begin()
    return reader.end(place, [reader.value() for _ in range(reader.count())])


WRITERS = {int: write_int, bytes: write_raw, str: write_text, list: write_list}
READERS: dict[bytes, Callable[[Reader], Any]] = {
    b"i": Reader.number,
    b"r": lambda reader: bytes(reader.buffer()),
    b"s": Reader.text,
    b"l": read_list,
}


def written(value: Any) -> bytes:
    writer = Writer(WRITERS)
    writer.value(value)
    return b"".join(writer.parts())


def read(payload: bytes) -> Any:
    return Reader(payload, READERS).whole()


def payload(structure: bytes, rest: bytes = b"") -> bytes:
    return struct.pack("<I", len(structure)) + structure + rest


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


leaves = st.integers(0, 2**64 - 1) | st.binary(max_size=100) | st.text(st.characters(), max_size=10)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=5), max_leaves=20)


class TestRoundTrip:
    @given(values)
    def test_what_was_written_is_read(self, value: Any) -> None:
        assert read(written(value)) == value

    @given(st.lists(st.binary(max_size=200), max_size=6))
    def test_buffers_begin_at_multiples_of_64(self, buffers: list[bytes]) -> None:
        writer = Writer(WRITERS)
        writer.value(buffers)
        at = 0
        for part in writer.parts():
            if any(part is each for each in buffers) and part:
                assert at % ALIGN == 0
            at += len(part)

    def test_what_a_value_holds_twice_is_one_object_again(self) -> None:
        inner = [1]
        copy = read(written([inner, inner, [1]]))
        assert copy == [[1], [1], [1]]
        assert copy[0] is copy[1]
        assert copy[0] is not copy[2]

    def test_an_object_that_ends_while_writing_is_not_taken_for_the_next_at_its_place(self) -> None:
        def fresh(writer: Writer, value: int) -> None:
            write_list(writer, [str(value)])

        writer = Writer({**WRITERS, int: fresh})
        writer.value([1, 2, 3, 4])
        assert read(b"".join(writer.parts())) == [["1"], ["2"], ["3"], ["4"]]

    @pytest.mark.parametrize("text", ["", "é", "e\u0301", "\ud800", "\0", "𝄞"], ids=ascii)
    def test_text_is_what_it_was_in_every_code_point(self, text: str) -> None:
        assert read(written(text)) == text

    def test_a_buffer_is_a_view_of_the_payload(self) -> None:
        data = bytearray(written(b"x" * 100))
        view = Reader(data, {b"r": Reader.buffer}).whole()
        data[-1] = ord("y")
        assert bytes(view) == b"x" * 99 + b"y"


class TestUnstorable:
    @pytest.mark.parametrize("value", [1.5, {}, (1,), None, True, bytearray(b"x")], ids=repr)
    def test_a_type_without_a_writer_is_named(self, value: Any) -> None:
        with pytest.raises(Unstorable, match=type(value).__name__) as caught:
            written([1, [value]])
        assert caught.value.culprit is value

    def test_a_subclass_is_not_flattened(self) -> None:
        class Mine(list[int]):
            pass

        with pytest.raises(Unstorable, match="Mine"):
            written([Mine([1])])

    def test_what_contains_itself_is_refused(self) -> None:
        value: list[Any] = [1]
        value.append([value])
        with pytest.raises(Unstorable) as caught:
            written(value)
        assert caught.value.culprit is value

    @pytest.mark.parametrize(("depth", "fits"), [(1, True), (DEPTH, True), (DEPTH + 1, False), (5_000, False)])
    def test_depth_has_a_bound_that_writer_and_reader_share(self, depth: int, fits: bool) -> None:
        if fits:
            assert read(written(nested(depth))) == nested(depth)
        else:
            with pytest.raises(Unstorable):
                written(nested(depth))


class TestDamage:
    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"", "too short"),
            (b"\1\0\0", "too short"),
            (payload(b""), "cut off"),
            (struct.pack("<I", 10) + b"i", "the structure is longer than the payload"),
            (b"\xff\xff\xff\xff" + b"i" * 20, "the structure is longer than the payload"),
            (payload(b"z"), "unknown tag b'z'"),
            (payload(b"i"), "cut off"),
            (payload(b"i" + bytes(7)), "cut off"),
            (payload(b"i" + bytes(9)), "bytes after the value"),
            (payload(b"s" + struct.pack("<Q", 2**63)), "cut off"),
            (payload(b"l" + struct.pack("<Q", 2)), "more values than bytes"),
            (payload(b"l" + struct.pack("<Q", 2**64 - 1) + b"i" * 50), "more values than bytes"),
            (payload(b"&" + bytes(8)), "a reference to nothing"),
            (payload(b"l" + struct.pack("<Q", 1) + b"&" + bytes(8)), "a reference to nothing"),
            (payload(b"r" + struct.pack("<QQ", 0, 1)), "a buffer outside the payload"),
            (payload(b"r" + struct.pack("<QQ", 2**63, 2**63)), "a buffer outside the payload"),
            (payload(b"r" + struct.pack("<QQ", 1, 1), bytes(200)), "a buffer outside the payload"),
            (payload((b"l" + struct.pack("<Q", 1)) * 201 + b"i" + bytes(8)), "nested too deep"),
        ],
        ids=[
            *("nothing", "half a length", "no structure", "cut structure", "a hostile length", "an unknown tag"),
            *("no number", "half a number", "a byte too many", "a hostile text", "too few items", "a hostile count"),
            *("no object", "itself", "no buffer", "a hostile place", "a place that is not aligned", "too deep"),
        ],
    )
    def test_a_payload_that_cannot_be_is_said_to_be_damaged(self, data: bytes, why: str) -> None:
        with pytest.raises(CacheError) as caught:
            read(data)
        assert str(caught.value) == f"damaged cache entry: {why}"

    @given(values, st.data())
    def test_every_beginning_of_a_payload_is_damaged(self, value: Any, data: st.DataObject) -> None:
        whole = written(value)
        cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
        if read_or_none(cut) is not None:
            assert read(cut) == value  # an empty buffer at the end has padding before it and nothing in it

    @given(st.binary(max_size=300))
    def test_arbitrary_bytes_are_a_value_or_damaged_and_nothing_else(self, data: bytes) -> None:
        read_or_none(data)
        read_or_none(payload(data))

    @given(values, st.data())
    def test_a_changed_byte_is_another_value_or_damage(self, value: Any, data: st.DataObject) -> None:
        raw = bytearray(written(value))
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        read_or_none(bytes(raw))

    def test_the_error_says_that_it_is_the_entrys_fault(self) -> None:
        assert isinstance(damaged("x"), CacheError)
        assert str(damaged("x")) == "damaged cache entry: x"


def read_or_none(data: bytes) -> Any:
    """The value; None where the reader says that there is none (text of no code point is the codec's to catch)."""
    try:
        return read(data)
    except (CacheError, UnicodeDecodeError):
        return None
