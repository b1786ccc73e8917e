"""What is left behind is listed."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from fanwise.testing import _leaks, leaks


def test_nothing_left_is_no_error() -> None:
    with leaks():
        fd = os.open(os.devnull, os.O_RDONLY)
        os.close(fd)


def test_a_descriptor_is_a_leak() -> None:
    with pytest.raises(AssertionError, match=r"left behind: descriptors: \['\d+ -> /dev/null'\]"), leaks(patience=0):
        fd = os.open(os.devnull, os.O_RDONLY)
    os.close(fd)


def test_a_thread_is_a_leak_unless_it_ends_in_time() -> None:
    ended = threading.Event()
    with pytest.raises(AssertionError, match=r"threads: \['left over"), leaks(patience=0):
        thread = threading.Thread(target=ended.wait, name="left over")
        thread.start()
    with leaks():
        ended.set()
    thread.join()


def test_a_temporary_file_is_a_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(AssertionError, match=r"temporary_files: \['fanwise-x'\]"), leaks(patience=0):
        (tmp_path / "fanwise-x").touch()


def test_a_temporary_file_of_another_program_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with leaks(patience=0):
        (tmp_path / "fanwise-scan-1-x").touch()


def test_what_was_there_before_is_no_leak_once_its_program_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "fanwise-scan-1-x").touch()
    with leaks(patience=0):
        monkeypatch.setattr(_leaks, "_is_of_another", lambda name: False)


def test_a_child_is_a_leak() -> None:
    told, tell = os.pipe()
    with pytest.raises(AssertionError, match="children"), leaks(patience=0):
        pid = os.fork()
        if pid == 0:
            os.close(tell)
            os.read(told, 1)
            os._exit(0)
    os.close(told)
    os.close(tell)
    os.waitpid(pid, 0)


def test_an_error_of_the_block_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="the block's own"), leaks():
        raise ValueError("the block's own")


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no shared memory to look at")
@pytest.mark.parametrize("ours", [True, False])
def test_shared_memory_of_other_programs_is_their_own(ours: bool) -> None:
    entry = Path("/dev/shm") / f"probe-{os.getpid() if ours else 1}-x"
    try:
        with pytest.raises(AssertionError, match="probe") if ours else nullcontext(), leaks(patience=0):
            entry.touch()
    finally:
        entry.unlink()
