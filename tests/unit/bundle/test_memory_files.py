"""Anonymous memory as bundles use it: filled at offsets, sealed, or an unlinked file where seals are forbidden."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanwise import _memfd


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A system that refuses memory files, as a strict seccomp filter does."""

    def refuse(name: str, flags: int) -> int:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "memfd_create", refuse)
    _memfd.can_seal.cache_clear()
    yield monkeypatch
    _memfd.can_seal.cache_clear()


def test_is_filled_at_any_offset_and_zero_elsewhere() -> None:
    fd = _memfd.create("fanwise-test")
    assert _memfd.write_at(fd, b"abc", 4) == 3
    assert _memfd.write_at(fd, memoryview(b""), 100) == 0
    assert os.pread(fd, 100, 0) == b"\0\0\0\0abc"
    os.close(fd)


def test_nobody_changes_frozen_memory() -> None:
    fd = _memfd.make([b"abc"], frozen=True)
    assert _memfd.is_sealed(fd)
    for change in (lambda: os.pwrite(fd, b"x", 0), lambda: os.ftruncate(fd, 1), lambda: os.ftruncate(fd, 9)):
        with pytest.raises(PermissionError):
            change()
    _memfd.seal(fd, frozen=True)
    os.close(fd)


def test_memory_that_may_grow_is_not_called_sealed() -> None:
    fd = _memfd.make([b"abc"])
    assert not _memfd.is_sealed(fd)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 1)
    os.close(fd)


def test_an_ordinary_file_is_neither_sealed_nor_sealable(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    _memfd.seal(fd, frozen=True)
    assert not _memfd.is_sealed(fd)
    os.close(fd)


def test_a_pipe_is_not_sealed() -> None:
    ends = os.pipe()
    assert not _memfd.is_sealed(ends[0])
    for end in ends:
        os.close(end)


@pytest.mark.usefixtures("forbidden")
def test_without_memory_files_an_unlinked_file_serves() -> None:
    assert not _memfd.can_seal()
    fd = _memfd.make([b"abc", b"def"], frozen=True)
    assert os.pread(fd, 10, 0) == b"abcdef"
    assert os.fstat(fd).st_nlink == 0
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_another_error_than_a_missing_feature_is_not_hidden(forbidden: pytest.MonkeyPatch) -> None:
    def fail(name: str, flags: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    forbidden.setattr(os, "memfd_create", fail)
    with pytest.raises(OSError, match="Too many open files"):
        _memfd.can_seal()


def test_a_system_without_the_call_has_no_memory_files(forbidden: pytest.MonkeyPatch) -> None:
    forbidden.delattr(os, "memfd_create")
    assert not _memfd.can_seal()


def test_a_private_file_has_one_end_to_write_and_one_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    writer, reader = _memfd.create_file("a/b")
    _memfd.write_at(writer, b"abc", 0)
    assert os.pread(reader, 10, 0) == b"abc"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pwrite(reader, b"x", 0)
    assert list(tmp_path.iterdir()) == []
    os.close(writer)
    os.close(reader)


@pytest.mark.usefixtures("forbidden")
def test_bundles_fall_back_too() -> None:
    from fanwise import freeze

    with freeze({"x": b"abc"}, name="market") as bundle:
        assert repr(bundle) == "<Bundle 'market' 1 entry, 3 B, file>"
        assert bundle["x"] == b"abc"
