"""A journal gives back exactly what was kept, after any cut, and refuses what is not this call's."""

from __future__ import annotations

import os
import pickle
import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.engine._journal import Header, Journal, decode_value, encode_value, item_key
from fanwise.errors import FanwiseWarning, UsageError

HEADER = Header(function="a1b2c3d4e5", label="app.fit", seed=None, python="3.11", fanwise="0.1.0")


def write(path: Path, items: list[Any], header: Header = HEADER) -> None:
    with Journal(path, header) as journal:
        for index, item in enumerate(items):
            key, found, _ = journal.recall(item, index)
            assert not found
            journal.keep(index, key, {"of": item})


def read(path: Path, items: list[Any], header: Header = HEADER) -> list[Any]:
    with Journal(path, header) as journal:
        answers = [journal.recall(item, index) for index, item in enumerate(items)]
    return [value if found else None for _, found, value in answers]


def test_what_was_kept_is_recalled(tmp_path: Path) -> None:
    write(tmp_path / "j", [1, "two", (3.0,)])
    assert read(tmp_path / "j", ["two", 1, 4]) == [{"of": "two"}, {"of": 1}, None]


def test_each_record_serves_one_occurrence(tmp_path: Path) -> None:
    write(tmp_path / "j", [7, 7])
    assert read(tmp_path / "j", [7, 7, 7]) == [{"of": 7}, {"of": 7}, None]


def test_with_a_seed_the_index_is_part_of_the_key(tmp_path: Path) -> None:
    seeded = Header("f", "app.fit", 3, "3.11", "0.1.0")
    write(tmp_path / "j", [5, 5], seeded)
    assert read(tmp_path / "j", [6, 5], seeded) == [None, {"of": 5}]


@pytest.mark.slow
def test_a_journal_cut_anywhere_gives_back_the_whole_records_before_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write(path, [])
    ends = [path.stat().st_size]
    items = list(range(6))
    for count in range(1, len(items) + 1):
        path.unlink()
        write(path, items[:count])
        ends.append(path.stat().st_size)
    content = path.read_bytes()
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        path.chmod(0o600)
        whole = max(0, sum(end <= cut for end in ends) - 1)
        assert read(path, items) == [{"of": item} if item < whole else None for item in items]
        assert path.stat().st_size == ends[whole], "the torn tail is cut off, so that later records follow good ones"


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_flipped_byte_never_gives_a_wrong_value(tmp_path_factory: pytest.TempPathFactory, at: int, flip: int) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    write(path, list(range(6)))
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= flip
    path.write_bytes(content)
    try:
        found = read(path, list(range(6)))
    except UsageError:
        return
    assert all(value in (None, {"of": item}) for item, value in enumerate(found))


@pytest.mark.parametrize(
    "other", [Header("zzz", "app.fit", None, "3", "0"), Header("a1b2c3d4e5", "app.fit", 4, "3", "0")]
)
def test_another_function_or_seed_is_refused(tmp_path: Path, other: Header) -> None:
    write(tmp_path / "j", [1])
    with pytest.raises(UsageError, match=r"was written by app.fit \(version a1b2c3d4\); you call app.fit"):
        Journal(tmp_path / "j", other)
    assert read(tmp_path / "j", [1]) == [{"of": 1}], "and is left alone"


@pytest.mark.parametrize(
    "content", [b"a,b,c\n1,2,3\n", b"fanwise-journal 1\n{}\n", b"fanwise-journal 1\nnot json\n", b"\0" * 99]
)
def test_what_is_no_journal_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="is not a fanwise journal"):
        Journal(path, HEADER)
    assert path.read_bytes() == content


@pytest.mark.usefixtures("impatient")
def test_a_journal_in_use_is_refused_and_its_user_named(tmp_path: Path) -> None:
    named = (
        f"in use by the run of process {os.getpid()};" if os.path.exists("/proc/locks") else "in use by another run;"
    )
    with Journal(tmp_path / "j", HEADER), pytest.raises(UsageError, match=named):
        Journal(tmp_path / "j", HEADER)


def test_the_head_of_another_call_is_refused_however_short(tmp_path: Path) -> None:
    write(tmp_path / "j", [])
    os.truncate(tmp_path / "j", (tmp_path / "j").stat().st_size - 9)
    with pytest.raises(UsageError, match="or its head is damaged"):
        Journal(tmp_path / "j", Header("zzz", "app.fit", None, "3.11", "0.1.0"))
    assert read(tmp_path / "j", [1]) == [None], "its own call goes on"


def test_a_journal_that_others_may_write_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "j", [1])
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600
    (tmp_path / "j").chmod(0o666)
    with pytest.raises(UsageError, match="chmod 600"):
        Journal(tmp_path / "j", HEADER)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic"):
        Journal(tmp_path / "link", HEADER)


def test_an_unpicklable_item_or_result_is_run_again_with_one_warning(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j", HEADER) as journal,
        pytest.warns(FanwiseWarning, match="item 4 or its result cannot be pickled") as caught,
    ):
        assert journal.recall(lambda: 0, 4) == (None, False, None)
        journal.keep(4, None, 1)
        journal.keep(5, b"k" * 16, lambda: 0)
        assert journal.recall(lambda: 0, 6)[0] is None
    assert len(caught) == 1
    assert read(tmp_path / "j", [5]) == [None]


def test_arrays_come_back_writable_and_equal() -> None:
    value = {"a": np.arange(6.0).reshape(2, 3), "b": [np.zeros(0), np.array(3)]}
    back = decode_value(encode_value(value))
    assert back["a"].flags.writeable
    assert pickle.dumps(back["a"]) == pickle.dumps(value["a"])
    assert back["b"][0].shape == (0,)


def test_the_key_of_an_item_is_its_content() -> None:
    assert item_key((1, "a")) == item_key((1, "a"))
    assert item_key((1, "a")) != item_key((1, "b"))
    assert item_key(1, 0) != item_key(1, 1)


def test_what_finds_no_space_is_said_once_and_harms_no_other_record(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with Journal(tmp_path / "j", HEADER) as journal:
            keys = [journal.recall(item, item)[0] for item in range(4)]
            journal.keep(0, keys[0], {"of": 0})
            resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "j").stat().st_size + 90, hard))
            with pytest.warns(
                FanwiseWarning, match="cannot be written: File too large; what it does not hold"
            ) as caught:
                journal.keep(1, keys[1], "long" * 1_000)  # 90 bytes of it are written, and taken back
                journal.keep(2, keys[2], "long" * 1_000)
            assert len(caught) == 1
            journal.keep(3, keys[3], {"of": 3})
            assert journal.kept == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert read(tmp_path / "j", [0, 1, 2, 3]) == [{"of": 0}, None, None, {"of": 3}]


def test_a_disk_that_fails_at_the_end_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    journal = Journal(tmp_path / "j", HEADER)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.warns(FanwiseWarning, match="cannot be written: Input/output error"):
        journal.close()


@pytest.mark.usefixtures("impatient")
def test_no_lock_table_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with Journal(tmp_path / "j", HEADER):
        monkeypatch.setattr("builtins.open", hidden)
        with pytest.raises(UsageError, match="in use by another run"):
            Journal(tmp_path / "j", HEADER)
