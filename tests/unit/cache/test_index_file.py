"""The index file: slots are found within reach, damage is nothing, and only a file that is what it says is opened."""

from __future__ import annotations

import os
import struct
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.cache._directory import Directory
from fanwise.cache._index import EMPTY, HEADER_BYTES, PROBES, SLOT_BYTES, Index, Slot, Tail, parse_slot

SLOTS = 128


def key_at(home: int, number: int = 0) -> bytes:
    """A key whose search begins at a slot; ``number`` tells keys of one home apart."""
    return struct.pack("<QQ", home | 1 << 40, number + 1)


def slot_of(key: bytes, offset: int = 0) -> Slot:
    return Slot(key, 1, offset, 100, 0, float("inf"), 1_000.0)


def damage(place: Path, at: int, data: bytes = b"\xff") -> None:
    with (place / "index").open("r+b") as file:
        file.seek(at)
        file.write(data)


u32 = st.integers(0, 2**32 - 1)
slots = st.builds(
    Slot,
    st.binary(min_size=16, max_size=16),
    u32,
    u32,
    u32,
    u32,
    st.floats(allow_nan=False),
    st.floats(allow_nan=False),
)


class TestSlots:
    @given(slots)
    def test_what_was_packed_is_parsed(self, slot: Slot) -> None:
        data = slot.pack()
        assert len(data) == SLOT_BYTES
        assert parse_slot(data) == slot

    @given(slots, st.integers(0, SLOT_BYTES * 8 - 1))
    def test_a_changed_bit_is_no_slot(self, slot: Slot, bit: int) -> None:
        data = bytearray(slot.pack())
        data[bit // 8] ^= 1 << bit % 8
        assert parse_slot(bytes(data)) is None

    @given(slots, slots, st.integers(1, SLOT_BYTES - 1))
    def test_half_of_one_and_half_of_another_is_no_slot(self, one: Slot, two: Slot, cut: int) -> None:
        torn = one.pack()[:cut] + two.pack()[cut:]
        assert torn in {one.pack(), two.pack()} or parse_slot(torn) is None

    def test_an_empty_slot_is_none(self, index: Index) -> None:
        assert index.slot(5) is None
        assert index.raw(5) == EMPTY
        assert list(index.slots()) == []

    def test_a_written_slot_is_found_by_its_key_and_a_cleared_one_is_not(self, index: Index) -> None:
        slot = slot_of(key_at(9))
        index.write_slot(9, slot)
        assert index.find(slot.key) == (9, slot)
        assert list(index.slots()) == [(9, slot)]
        index.clear_slot(9)
        assert index.find(slot.key) is None

    def test_a_damaged_slot_is_listed_as_none_and_found_as_a_place_only(self, index: Index, place: Path) -> None:
        slot = slot_of(key_at(9))
        index.write_slot(9, slot)
        damage(place, HEADER_BYTES + 9 * SLOT_BYTES + 20)
        assert index.places(slot.key) == [9]
        assert index.find(slot.key) is None
        assert list(index.slots()) == [(9, None)]

    def test_a_key_that_lies_across_two_slots_is_not_found(self, index: Index, place: Path) -> None:
        key = key_at(9)
        damage(place, HEADER_BYTES + 9 * SLOT_BYTES + 8, key)
        assert index.places(key) == []


class TestProbing:
    def test_the_first_free_slot_from_home_on_is_taken(self, index: Index) -> None:
        taken = []
        for number in range(5):
            place = index.free_place(key_at(20, number))
            assert place is not None
            index.write_slot(place, slot_of(key_at(20, number)))
            taken.append(place)
        assert taken == [20, 21, 22, 23, 24]

    def test_the_search_goes_round_the_end_of_the_table(self, index: Index) -> None:
        keys = [key_at(SLOTS - 2, number) for number in range(4)]
        for key in keys:
            place = index.free_place(key)
            assert place is not None
            index.write_slot(place, slot_of(key))
        assert [found[0] for key in keys if (found := index.find(key))] == [126, 127, 0, 1]

    def test_after_64_slots_there_is_no_place(self, index: Index) -> None:
        for number in range(PROBES):
            index.write_slot(10 + number, slot_of(key_at(10, number)))
        assert index.free_place(key_at(10, 99)) is None
        assert index.free_place(key_at(11, 99)) == 10 + PROBES

    def test_a_cleared_slot_breaks_no_chain_and_is_taken_again(self, index: Index) -> None:
        for number in range(3):
            index.write_slot(30 + number, slot_of(key_at(30, number)))
        index.clear_slot(31)
        assert index.find(key_at(30, 2)) == (32, slot_of(key_at(30, 2)))
        assert index.free_place(key_at(30, 9)) == 31

    def test_a_damaged_slot_is_free_where_no_other_is(self, index: Index, place: Path) -> None:
        for number in range(PROBES):
            index.write_slot(30 + number, slot_of(key_at(30, number)))
        assert index.free_place(key_at(30, 99)) is None
        damage(place, HEADER_BYTES + 41 * SLOT_BYTES + 40)
        assert index.free_place(key_at(30, 99)) == 41
        index.clear_slot(50)
        assert index.free_place(key_at(30, 99)) == 50

    def test_of_two_slots_of_a_key_the_whole_one_counts(self, index: Index, place: Path) -> None:
        key = key_at(30)
        index.write_slot(30, slot_of(key, offset=1))
        index.write_slot(33, slot_of(key, offset=2))
        assert index.places(key) == [30, 33]
        damage(place, HEADER_BYTES + 30 * SLOT_BYTES + 40)
        assert index.find(key) == (33, slot_of(key, offset=2))

    def test_a_column_is_a_byte_of_each_of_64_slots_wherever_it_begins(self, index: Index) -> None:
        for at in range(SLOTS):
            index.write_slot(at, slot_of(key_at(at)))
        for home in range(SLOTS):
            wanted = bytes(index.raw((home + step) % SLOTS)[57] for step in range(PROBES))
            assert index.column(home, 57) == wanted

    def test_a_table_smaller_than_a_window_is_searched_once(self, directory: Directory) -> None:
        Index.write(directory, 2, {at: slot_of(key_at(at)) for at in range(4)}, Tail(1, 0, 4, 0))
        small = Index.open(directory)
        assert small is not None
        with closing(small):
            assert small.free_place(key_at(1, 9)) is None
            assert [small.find(key_at(at)) for at in range(4)] == [(at, slot_of(key_at(at))) for at in range(4)]


class TestHeader:
    def test_a_new_index_holds_the_slots_and_tail_it_was_given(self, directory: Directory) -> None:
        wanted = {at: slot_of(key_at(at)) for at in (0, 7, 127)}
        Index.write(directory, 7, wanted, Tail(4, 5, 6, 7))
        index = Index.open(directory)
        assert index is not None
        with closing(index):
            assert dict(index.slots()) == wanted
            assert index.tail() == Tail(4, 5, 6, 7)
            assert not index.is_moved()
        assert sorted(directory.names()) == ["CACHEDIR.TAG", "index"]

    def test_two_files_never_share_identity_or_epoch(self, directory: Directory) -> None:
        seen = set()
        for _ in range(5):
            Index.write(directory, 1, {}, Tail(1, 0, 0, 0))
            index = Index.open(directory)
            assert index is not None
            with closing(index):
                seen.add((index.identity, index.epoch[0]))
        assert len({identity for identity, _ in seen}) == len({epoch for _, epoch in seen}) == 5

    def test_the_epoch_is_odd_while_entries_change_and_another_even_number_after(self, index: Index) -> None:
        before = index.epoch[0]
        index.begin_change()
        assert index.epoch[0] % 2 == 1
        index.begin_change()
        assert index.epoch[0] == before + 1
        index.end_change()
        assert index.epoch[0] % 2 == 0
        assert index.epoch[0] > before

    def test_a_change_without_a_beginning_moves_the_epoch_too(self, index: Index) -> None:
        before = index.epoch[0]
        index.end_change()
        assert index.epoch[0] == before + 2

    def test_the_epoch_begins_again_after_the_largest_number(self, index: Index, place: Path) -> None:
        damage(place, 16, b"\xff" * 8)
        index.end_change()
        assert index.epoch[0] % 2 == 0
        assert index.epoch[0] < 4

    def test_who_has_an_older_view_sees_the_same_epoch_and_slots(self, index: Index, directory: Directory) -> None:
        other = Index.open(directory, writable=False)
        assert other is not None
        with closing(other):
            index.write_slot(3, slot_of(key_at(3)))
            index.end_change()
            assert other.find(key_at(3)) == (3, slot_of(key_at(3)))
            assert other.epoch[0] == index.epoch[0]

    def test_a_retired_file_says_so_and_its_successor_does_not(self, index: Index, directory: Directory) -> None:
        Index.write(directory, 8, {}, Tail(1, 0, 0, 0))
        index.retire()
        assert index.is_moved()
        successor = Index.open(directory)
        assert successor is not None
        with closing(successor):
            assert not successor.is_moved()
            assert successor.bits == 8

    @given(tail=st.builds(Tail, u32, st.integers(0, 2**63), st.integers(0, 2**63), st.integers(0, 2**63)))
    def test_the_tail_is_what_was_written(self, tmp_path_factory: pytest.TempPathFactory, tail: Tail) -> None:
        path = str(tmp_path_factory.mktemp("tail"))
        with closing(Directory.at(path, given=True, label="d")) as directory:
            Index.write(directory, 1, {}, Tail(1, 0, 0, 0))
            index = Index.open(directory)
            assert index is not None
            with closing(index):
                identity = index.identity
                index.write_tail(tail)
                assert index.tail() == tail
            again = Index.open(directory)
            assert again is not None
            with closing(again):
                assert (again.identity, again.tail()) == (identity, tail)

    @pytest.mark.parametrize("at", [28, 32, 40, 48, 80])
    def test_a_damaged_tail_is_none_and_the_slots_are_still_there(self, index: Index, place: Path, at: int) -> None:
        index.write_slot(3, slot_of(key_at(3)))
        damage(place, at, bytes([index.data[at] ^ 0x10]))
        assert index.tail() is None
        assert index.find(key_at(3)) is not None


class TestOpening:
    def test_no_file_is_no_index(self, directory: Directory) -> None:
        assert Index.open(directory) is None

    @pytest.mark.parametrize(
        ("at", "data"),
        [
            (0, b"X"),
            (8, struct.pack("<I", 2)),
            (12, struct.pack("<I", 0)),
            (12, struct.pack("<I", 8)),
            (12, struct.pack("<I", 33)),
            (56, b"another id......"),
            (72, b"checksum"),
        ],
        ids=["magic", "schema", "no slots", "more slots", "slots beyond reason", "id", "check"],
    )
    def test_a_header_that_does_not_agree_is_no_index(
        self, index: Index, directory: Directory, place: Path, at: int, data: bytes
    ) -> None:
        damage(place, at, data)
        assert Index.open(directory) is None

    @pytest.mark.parametrize("size", [0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + SLOTS * SLOT_BYTES + 1])
    def test_another_size_is_no_index(self, directory: Directory, place: Path, size: int) -> None:
        Index.write(directory, 7, {}, Tail(1, 0, 0, 0))
        os.truncate(place / "index", size)
        assert Index.open(directory) is None

    def test_an_index_for_reading_cannot_be_written(self, index: Index, directory: Directory) -> None:
        reader = Index.open(directory, writable=False)
        assert reader is not None
        with closing(reader), pytest.raises(OSError, match="Bad file descriptor"):
            reader.clear_slot(0)

    def test_closing_twice_is_closing_once(self, directory: Directory) -> None:
        Index.write(directory, 1, {}, Tail(1, 0, 0, 0))
        index = Index.open(directory)
        assert index is not None
        index.close()
        index.close()
        assert index.fd == -1

    def test_a_failed_replacement_leaves_the_old_file_and_no_draft(
        self, index: Index, directory: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Directory, "rename", full)
        with pytest.raises(OSError, match="No space"):
            Index.write(directory, 9, {}, Tail(1, 0, 0, 0))
        assert sorted(directory.names()) == ["CACHEDIR.TAG", "index"]
        assert index.bits == 7


@given(st.lists(st.integers(0, SLOTS - 1), max_size=60), st.data())
def test_every_key_put_in_a_free_place_is_found_whatever_was_removed(homes: list[int], data: st.DataObject) -> None:
    """The law of open addressing: clearing leaves all the others reachable."""
    import tempfile

    with (
        tempfile.TemporaryDirectory() as path,
        closing(Directory.at(path, given=True, label="d")) as directory,
    ):
        Index.write(directory, 7, {}, Tail(1, 0, 0, 0))
        index = Index.open(directory)
        assert index is not None
        with closing(index):
            there = {}
            for number, home in enumerate(homes):
                key = key_at(home, number)
                place = index.free_place(key)
                assert place is not None
                index.write_slot(place, slot_of(key))
                there[key] = place
            gone = data.draw(st.sets(st.sampled_from(sorted(there))) if there else st.just(set()))
            for key in gone:
                index.clear_slot(there.pop(key))
            assert {slot.key: place for place, slot in index.slots() if slot} == there
            assert all(index.find(key) is None for key in gone)
            assert all(index.find(key) == (place, slot_of(key)) for key, place in there.items())
