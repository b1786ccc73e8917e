"""What a log says when its index is lost: later records win, the dead stay dead, doubt costs what `put` wrote."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.cache._directory import Directory
from fanwise.cache._log import MIB, Segments, aligned
from fanwise.cache._rebuild import collect
from fanwise.cache._records import MUTABLE, TOMBSTONE, Record, pack

PUT, COMPUTED, DELETED = MUTABLE, 0, TOMBSTONE | MUTABLE


def write(segments: Segments, steps: Sequence[tuple[str, int]], number: int = 1) -> list[int]:
    """One record for each ``(key, flags)``; where they begin."""
    segments.create(number)
    at, offsets = 0, []
    for place, (key, flags) in enumerate(steps):
        data = pack(Record(key.encode() * 16, float(place), math.inf, flags, 0, "app:f", b"", b"x" * place))
        segments.append(number, at, data)
        offsets.append(at)
        at += aligned(len(data))
    return offsets


def live(segments: Segments) -> str:
    return "".join(sorted(slot.key[:1].decode() for slot in collect(segments).slots))


def spoil(place: Path, at: int, number: int = 1) -> None:
    with (place / Segments.name(number)).open("r+b") as file:
        file.seek(at + 50)
        file.write(b"\xee")


def test_no_log_is_nothing(segments: Segments) -> None:
    assert collect(segments) == ([], 0, 0)


def test_slots_point_to_their_records(segments: Segments) -> None:
    offsets = write(segments, [("a", PUT), ("b", COMPUTED)])
    found = collect(segments)
    assert [(slot.key[:1], slot.segment, slot.offset, slot.flags, slot.created) for slot in found.slots] == [
        (b"a", 1, offsets[0], PUT, 0.0),
        (b"b", 1, offsets[1], COMPUTED, 1.0),
    ]
    assert found.last == 1
    assert found.size == offsets[1] + aligned(found.slots[1].length)


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        ([("a", PUT), ("a", PUT)], "a"),
        ([("a", PUT), ("a", DELETED)], ""),
        ([("a", PUT), ("a", DELETED), ("a", PUT)], "a"),
        ([("a", DELETED)], ""),
        ([("a", COMPUTED), ("b", PUT), ("a", DELETED)], "b"),
        ([("a", COMPUTED), ("b", DELETED), ("b", COMPUTED), ("a", COMPUTED)], "ab"),
    ],
    ids=["replaced", "deleted", "stored again", "deleted before", "one of two", "both"],
)
def test_the_last_word_on_a_key_counts(segments: Segments, steps: list[tuple[str, int]], wanted: str) -> None:
    write(segments, steps)
    assert live(segments) == wanted


def test_a_later_segment_wins_and_the_slot_points_there(segments: Segments) -> None:
    write(segments, [("a", PUT), ("b", PUT)], number=1)
    write(segments, [("b", PUT), ("a", DELETED)], number=2)
    (slot,) = collect(segments).slots
    assert (slot.key[:1], slot.segment, slot.offset) == (b"b", 2, 0)


def test_damage_costs_what_put_wrote_before_it_and_nothing_after(segments: Segments, place: Path) -> None:
    offsets = write(segments, [("a", PUT), ("b", COMPUTED), ("x", PUT), ("c", PUT), ("d", COMPUTED)])
    spoil(place, offsets[2])
    assert live(segments) == "bcd"


def test_damage_of_a_computed_entry_costs_the_same(segments: Segments, place: Path) -> None:
    """What was damaged cannot be told: it may have been a tombstone."""
    offsets = write(segments, [("a", PUT), ("x", COMPUTED), ("b", PUT)])
    spoil(place, offsets[1])
    assert live(segments) == "b"


def test_damage_in_an_earlier_segment_leaves_later_ones_alone(segments: Segments, place: Path) -> None:
    offsets = write(segments, [("a", PUT), ("x", PUT)], number=1)
    write(segments, [("b", PUT)], number=2)
    spoil(place, offsets[1])
    assert live(segments) == "b"


def test_a_missing_segment_is_damage_between_its_neighbours(segments: Segments) -> None:
    for number, steps in enumerate([[("a", PUT), ("b", COMPUTED)], [("a", DELETED)], [("c", PUT)]], start=1):
        write(segments, steps, number)
    segments.remove(2)
    assert live(segments) == "bc"


def test_missing_first_segments_were_evicted_and_are_no_damage(segments: Segments) -> None:
    write(segments, [("a", PUT)], number=5)
    write(segments, [("b", PUT)], number=6)
    assert live(segments) == "ab"
    assert collect(segments).last == 6


def test_a_hole_between_records_is_damage_and_one_at_the_end_is_not(segments: Segments, place: Path) -> None:
    """A record that never reached the disk before a power cut is a hole."""
    offsets = write(segments, [("a", PUT), ("x", PUT), ("b", PUT)])
    assert live(segments) == "abx"
    with (place / "log-00000001").open("r+b") as file:
        file.seek(offsets[1])
        file.write(bytes(offsets[2] - offsets[1]))
    assert live(segments) == "b"


def test_a_cut_segment_is_damage(segments: Segments, place: Path) -> None:
    write(segments, [("a", PUT), ("b", COMPUTED)])
    segments.close()
    os.truncate(place / "log-00000001", MIB - 8)
    assert live(segments) == "b"


def test_a_segment_cut_to_nothing_is_damage_to_those_before_it(segments: Segments, place: Path) -> None:
    write(segments, [("a", PUT)], number=1)
    write(segments, [("a", DELETED), ("b", COMPUTED)], number=2)
    segments.close()
    os.truncate(place / "log-00000002", 0)
    assert live(segments) == ""


steps = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([PUT, COMPUTED, DELETED])), min_size=1, max_size=20)


@settings(max_examples=40)
@given(steps, st.integers(0, 20), st.integers(0, 20))
def test_a_log_reads_like_a_dictionary_and_doubt_never_brings_back_an_old_value(
    steps: list[tuple[str, int]], border: int, spoiled: int
) -> None:
    """Whatever the order of stores and deletions, in one segment or two, whole or with one record damaged."""
    model: dict[str, int] = {}
    for place, (key, flags) in enumerate(steps):
        model.pop(key, None)
        if flags != DELETED:
            model[key] = place
    with (
        TemporaryDirectory() as path,
        closing(Directory.at(path, given=True, label="d")) as directory,
        closing(Segments(directory, MIB)) as segments,
    ):
        parts = [(0, steps[:border]), (border, steps[border:])]
        starts = [write(segments, part, number) for number, (_, part) in enumerate(parts, start=1)]
        found = {slot.key[:1].decode() for slot in collect(segments).slots}
        assert found == model.keys()
        if spoiled >= len(steps):
            return
        number = 1 if spoiled < border else 2
        spoil(Path(path), starts[number - 1][spoiled - parts[number - 1][0]], number)
        kept = {slot.key[:1].decode(): slot for slot in collect(segments).slots}
        assert all(key in kept for key, place in model.items() if place > spoiled)
        assert not [key for key, slot in kept.items() if slot.flags & MUTABLE and key not in model]
