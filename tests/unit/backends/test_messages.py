"""Chunks and results as payloads, there and back; and damaged ones."""

from __future__ import annotations

import pickle
import struct
import threading
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.backends._execution import Failure, Streak
from fanwise.backends.process._crew import _GARBLED
from fanwise.backends.process._messages import (
    BARE_CHUNK,
    LAST,
    SECTIONS,
    Results,
    decode_attachments,
    decode_bare_results,
    decode_chunk,
    decode_results,
    encode_attachments,
    encode_bare_results,
    encode_chunk,
    encode_results,
)
from fanwise.backends.process._pickling import Packed, dumps
from fanwise.backends.process._wire import Frame, Kind
from fanwise.errors import NotPicklableError
from fanwise.records.chunks import ChunkStats
from fanwise.records.outcomes import Batch, Failed, Said
from fanwise.typing import Attachment


def frame(parts: list[Any] | bytes, flags: int = SECTIONS, fds: list[int] | None = None) -> Frame:
    payload = parts if isinstance(parts, bytes) else b"".join(parts)
    return Frame(Kind.RESULTS, flags, 7, memoryview(bytearray(payload)), fds or [])


def streak(first: int, values: list[Any], seconds: list[float]) -> Streak:
    made = Streak(first)
    made.values = values
    for each in seconds:
        made.note(each, 1, block=False)
    return made


def test_a_bare_chunk_is_one_range() -> None:
    head = decode_chunk(frame(BARE_CHUNK.pack(3, 2, 10, 5) + pickle.dumps([1]), flags=0))
    assert (head.function, head.attempt) == (3, 2)
    ((first, items, section),) = head.ranges
    assert (first, items) == (10, 5)
    assert section is not None
    assert pickle.loads(section.data) == [1]


def test_a_bare_chunk_without_a_pickle_is_inherited() -> None:
    head = decode_chunk(frame(BARE_CHUNK.pack(3, 2, 10, 5), flags=0))
    assert head.ranges == [(10, 5, None)]


def test_a_chunk_may_have_several_ranges_with_buffers() -> None:
    packs = [Packed(pickle.dumps("a")), dumps(pickle.PickleBuffer(bytearray(10_000)), main_by_value=False)]
    head = decode_chunk(frame(encode_chunk(3, 1, [(0, 2), (5, 1)], packs)))
    assert [(r.first, r.items) for r in head.ranges] == [(0, 2), (5, 1)]
    assert [len(r.section.buffers) for r in head.ranges if r.section is not None] == [0, 1]


def test_attachments_are_matched_with_their_descriptors() -> None:
    sent = [Attachment(b"0123456789abcdef", 3, 100), Attachment(b"fedcba9876543210", 4, 1 << 40)]
    got = decode_attachments(frame(encode_attachments(sent), fds=[30, 40]))
    assert got == [Attachment(b"0123456789abcdef", 30, 100), Attachment(b"fedcba9876543210", 40, 1 << 40)]


STATS = ChunkStats(0.5, 0.25, 0.125, 10, 20, 30, 0.5, (3.0, 0.25))


def test_results_of_all_kinds_come_back_in_order() -> None:
    results = Results(10, 2)
    results.add(streak(10, ["a", "b"], [0.5, 0.25]))
    results.add(Failure(12, ValueError("bad"), 0.125))
    results.add(streak(13, [[1], threading.Lock(), {1j}], [1.0, 2.0, 3.0]))
    results.say([(10, "stdout", "x"), (12, "stderr", "y"), (15, "log", {"msg": "z"})])
    settled, stats = decode_results(frame(encode_results(results, STATS), SECTIONS | LAST), 99, 10)
    assert stats == STATS
    ok, failed, first, second, third = settled
    assert ok == Batch(10, ["a", "b"], (0.5, 0.25), 99, 2, (Said(10, "stdout", "x"),))
    assert isinstance(failed, Failed)
    assert (failed.index, type(failed.error), failed.seconds, failed.attempts) == (12, ValueError, 0.125, 2)
    assert failed.said == (Said(12, "stderr", "y"),)
    assert first == Batch(13, [[1]], 1.0, 99, 2)
    assert isinstance(second, Failed)
    assert type(second.error) is NotPicklableError
    assert "the result is a _thread.lock" in str(second.error)
    assert third == Batch(15, [{1j}], 3.0, 99, 2, (Said(15, "log", {"msg": "z"}),))


def test_statistics_come_without_results_too() -> None:
    assert decode_results(frame(encode_results(Results(0, 1), STATS)), None, 0) == ((), STATS)


def test_results_in_between_have_no_statistics() -> None:
    results = Results(0, 1)
    results.add(streak(0, [1], [0.5]))
    assert decode_results(frame(encode_results(results, None)), None, 1) == ((Batch(0, [1], 0.5, None, 1),), None)


