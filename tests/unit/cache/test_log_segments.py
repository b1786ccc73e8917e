"""Log segments: what was appended is scanned in order; damage costs itself, and a hole is no damage."""

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
from fanwise.cache._log import MIB, Segments, aligned, segment_size
from fanwise.cache._records import MAGIC, Record, pack


def record(number: int, size: int = 10) -> Record:
    return Record(number.to_bytes(16, "little"), 1.0, math.inf, 0, 0, "app:f", b"", bytes([number % 251 + 1]) * size)


def fill(segments: Segments, records: Sequence[Record], number: int = 1, start: int = 0) -> list[int]:
    """Append records, and tell where each begins."""
    if not segments.room(number):
        segments.create(number)
    offsets = []
    for each in records:
        data = pack(each)
        segments.append(number, start, data)
        offsets.append(start)
        start += aligned(len(data))
    return offsets


def numbers(segments: Segments, number: int = 1) -> list[int]:
    """The keys that a scan finds."""
    return [int.from_bytes(f.record.key, "little") for f in segments.scan(number) if f.record is not None]


def whys(segments: Segments, number: int = 1) -> list[str]:
    return [found.why for found in segments.scan(number) if found.record is None and found.why]


def overwrite(place: Path, at: int, data: bytes, number: int = 1) -> None:
    with (place / Segments.name(number)).open("r+b") as file:
        file.seek(at)
        file.write(data)


@given(st.integers(0, 2**40))
def test_a_segment_is_a_thirty_second_of_the_limit_in_whole_mebibytes_within_bounds(limit: int) -> None:
    size = segment_size(limit)
    assert size % MIB == 0
    assert MIB <= size <= 64 * MIB
    assert size in {MIB, 64 * MIB} or size <= limit / 32 < size + MIB


@given(st.integers(0, 2**32))
def test_records_begin_at_the_next_multiple_of_eight(length: int) -> None:
    assert aligned(length) % 8 == 0
    assert 0 <= aligned(length) - length < 8


class TestAppending:
    def test_what_was_appended_is_scanned_in_order(self, segments: Segments) -> None:
        wanted = [record(number, size) for number, size in enumerate([0, 1, 7, 8, 9, 1000])]
        offsets = fill(segments, wanted)
        found = [each for each in segments.scan(1) if each.record is not None]
        assert [each.offset for each in found] == offsets
        assert [each.record._replace(payload=bytes(each.record.payload)) for each in found if each.record] == wanted

    def test_the_rest_of_a_segment_is_one_hole(self, segments: Segments) -> None:
        (offset,) = fill(segments, [record(1)])
        end = offset + aligned(len(pack(record(1))))
        assert [(f.offset, f.length, f.why) for f in segments.scan(1) if f.record is None] == [(end, MIB - end, "")]

    def test_an_empty_segment_is_a_hole_and_takes_no_space(self, segments: Segments, place: Path) -> None:
        segments.create(1)
        assert [(f.offset, f.length, f.record, f.why) for f in segments.scan(1)] == [(0, MIB, None, "")]
        assert (place / "log-00000001").stat().st_blocks == 0

    def test_a_scan_may_end_early(self, segments: Segments) -> None:
        offsets = fill(segments, [record(number) for number in range(5)])
        assert len([f for f in segments.scan(1, offsets[3]) if f.record]) == 3
        assert list(segments.scan(1, 0)) == []

    def test_a_number_that_is_taken_is_passed_over(self, segments: Segments) -> None:
        assert [segments.create(3), segments.create(3), segments.create(4)] == [3, 4, 5]
        assert segments.numbers() == [3, 4, 5]

    def test_appending_goes_on_in_a_segment_opened_again(self, segments: Segments, directory: Directory) -> None:
        offsets = fill(segments, [record(1)])
        with closing(Segments(directory, MIB)) as other:
            assert other.room(1) == MIB
            fill(other, [record(2)], start=offsets[-1] + aligned(len(pack(record(1)))))
            other.flush()
        assert numbers(segments) == [1, 2]

    def test_a_missing_segment_has_no_room_no_size_and_no_records(self, segments: Segments) -> None:
        assert segments.room(9) == 0
        assert segments.bytes_of(9) == 0
        assert segments.open(9) is None
        assert list(segments.scan(9)) == []

    def test_a_disk_too_full_for_a_segment_leaves_none(
        self, segments: Segments, directory: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "ftruncate", full)
        with pytest.raises(OSError, match="No space"):
            segments.create(1)
        assert directory.names() == ["CACHEDIR.TAG"]


