"""Blobs: stored once under their digest, checked before they are believed, and never written in place."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.cache_kit import flip

from fanwise.cache._blobs import Blobs
from fanwise.cache._directory import Directory
from fanwise.cache._hashing import digest128
from fanwise.errors import CacheError

PARTS = [b"first" * 1000, bytearray(b"second" * 1000), memoryview(b"third" * 1000)]
WHOLE = b"".join(bytes(part) for part in PARTS)
DIGEST = digest128(WHOLE)


@pytest.fixture
def blobs(directory: Directory) -> Blobs:
    return Blobs(directory, durable=False)


def settle(path: Path) -> None:
    """Wait until a later change is sure to show in the file's time of change."""
    while time.time_ns() - path.stat().st_ctime_ns <= 25_000_000:
        os.sched_yield()


@pytest.fixture
def file(place: Path) -> Path:
    """Where the sample lies once it is stored."""
    return place / "blobs" / DIGEST.hex()[:2] / DIGEST.hex()


def content(blobs: Blobs, digest: bytes = DIGEST, size: int = len(WHOLE)) -> bytes | None:
    view = blobs.load(digest, size)
    return None if view is None else bytes(view)


class TestStoring:
    def test_a_payload_in_pieces_is_one_file_named_by_its_digest(self, blobs: Blobs, file: Path) -> None:
        assert blobs.store(PARTS) == (DIGEST, len(WHOLE), len(WHOLE))
        assert file.read_bytes() == WHOLE
        assert file.stat().st_mode & 0o777 == 0o600

    def test_equal_content_is_stored_once_however_it_is_cut(self, blobs: Blobs, file: Path) -> None:
        blobs.store(PARTS)
        inode = file.stat().st_ino
        assert blobs.store([WHOLE]) == (DIGEST, len(WHOLE), 0)
        assert file.stat().st_ino == inode
        assert len(list(blobs.all())) == 1

    @pytest.mark.parametrize("size", [0, 1, len(WHOLE) - 1, len(WHOLE) + 1])
    def test_a_file_of_another_length_is_replaced_and_not_written_in_place(
        self, blobs: Blobs, file: Path, size: int
    ) -> None:
        blobs.store(PARTS)
        os.truncate(file, size)
        with file.open("rb") as old:
            assert blobs.store(PARTS) == (DIGEST, len(WHOLE), len(WHOLE))
            assert len(old.read()) == size
        assert file.read_bytes() == WHOLE

    def test_nothing_is_a_payload_too(self, blobs: Blobs) -> None:
        assert blobs.store([]) == (digest128(b""), 0, 0)
        assert blobs.is_whole(digest128(b""), 0)

    def test_a_full_disk_leaves_no_draft(self, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            blobs.store(PARTS)
        assert list(blobs.all()) == []

    def test_a_disk_that_takes_a_few_bytes_at_a_time_takes_all(
        self, blobs: Blobs, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole_write = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: whole_write(fd, bytes(data[:777])))
        blobs.store(PARTS)
        assert file.read_bytes() == WHOLE

    @pytest.mark.parametrize(("durable", "calls"), [(True, 1), (False, 0)])
    def test_only_a_durable_store_waits_for_the_disk(
        self, directory: Directory, durable: bool, calls: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waited: list[int] = []
        monkeypatch.setattr(os, "fdatasync", waited.append)
        Blobs(directory, durable=durable).store(PARTS)
        assert len(waited) == calls


class TestLoading:
    def test_what_was_stored_is_loaded_the_first_time_and_later(self, blobs: Blobs, file: Path) -> None:
        blobs.store(PARTS)
        settle(file)
        assert [content(blobs) for _ in range(3)] == [WHOLE] * 3

    def test_what_was_loaded_is_the_readers_own(self, blobs: Blobs, file: Path) -> None:
        blobs.store(PARTS)
        settle(file)
        for _ in range(2):
            view = blobs.load(DIGEST, len(WHOLE))
            assert view is not None
            view[:5] = b"XXXXX"
        assert content(blobs) == file.read_bytes() == WHOLE

    def test_there_is_none(self, blobs: Blobs) -> None:
        with pytest.raises(FileNotFoundError):
            blobs.load(DIGEST, 5)

    @pytest.mark.parametrize("offset", [0, 5000, len(WHOLE) - 1])
    def test_a_flipped_bit_is_a_miss_and_removes_the_file(self, blobs: Blobs, file: Path, offset: int) -> None:
        blobs.store(PARTS)
        flip(file, offset)
        assert content(blobs) is None
        assert not file.exists()

    @pytest.mark.parametrize("size", [0, 1, len(WHOLE) - 1, len(WHOLE) + 1])
    def test_another_length_is_a_miss_and_removes_the_file(self, blobs: Blobs, file: Path, size: int) -> None:
        blobs.store(PARTS)
        os.truncate(file, size)
        assert content(blobs) is None
        assert not file.exists()

    def test_a_change_after_the_check_is_seen(self, blobs: Blobs, file: Path) -> None:
        blobs.store(PARTS)
        settle(file)
        assert content(blobs) == WHOLE
        flip(file, 100)
        assert content(blobs) is None

    def test_a_change_within_the_tick_of_the_first_read_is_seen(self, blobs: Blobs, file: Path) -> None:
        """A fresh file is not remembered: a change might leave its times as they were."""
        blobs.store(PARTS)
        assert content(blobs) == WHOLE
        flip(file, 100)
        assert content(blobs) is None

    def test_a_known_blob_that_was_deleted_is_missing_and_may_be_stored_again(self, blobs: Blobs, file: Path) -> None:
        blobs.store(PARTS)
        settle(file)
        content(blobs)
        file.unlink()
        with pytest.raises(FileNotFoundError):
            content(blobs)
        assert blobs.store(PARTS)[2] == len(WHOLE)
        assert content(blobs) == WHOLE

    def test_a_record_that_lies_about_the_length_gets_nothing(self, blobs: Blobs) -> None:
        blobs.store(PARTS)
        assert content(blobs, size=len(WHOLE) - 1) is None

    def test_a_link_in_its_place_is_refused(self, blobs: Blobs, file: Path, tmp_path: Path) -> None:
        blobs.store(PARTS)
        (tmp_path / "elsewhere").write_bytes(WHOLE)
        file.unlink()
        file.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(CacheError, match="symbolic link"):
            content(blobs)


class TestWholeness:
    def test_a_stored_blob_is_whole_and_nothing_else_is(self, blobs: Blobs, file: Path) -> None:
        assert not blobs.is_whole(DIGEST, len(WHOLE))
        blobs.store(PARTS)
        assert blobs.is_whole(DIGEST, len(WHOLE))
        assert not blobs.is_whole(DIGEST, len(WHOLE) + 1)
        assert not blobs.is_whole(bytes(16), len(WHOLE))
        flip(file, 7)
        assert not blobs.is_whole(DIGEST, len(WHOLE))

    def test_looking_removes_nothing(self, blobs: Blobs, file: Path) -> None:
        blobs.store(PARTS)
        flip(file, 7)
        blobs.is_whole(DIGEST, len(WHOLE))
        assert file.exists()


class TestRemoving:
    def test_removing_tells_the_bytes_that_became_free(self, blobs: Blobs) -> None:
        assert blobs.remove(DIGEST) == 0
        blobs.store(PARTS)
        assert blobs.remove(DIGEST) == len(WHOLE)
        assert blobs.remove(DIGEST) == 0
        assert list(blobs.all()) == []

    def test_every_file_is_listed_with_what_its_name_says(self, blobs: Blobs, file: Path, place: Path) -> None:
        blobs.store(PARTS)
        (place / "blobs" / "tmp-0123").write_bytes(b"half")
        (file.parent / "stranger").write_bytes(b"x")
        found = sorted((stray.name, stray.digest, stray.size) for stray in blobs.all())
        assert found == sorted(
            [
                (f"{DIGEST.hex()[:2]}/{DIGEST.hex()}", DIGEST, len(WHOLE)),
                (f"{DIGEST.hex()[:2]}/stranger", b"", 1),
                ("tmp-0123", b"", 4),
            ]
        )

    def test_a_stray_goes_wherever_it_lies(self, blobs: Blobs, place: Path) -> None:
        blobs.store(PARTS)
        (place / "blobs" / "tmp-0123").write_bytes(b"half")
        for stray in list(blobs.all()):
            blobs.remove_stray(stray)
        assert list(blobs.all()) == []

    def test_age_is_the_time_since_it_was_written(self, blobs: Blobs, file: Path) -> None:
        blobs.store(PARTS)
        long_ago = time.time() - 7200
        os.utime(file, (long_ago, long_ago))
        (stray,) = blobs.all()
        assert 7199 < stray.age_s < 7300

    def test_without_a_folder_there_are_none(self, blobs: Blobs, place: Path) -> None:
        assert list(blobs.all()) == []
        assert not (place / "blobs").exists()