def test_a_value_that_fails_to_load_is_one_failure() -> None:
    results = Results(0, 1)
    results.add(streak(0, [Refuses(), [2]], [0.5, 0.25]))
    settled, _ = decode_results(frame(encode_results(results, None)), 9, 5)
    assert isinstance(settled[0], Failed)
    assert type(settled[0].error) is NotPicklableError
    assert type(settled[0].error.__cause__) is ZeroDivisionError
    assert settled[1] == Batch(1, [[2]], 0.25, 9, 1)


class Refuses:
    def __reduce__(self) -> Any:
        return divmod, (1, 0)


def test_results_pickled_singly_come_as_one_batch() -> None:
    results = Results(0, 1)
    results.add(streak(0, [Pair(1), Pair(2), Pair(3)], [0.5, 0.25, 0.125]))
    results.add(streak(3, ["plain", "text"], [1.0, 2.0]))
    results.say([(1, "stdout", "x"), (4, "stdout", "y")])
    (batch,), _ = decode_results(frame(encode_results(results, None)), 9, 5)
    assert isinstance(batch, Batch)
    assert batch.values == [Pair(1), Pair(2), Pair(3), "plain", "text"]
    assert batch.seconds == (0.5, 0.25, 0.125, 1.0, 2.0)
    assert [(o.index, o.output) for o in batch.outcomes()] == [(0, ""), (1, "x"), (2, ""), (3, ""), (4, "y")]


@dataclass
class Pair:
    x: int


def test_bare_results_are_a_batch_with_its_statistics() -> None:
    counted = ChunkStats(1.0, 0.5, 0.125, 10, 20, 30, 0.5, (2.0, 0.75))
    for stats in (counted, replace(counted, counts=())):
        for spread in (0.25, (0.125, 0.125, 0.25, 0.5)):
            payload = encode_bare_results((10, 2, 4), spread, stats, pickle.dumps([1, 2, 3, 4]))
            decoded = decode_bare_results(memoryview(payload), 9)
            assert decoded == ((Batch(10, [1, 2, 3, 4], spread, 9, 2),), stats)


def test_only_one_plain_small_batch_is_bare() -> None:
    results = Results(0, 1)
    assert results.bare() is None
    results.add(streak(0, [1, 2], [0.5, 0.5]))
    assert pickle.loads(results.bare() or b"") == [1, 2]
    results.add(streak(2, [3], [0.5]))
    assert results.bare() is None
    large = Results(0, 1)
    large.add(streak(0, [b"x" * 70_000], [0.5]))
    assert large.bare() is None


def test_more_results_than_a_chunk_has_items_are_no_frame() -> None:
    results = Results(0, 1)
    results.add(streak(0, [1, 2, 3], [0.5] * 3))
    with pytest.raises(ValueError, match="more than the 2 results"):
        decode_results(frame(encode_results(results, None)), 9, 2)


@given(st.data())
def test_damaged_results_are_told_from_good_ones(data: st.DataObject) -> None:
    """Whatever is wrong with a frame, the coordinator knows the error as one of a frame."""
    results = Results(0, 1)
    results.add(streak(0, ["a", 2.5], [0.5, 0.25]))
    results.add(Failure(2, ValueError("bad"), 0.125))
    payload = bytearray(b"".join(encode_results(results, STATS)))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(payload)))
    for damaged in (payload, payload[:cut]):
        try:
            decode_results(frame(bytes(damaged), SECTIONS), 1, 3)
        except (*_GARBLED, struct.error, RecursionError):
            continue


@pytest.mark.parametrize(("kind", "items"), [(0, 3), (0, 2**32 - 1), (1, 2), (1, 2**32 - 1)])
def test_a_number_of_results_that_have_no_room_is_damage(kind: int, items: int) -> None:
    """And is found out before a record is made for each."""
    results = Results(0, 1)
    if kind == 0:
        results.add(streak(0, ["a", 2.5], [0.5, 0.5]))
    else:
        results.add(Failure(0, ValueError("bad"), 0.5))
    results.heads[0] = struct.pack("<IId", kind, items, 0.5)
    with pytest.raises(ValueError, match=f"{items} results are announced"):
        decode_results(frame(b"".join(encode_results(results, None)), SECTIONS), 1, 2**40)


@given(st.binary(max_size=300), st.integers(0, 200), st.sampled_from([0.5, (0.5, 0.25)]))
def test_damaged_bare_results_are_told_from_good_ones(tail: bytes, cut: int, spread: float | tuple[float, ...]) -> None:
    payload = encode_bare_results((0, 1, 2), spread, STATS, tail)
    for damaged in (payload, payload[:cut], payload[:76] + tail, tail):
        try:
            decode_bare_results(memoryview(damaged), 1)
        except _GARBLED:
            continue


def test_more_numbers_than_there_is_room_for_are_damage() -> None:
    forged = struct.pack("<QIIIddddQQQ", 0, 1, 2**32 - 1, 2**32 - 1, float("nan"), *[0.0] * 3, *[0] * 3)
    with pytest.raises(ValueError, match=r"8589934590 numbers are announced in a payload of 76 bytes"):
        decode_bare_results(memoryview(forged), 1)