class TestFiles:
    def test_only_names_of_segments_count_and_the_oldest_comes_first(self, segments: Segments, place: Path) -> None:
        for name in ("log-00000010", "log-00000002", "log-1234567890", "log-2", "log-00000003.bak", "xlog-00000004"):
            (place / name).touch(mode=0o600)
        assert segments.numbers() == [2, 10, 1_234_567_890]

    @pytest.mark.parametrize(
        ("number", "name"), [(1, "log-00000001"), (99_999_999, "log-99999999"), (10**9, "log-1000000000")]
    )
    def test_the_name_has_eight_digits_at_least(self, number: int, name: str) -> None:
        assert Segments.name(number) == name

    def test_an_empty_file_is_no_map(self, segments: Segments, place: Path) -> None:
        (place / "log-00000001").touch(mode=0o600)
        assert segments.open(1) is None
        assert list(segments.scan(1)) == []

    def test_removing_forgets_the_map_and_the_tail(self, segments: Segments) -> None:
        fill(segments, [record(1)])
        segments.open(1)
        segments.remove(1)
        assert segments.maps == {}
        assert segments.numbers() == []
        assert segments.room(1) == 0

    def test_maps_of_segments_that_others_removed_are_dropped(self, segments: Segments, place: Path) -> None:
        for number in (1, 2):
            segments.create(number)
            segments.open(number)
        (place / "log-00000001").unlink()
        segments.forget_gone()
        assert sorted(segments.maps) == [2]

    def test_no_more_than_a_bounded_number_of_removed_segments_stays_mapped(self, segments: Segments) -> None:
        for number in range(1, 100):
            segments.create(number)
            segments.open(number)
            if number > 3:
                os.unlink(Segments.name(number - 3), dir_fd=segments._directory.fd)
        assert len(segments.maps) <= 64

    def test_a_segment_deleted_by_hand_is_not_appended_to(self, segments: Segments, place: Path) -> None:
        segments.create(1)
        segments.close_if_gone()
        assert segments.room(1) == MIB
        (place / "log-00000001").unlink()
        segments.close_if_gone()
        assert segments.room(1) == 0

    def test_a_reset_forgets_what_was_mapped_under_old_numbers(self, segments: Segments, place: Path) -> None:
        fill(segments, [record(1)])
        segments.open(1)
        (place / "log-00000001").unlink()
        segments.reset()
        fill(segments, [record(2)])
        assert numbers(segments) == [2]


