"""Finished chunks on disk: whole or not there, whatever happens to the file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.workloads.modelsearch.world import context, with_test, world

from fanwise.errors import UsageError
from fanwise.workloads.modelsearch._chunks import finish, read_back, to_bytes
from fanwise.workloads.modelsearch._ledger import FileLedger, MemoryLedger, pack, unpack

KEY, OTHER = b"k" * 16, b"o" * 16
PAYLOADS = {0: b"first", 1: b"", 7: b"x" * 300, 3: b"third"}


def write(path: Path, key: bytes = KEY) -> bytes:
    with FileLedger(path, key) as ledger:
        for chunk, payload in PAYLOADS.items():
            ledger.save(chunk, payload)
    return path.read_bytes()


def read(path: Path, key: bytes = KEY) -> tuple[dict[int, bytes], int]:
    with FileLedger(path, key) as ledger:
        return {chunk: ledger.load(chunk) for chunk in ledger}, ledger.damaged


def test_what_was_saved_is_there(tmp_path: Path) -> None:
    write(tmp_path / "records")
    assert read(tmp_path / "records") == (PAYLOADS, 0)
    assert (tmp_path / "records").stat().st_mode & 0o777 == 0o600


def test_a_file_cut_anywhere_gives_every_whole_record(tmp_path: Path) -> None:
    content = write(tmp_path / "records")
    seen = set()
    for length in range(len(content) + 1):
        (tmp_path / "cut").write_bytes(content[:length])
        found, damaged = read(tmp_path / "cut")
        assert found.items() <= PAYLOADS.items()
        assert damaged <= 1
        seen.add(len(found))
    assert seen == set(range(len(PAYLOADS) + 1))


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_costs_the_record_that_it_hits_and_no_other(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(write(tmp_path / "whole"))
    (tmp_path / "whole").unlink()
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    (tmp_path / "bad").write_bytes(content)
    found, damaged = read(tmp_path / "bad")
    assert found.items() <= PAYLOADS.items()
    assert len(found) >= len(PAYLOADS) - 1
    assert damaged >= 1


@given(st.binary(max_size=400))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_is_passed_over(tmp_path: Path, noise: bytes) -> None:
    content = write(tmp_path / "whole")
    (tmp_path / "whole").unlink()
    (tmp_path / "noisy").write_bytes(noise + content + noise)
    found, _ = read(tmp_path / "noisy")
    assert found == PAYLOADS


def test_a_payload_may_contain_the_magic_itself(tmp_path: Path) -> None:
    tricky = {0: b"FWCHUNK1" * 9, 1: b"after"}
    with FileLedger(tmp_path / "records", KEY) as ledger:
        for chunk, payload in tricky.items():
            ledger.save(chunk, payload)
    assert read(tmp_path / "records") == (tricky, 0)
    content = (tmp_path / "records").read_bytes()
    (tmp_path / "records").write_bytes(b"!" + content[1:])
    assert read(tmp_path / "records")[0] == {1: b"after"}


def test_records_of_another_run_are_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "records", OTHER)
    found, damaged = read(tmp_path / "records")
    assert (found, damaged > 0) == ({}, True)
    write(tmp_path / "records")
    assert read(tmp_path / "records")[0] == PAYLOADS


def test_a_chunk_saved_twice_counts_as_it_was_last(tmp_path: Path) -> None:
    with FileLedger(tmp_path / "records", KEY) as ledger:
        ledger.save(1, b"old")
        ledger.save(1, b"new")
        assert ledger.load(1) == b"new"
    assert read(tmp_path / "records") == ({1: b"new"}, 0)


def test_work_goes_on_behind_a_torn_record(tmp_path: Path) -> None:
    content = write(tmp_path / "records")
    (tmp_path / "records").write_bytes(content[:-3])
    with FileLedger(tmp_path / "records", KEY) as ledger:
        assert 3 not in ledger
        ledger.save(3, PAYLOADS[3])
    assert read(tmp_path / "records") == (PAYLOADS, 1)


@pytest.mark.usefixtures("impatient")
def test_only_one_search_writes_a_directory(tmp_path: Path) -> None:
    (tmp_path / "out" / ".chunks").mkdir(parents=True)
    path = tmp_path / "out" / ".chunks" / "records"
    with FileLedger(path, KEY), pytest.raises(UsageError, match="is being written by another search"):
        FileLedger(path, KEY)
    with FileLedger(path, KEY) as ledger:
        assert 0 not in ledger


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "records")
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(UsageError, match="belongs to another user"):
        FileLedger(tmp_path / "records", KEY)


def test_a_full_disk_is_an_error_and_costs_no_earlier_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records"
    with FileLedger(path, KEY) as ledger:
        ledger.save(0, b"first")

        def full(fd: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "no space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="no space left"):
            ledger.save(1, b"second")
        monkeypatch.undo()
    assert read(path) == ({0: b"first"}, 0)


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_some = os.write
    with FileLedger(tmp_path / "records", KEY) as ledger:
        monkeypatch.setattr(os, "write", lambda fd, data: write_some(fd, data[:7]))
        ledger.save(5, b"a longer payload than seven bytes")
        monkeypatch.undo()
    assert read(tmp_path / "records") == ({5: b"a longer payload than seven bytes"}, 0)


def test_records_reach_the_disk_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanwise.workloads.modelsearch import _ledger

    synced = []
    clock = iter([0.0, 0.4, 1.5, 1.5, 1.9])
    monkeypatch.setattr(_ledger.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with FileLedger(tmp_path / "records", KEY) as ledger:
        for chunk in range(3):
            ledger.save(chunk, b"")
    assert len(synced) == 1


def test_a_search_without_files_keeps_its_chunks_in_memory() -> None:
    with MemoryLedger() as ledger:
        ledger.save(4, b"payload")
        assert 4 in ledger
        assert 5 not in ledger
        assert ledger.load(4) == b"payload"


def test_arrays_come_back_as_they_were() -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "text": np.array(["HAC(4)", ""]), "none": np.empty((0, 3))}
    found = unpack(pack(arrays))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_payloads_hold_no_pickles() -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        pack({"objects": np.array([object()])})


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("prefetch", ["all", "lazy"])
def test_a_finished_chunk_comes_back_as_it_was(tmp_path: Path, full: bool, prefetch: str) -> None:
    sections = {**with_test(), "filters": {"p_max": 0.5, "r2_min": 0.1}, "run": {"prefetch": prefetch}}
    ctx = context(world(tmp_path, sections))
    done = finish(ctx, (3, 30), full=full)
    back = read_back(to_bytes(done))
    assert (back.assessment.tried, back.assessment.fell) == (27, done.assessment.fell)
    assert (back.text, back.built) == (done.text, done.built)
    assert bool(back.text) == full
    assert bool(back.built) == (prefetch == "lazy")
    np.testing.assert_array_equal(back.assessment.nearest, done.assessment.nearest)
    np.testing.assert_array_equal(back.assessment.best.bootstrap, done.assessment.best.bootstrap)
    assert back.assessment.best.observed == done.assessment.best.observed
    for name, column in done.assessment.table.columns.items():
        np.testing.assert_array_equal(back.assessment.table[name], column)
