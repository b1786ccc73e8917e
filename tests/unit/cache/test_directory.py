"""The directory: only this user's, no link followed, and made by whoever comes first."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from fanwise.cache._directory import Directory, is_unwritable, write_all
from fanwise.errors import CacheError


def opened(path: Path, *, given: bool = True) -> Directory:
    return Directory.at(str(path), given=given, label="label")


class TestMaking:
    def test_it_is_made_for_this_user_alone_with_the_tag_of_caches(self, directory: Directory, place: Path) -> None:
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert (place / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")
        assert directory.names() == ["CACHEDIR.TAG"]

    def test_its_parents_are_made_too(self, tmp_path: Path) -> None:
        with closing(opened(tmp_path / "a" / "b" / "c")):
            assert (tmp_path / "a" / "b" / "c" / "CACHEDIR.TAG").exists()

    def test_a_directory_with_something_in_it_gets_no_tag(self, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir(mode=0o700)
        (tmp_path / "mine" / "file").write_text("x")
        with closing(opened(tmp_path / "mine")) as directory:
            assert directory.names() == ["file"]

    def test_a_tag_of_the_users_own_stays(self, directory: Directory, place: Path) -> None:
        (place / "CACHEDIR.TAG").write_text("mine")
        directory.write_once("CACHEDIR.TAG", b"ours")
        assert (place / "CACHEDIR.TAG").read_text() == "mine"

    def test_a_child_is_made_once_or_not_at_all(self, directory: Directory, place: Path) -> None:
        with pytest.raises(FileNotFoundError):
            directory.child("inner", make=False)
        for _ in range(2):
            with closing(directory.child("inner")) as inner:
                assert inner.path == os.path.join("d", "inner")
        assert stat.S_IMODE((place / "inner").stat().st_mode) == 0o700


class TestRefusals:
    @pytest.mark.parametrize("mode", [0o770, 0o702, 0o722, 0o777])
    def test_what_others_can_write_is_refused_with_what_to_type(self, tmp_path: Path, mode: int) -> None:
        path = tmp_path / "open"
        path.mkdir()
        path.chmod(mode)
        with pytest.raises(CacheError, match="'label' can be written by others; run: chmod 700 label"):
            opened(path)

    @pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o500])
    def test_what_others_can_only_read_is_accepted(self, tmp_path: Path, mode: int) -> None:
        path = tmp_path / "seen"
        path.mkdir()
        (path / "x").touch()
        path.chmod(mode)
        with closing(opened(path)) as directory:
            assert directory.names() == ["x"]

    @pytest.mark.parametrize("user", [0, 1, 65_534])
    def test_what_belongs_to_somebody_else_is_refused_by_number(self, directory: Directory, user: int) -> None:
        status = os.stat_result((stat.S_IFREG | 0o600, 1, 1, 1, user if user != os.geteuid() else 4242, 0, 0, 0, 0, 0))
        with pytest.raises(CacheError, match=rf"'d/x' belongs to user {status.st_uid}, not to you"):
            directory.check_trust(status, "d/x")

    def test_a_file_is_no_directory(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(CacheError, match="cache directory 'label' is a file; choose another --cache-dir"):
            opened(tmp_path / "file")

    @pytest.mark.parametrize("below", ["within", "far/within"])
    def test_a_file_on_the_way_is_said_with_what_to_choose(self, tmp_path: Path, below: str) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(CacheError, match=r"'label' cannot be made: .*; choose another --cache-dir"):
            opened(tmp_path / "file" / below)

    def test_a_given_path_may_be_a_link_and_a_default_one_may_not(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir(mode=0o700)
        (tmp_path / "link").symlink_to(tmp_path / "real")
        with closing(opened(tmp_path / "link")):
            assert (tmp_path / "real" / "CACHEDIR.TAG").exists()
        with pytest.raises(CacheError, match="is a symbolic link"):
            opened(tmp_path / "link", given=False)

    @pytest.mark.parametrize("target", ["there", "nowhere"])
    def test_a_link_within_is_not_followed(
        self, directory: Directory, place: Path, tmp_path: Path, target: str
    ) -> None:
        (tmp_path / "there").write_bytes(b"other")
        (place / "link").symlink_to(tmp_path / target)
        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT):
            with pytest.raises(CacheError, match="'d/link' is a symbolic link; a cache holds none: remove it"):
                directory.open("link", flags)
        assert directory.is_link("link")
        assert not (tmp_path / "nowhere").exists()

    def test_a_link_to_a_directory_is_no_child(self, directory: Directory, place: Path, tmp_path: Path) -> None:
        (place / "link").symlink_to(tmp_path)
        with pytest.raises(CacheError, match="symbolic link"):
            directory.child("link")

    def test_a_file_is_no_child(self, directory: Directory, place: Path) -> None:
        (place / "file").touch(mode=0o600)
        with pytest.raises(NotADirectoryError):
            directory.child("file")
        assert not directory.is_link("file")
        assert not directory.is_link("nothing")

    def test_a_file_that_others_can_write_is_not_opened(self, directory: Directory, place: Path) -> None:
        (place / "x").touch()
        (place / "x").chmod(0o662)
        with pytest.raises(CacheError, match="'d/x' can be written by others"):
            directory.open("x")

    def test_every_name_is_looked_at_for_links(self, directory: Directory, place: Path) -> None:
        (place / "one").touch(mode=0o600)
        directory.check_names()
        (place / "two").symlink_to("one")
        with pytest.raises(CacheError, match="'d/two' is a symbolic link"):
            directory.check_names()


class TestFiles:
    def test_files_are_made_for_this_user_alone(self, directory: Directory, place: Path) -> None:
        os.close(directory.open("x", os.O_WRONLY | os.O_CREAT))
        assert stat.S_IMODE((place / "x").stat().st_mode) == 0o600

    def test_descriptors_do_not_reach_programs_that_are_started(self, directory: Directory) -> None:
        fd = directory.open("x", os.O_RDWR | os.O_CREAT)
        inheritable = os.get_inheritable(fd), os.get_inheritable(directory.fd)
        os.close(fd)
        assert inheritable == (False, False)

    def test_removing_tells_whether_there_was_one(self, directory: Directory) -> None:
        directory.write_once("x", b"content")
        assert [directory.remove("x"), directory.remove("x")] == [True, False]
        assert directory.status("x") is None

    def test_status_is_of_a_link_itself(self, directory: Directory, place: Path) -> None:
        (place / "link").symlink_to("CACHEDIR.TAG")
        status = directory.status("link")
        assert status is not None
        assert stat.S_ISLNK(status.st_mode)

    def test_renaming_replaces_across_folders(self, directory: Directory, place: Path) -> None:
        with closing(directory.child("inner")) as inner:
            directory.write_once("x", b"new")
            inner.write_once("y", b"old")
            directory.rename("x", inner, "y")
        assert (place / "inner" / "y").read_bytes() == b"new"
        assert sorted(directory.names()) == ["CACHEDIR.TAG", "inner"]

    def test_a_deleted_directory_is_known_to_be_gone(self, directory: Directory, place: Path) -> None:
        assert not directory.is_gone()
        (place / "CACHEDIR.TAG").unlink()
        place.rmdir()
        assert directory.is_gone()

    def test_closing_twice_closes_no_descriptor_of_others(self, tmp_path: Path) -> None:
        directory = opened(tmp_path / "x")
        directory.close()
        fd = os.open(tmp_path, os.O_RDONLY)
        directory.close()
        os.fstat(fd)
        os.close(fd)


@pytest.mark.parametrize(
    ("number", "wanted"),
    [
        *((errno.EROFS, True), (errno.EACCES, True), (errno.EPERM, True)),
        *((errno.ENOSPC, False), (errno.ENOENT, False), (errno.EIO, False)),
    ],
    ids=["read-only", "access", "permission", "full", "missing", "input/output"],
)
def test_a_place_that_cannot_be_written_is_told_from_no_place(number: int, wanted: bool) -> None:
    assert is_unwritable(OSError(number, "x")) is wanted


@pytest.mark.parametrize("step", [1, 3, 7, 100])
def test_a_write_in_steps_is_whole_and_where_it_belongs(
    directory: Directory, place: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, bytes(data[:step]), at))
    fd = directory.open("x", os.O_RDWR | os.O_CREAT)
    write_all(fd, b"0123456789", 5)
    write_all(fd, memoryview(b"ab"), 7)
    os.close(fd)
    assert (place / "x").read_bytes() == bytes(5) + b"01ab456789"