class TestDamage:
    @pytest.mark.parametrize("at", [0, 4, 8, 24, 40, 48, 56, 64, 72, 78])
    def test_a_damaged_record_costs_itself_alone(self, segments: Segments, place: Path, at: int) -> None:
        offsets = fill(segments, [record(number) for number in range(4)])
        overwrite(place, offsets[1] + at, b"\xee")
        assert numbers(segments) == [0, 2, 3]
        assert len(whys(segments)) == 1

    def test_damage_says_where_it_begins_and_reaches_to_the_next_record(self, segments: Segments, place: Path) -> None:
        offsets = fill(segments, [record(number) for number in range(4)])
        overwrite(place, offsets[1], b"\xee" * (offsets[3] - offsets[1]))
        (found,) = [each for each in segments.scan(1) if each.why]
        assert (found.offset, found.offset + found.length, found.why) == (offsets[1], offsets[3], "no valid record")

    def test_a_length_that_leads_astray_loses_no_later_record(self, segments: Segments, place: Path) -> None:
        offsets = fill(segments, [record(number) for number in range(4)])
        overwrite(place, offsets[0] + 4, (offsets[2] + 16).to_bytes(4, "little"))
        assert numbers(segments) == [1, 2, 3]

    def test_a_magic_inside_a_payload_is_no_record(self, segments: Segments, place: Path) -> None:
        tricky = record(1)._replace(payload=(MAGIC + bytes(4)) * 30)
        offsets = fill(segments, [tricky, record(2)])
        assert numbers(segments) == [1, 2]
        overwrite(place, offsets[0], b"XXXX")
        assert numbers(segments) == [2]

    def test_a_whole_record_inside_a_damaged_payload_is_found(self, segments: Segments, place: Path) -> None:
        """A scan cannot tell it from a record: keys of functions stand for their values, so nothing wrong comes of it."""
        inner = pack(record(7))
        outer = record(1)._replace(name="12345678", payload=inner)
        fill(segments, [outer, record(2)])
        overwrite(place, 0, b"XXXX")
        assert numbers(segments) == [7, 2]

    def test_a_zeroed_record_is_a_hole_before_the_next(self, segments: Segments, place: Path) -> None:
        offsets = fill(segments, [record(number) for number in range(3)])
        overwrite(place, offsets[1], bytes(offsets[2] - offsets[1]))
        holes = [(f.offset, f.offset + f.length) for f in segments.scan(1) if f.record is None and not f.why]
        assert numbers(segments) == [0, 2]
        assert holes[0] == (offsets[1], offsets[2])

    @pytest.mark.parametrize("cut", [0, 1, 8, 70, 80])
    def test_a_cut_file_keeps_the_records_before_the_cut(self, segments: Segments, place: Path, cut: int) -> None:
        offsets = fill(segments, [record(number) for number in range(3)])
        segments.close()
        os.truncate(place / "log-00000001", offsets[2] + cut)
        assert numbers(segments) == [0, 1]

    def test_noise_after_the_last_record_is_damage(self, segments: Segments, place: Path) -> None:
        fill(segments, [record(1)])
        overwrite(place, MIB // 2, b"noise")
        assert numbers(segments) == [1]
        assert whys(segments) == ["no valid record"]

    def test_a_record_far_behind_a_hole_is_found(self, segments: Segments, directory: Directory) -> None:
        with closing(Segments(directory, 8 * MIB)) as wide:
            wide.create(2)
            wide.append(2, 7 * MIB + 8, pack(record(5)))
            assert [(f.offset, f.why) for f in wide.scan(2) if f.record] == [(7 * MIB + 8, "")]
            assert whys(wide, 2) == []


@settings(max_examples=40)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=12), st.data())
def test_whatever_is_overwritten_only_records_it_touches_are_lost(sizes: list[int], data: st.DataObject) -> None:
    with (
        TemporaryDirectory() as path,
        closing(Directory.at(path, given=True, label="d")) as directory,
        closing(Segments(directory, MIB)) as segments,
    ):
        offsets = fill(segments, [record(number, size) for number, size in enumerate(sizes)])
        ends = [
            offset + len(pack(record(n, size))) for n, (offset, size) in enumerate(zip(offsets, sizes, strict=True))
        ]
        at = data.draw(st.integers(0, ends[-1] - 1))
        noise = data.draw(st.binary(min_size=1, max_size=200).filter(lambda noise: MAGIC not in noise))
        overwrite(Path(path), at, noise)
        whole = {
            n for n, (start, end) in enumerate(zip(offsets, ends, strict=True)) if end <= at or start >= at + len(noise)
        }
        found = numbers(segments)
        assert whole <= set(found) <= set(range(len(sizes)))
        assert found == sorted(found)
        assert sum(aligned(each.length) for each in segments.scan(1)) == MIB
