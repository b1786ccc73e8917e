"""Bundles in files: whole and verified or not there, and nothing that somebody else put in their place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanwise.backends.remote import _blobs
from fanwise.backends.remote._letters import digest_of
from fanwise.errors import BackendError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path))
    return tmp_path / "bundles"


def read(digest: bytes, size: int) -> bytes | None:
    """What a worker would map."""
    fd = _blobs.open_blob(digest, size)
    if fd is None:
        return None
    with os.fdopen(fd, "rb") as file:
        return file.read()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_what_was_stored_in_any_pieces_is_read_as_one(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    digest = digest_of(pieces)
    assert digest == digest_of([whole])
    _blobs.store_blob(digest, len(whole), *pieces)
    assert _blobs.has_blob(digest, len(whole))
    assert read(digest, len(whole)) == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.binary(min_size=1, max_size=60), st.data())
def test_one_wrong_byte_or_a_missing_one_is_refused(home: Path, content: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(content) - 1))
    digest = digest_of([content])
    flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    for wrong in (flipped, content[:at], content + b"\0"):
        with pytest.raises(BackendError, match=f"a bundle of {len(content):,} bytes did not arrive whole"):
            _blobs.store_blob(digest, len(content), wrong)
    assert not _blobs.has_blob(digest, len(content))
    assert not home.exists() or not list(home.iterdir())


def test_a_size_that_does_not_match_is_another_file() -> None:
    _blobs.store_blob(digest_of([b"abc"]), 3, b"abc")
    assert read(digest_of([b"abc"]), 4) is None
    with pytest.raises(BackendError):
        _blobs.store_blob(digest_of([b"abc"]), 4, b"abc")


def test_a_link_in_its_place_is_not_followed_and_is_replaced(home: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"abc")
    (tmp_path / "elsewhere").chmod(0o400)
    digest = digest_of([b"abc"])
    Path(_blobs.folder(), f"{digest.hex()}.fwb").symlink_to(tmp_path / "elsewhere")
    assert read(digest, 3) is None
    _blobs.store_blob(digest, 3, b"abc")
    assert read(digest, 3) == b"abc"
    (path,) = home.iterdir()
    assert not path.is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o420, 0o402, 0o777])
def test_a_file_that_anybody_could_write_is_not_ours(home: Path, mode: int) -> None:
    digest = digest_of([b"abc"])
    _blobs.store_blob(digest, 3, b"abc")
    (path,) = home.iterdir()
    path.chmod(mode)
    assert read(digest, 3) is None


def test_a_file_of_another_user_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = digest_of([b"abc"])
    _blobs.store_blob(digest, 3, b"abc")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert read(digest, 3) is None


def test_too_many_open_files_are_an_error_and_not_an_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> int:
        raise OSError(24, "Too many open files")

    _blobs.folder()
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        _blobs.open_blob(digest_of([b"abc"]), 3)


def test_a_full_disk_leaves_no_draft(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        _blobs.store_blob(digest_of([b"abc"]), 3, b"abc")
    assert list(home.iterdir()) == []


def test_short_writes_are_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, write = os.urandom(1000), os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:7]))
    digest = digest_of([whole])
    _blobs.store_blob(digest, 1000, whole)
    assert read(digest, 1000) == whole


def test_only_this_user_may_enter_the_folder(home: Path) -> None:
    assert Path(_blobs.folder()) == home
    assert home.stat().st_mode & 0o777 == 0o700


def test_the_folder_follows_the_desktop_convention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FANWISE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert _blobs.folder() == str(tmp_path / "x" / "fanwise" / "bundles")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "h"))
    assert _blobs.folder() == str(tmp_path / "h" / ".cache" / "fanwise" / "bundles")
