"""Bundles as files: complete or absent, checked when read, and readable for ever."""

from __future__ import annotations

import json
import os
import resource
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.contract.bundle_values import rewrite_meta

from fanwise import Bundle, errors, freeze
from fanwise.bundle._hashes import preferred
from fanwise.errors import BundleError, UsageError


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("f.fwb")


@pytest.fixture
def saved(path: Path) -> Path:
    values = {"a": np.arange(100.0), "b": np.arange(5000.0).reshape(50, 100), "model": {"k": 1}, "note": b"hello"}
    with freeze(values) as bundle:
        bundle.save(path)
    return path


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def entry_offset(path: Path, name: str) -> tuple[int, int]:
    with Bundle.open(path) as bundle:
        (buffer,) = bundle.reader.entries[name].buffers
        return buffer.offset, buffer.end


class TestOpening:
    def test_reads_what_was_saved(self, saved: Path) -> None:
        with Bundle.open(saved, trust=True) as bundle:
            assert bundle["b"].tolist() == np.arange(5000.0).reshape(50, 100).tolist()
            assert not bundle["b"].flags.writeable
            assert (bundle["model"], bundle["note"]) == ({"k": 1}, b"hello")
            assert repr(bundle) == "<Bundle 'f.fwb' 4 entries, 40.83 kB, file>"

    def test_pickles_are_left_alone_without_trust_and_the_rest_is_read(self, saved: Path) -> None:
        with Bundle.open(saved) as bundle:
            with pytest.raises(
                BundleError, match=r"^entry 'model' is a pickle; Bundle\.open\(path, trust=True\) if you"
            ):
                bundle["model"]
            with pytest.raises(BundleError, match=r"^entry 'model' is a pickle"):
                bundle.thaw("model")
            assert bundle["note"] == b"hello"
            assert len(bundle.digest) == 32

    def test_a_frame_with_a_column_of_objects_needs_trust_too(self, path: Path) -> None:
        with freeze({"frame": pd.DataFrame({"o": [object, 1]}), "fine": pd.DataFrame({"x": [1]})}) as bundle:
            bundle.save(path)
        with Bundle.open(path) as bundle:
            with pytest.raises(BundleError, match=r"^entry 'frame' holds a pickle"):
                bundle["frame"]
            assert bundle["fine"]["x"].tolist() == [1]

    def test_a_loaded_pickle_would_have_run_code(self, path: Path) -> None:
        class Mean:
            def __reduce__(self) -> Any:
                return os.mkdir, ("pwned",)

        with freeze({"x": Mean()}) as bundle:
            bundle.save(path)
        with Bundle.open(path, verify="all") as bundle:
            with pytest.raises(BundleError):
                bundle["x"]
            bundle.describe(), bundle.digest, repr(bundle)
        assert not os.path.exists("pwned")

    @pytest.mark.parametrize("verify", ["yes", None, 2])
    def test_verify_is_one_of_three(self, saved: Path, verify: Any) -> None:
        with pytest.raises(UsageError, match="verify must be True, False or 'all'"):
            Bundle.open(saved, verify=verify)

    def test_a_newer_schema_is_named(self, saved: Path) -> None:
        content = bytearray(saved.read_bytes())
        content[8:12] = (3).to_bytes(4, "little")
        content[64:72] = preferred().sum64(bytes(content[:64])).to_bytes(8, "little")
        saved.write_bytes(content)
        with pytest.raises(
            BundleError, match=r"'f\.fwb' was written by a newer fanwise \(schema 3; this one reads 1\)"
        ):
            Bundle.open(saved)


class TestDamage:
    def test_a_short_file(self, saved: Path) -> None:
        size = saved.stat().st_size
        os.truncate(saved, 5000)
        with pytest.raises(BundleError, match=rf"^'f\.fwb' is truncated: 5,000 bytes, its header says {size:,}$"):
            Bundle.open(saved)

    def test_a_flipped_bit_costs_its_entry_only(self, saved: Path) -> None:
        start, end = entry_offset(saved, "b")
        flip(saved, start + 3)
        with Bundle.open(saved) as bundle:
            wanted = rf"^'f\.fwb': entry 'b' is damaged \(checksum of bytes {start:,}\.\.{end:,}\)$"
            for _ in range(2):
                with pytest.raises(BundleError, match=wanted):
                    bundle["b"]
            with pytest.raises(BundleError, match=wanted):
                bundle.thaw("b")
            assert bundle["a"].tolist() == np.arange(100.0).tolist()
            with pytest.raises(BundleError, match=wanted):
                _ = bundle.digest

    def test_verify_all_finds_it_at_once(self, saved: Path) -> None:
        flip(saved, entry_offset(saved, "b")[0])
        with pytest.raises(BundleError, match="entry 'b' is damaged"):
            Bundle.open(saved, verify="all")

    def test_verify_false_hands_out_what_is_there(self, saved: Path) -> None:
        flip(saved, entry_offset(saved, "b")[0])
        with Bundle.open(saved, verify=False) as bundle:
            assert bundle["b"].shape == (50, 100)

    def test_a_damaged_bundle_is_not_saved_as_a_sound_one(self, saved: Path) -> None:
        flip(saved, entry_offset(saved, "b")[0])
        with Bundle.open(saved) as bundle, pytest.raises(BundleError, match="entry 'b' is damaged"):
            bundle.save("other.fwb")
        assert sorted(os.listdir()) == ["f.fwb"]

    def test_a_flipped_bit_in_the_header(self, saved: Path) -> None:
        flip(saved, 20)
        with pytest.raises(BundleError, match=r"^'f\.fwb': damaged header"):
            Bundle.open(saved)

    def test_a_flipped_bit_in_the_directory(self, saved: Path) -> None:
        flip(saved, saved.stat().st_size - 30)
        with pytest.raises(BundleError, match=r"^'f\.fwb': damaged directory"):
            Bundle.open(saved)

    @pytest.mark.parametrize(
        ("meta", "name"),
        [
            ({"dtype": "<f8", "shape": [2**40, 2**40], "order": "C"}, "a"),
            ({"dtype": "<f8", "shape": [-1], "order": "C"}, "a"),
            ({"dtype": "<f8", "shape": [100.0], "order": "C"}, "a"),
            ({"dtype": "<f8", "shape": 100, "order": "C"}, "a"),
            ({"dtype": "<f8", "shape": [1] * 65 + [100], "order": "C"}, "a"),
            ({"dtype": "<f8", "shape": [100], "order": "K"}, "a"),
            ({"dtype": "O", "shape": [100], "order": "C"}, "a"),
            ({"dtype": "<M8[0s]", "shape": [100], "order": "C"}, "a"),
            ({"dtype": "i4,i4", "shape": [100], "order": "C"}, "a"),
            ({"descr": [["a", "<f8"]], "itemsize": 16, "shape": [100], "order": "C"}, "a"),
            ({"descr": [["a", "O"]], "itemsize": 8, "shape": [100], "order": "C"}, "a"),
            ({"descr": "<f8", "itemsize": 8, "shape": [100], "order": "C"}, "a"),
            ({"descr": [["a"]], "itemsize": 8, "shape": [100], "order": "C"}, "a"),
            ({}, "a"),
            ({"type": "bytearray", "format": "O", "shape": [5]}, "note"),
            ({"type": "list", "format": "B", "shape": [5]}, "note"),
            ({"type": "bytearray", "format": "B", "shape": [7]}, "note"),
        ],
    )
    def test_a_description_that_does_not_fit_its_bytes_is_damage_not_a_crash(
        self, saved: Path, meta: dict[str, Any], name: str
    ) -> None:
        rewrite_meta(saved, name, meta)
        if meta or name == "a":
            with Bundle.open(saved) as bundle:
                with pytest.raises(BundleError, match=rf"^'f\.fwb': entry '{name}' is damaged at byte"):
                    bundle[name]
                assert bundle["b"].shape == (50, 100)


class TestHostileTables:
    """Without trust, contents that compiled code would follow blindly are looked at first."""

    @pytest.mark.parametrize(
        ("value", "damage"),
        [
            (pd.Series(pd.Categorical(["u", "v"] * 8)), bytes([9]) * 16),
            (pd.DataFrame({"x": [1, 2]}, index=pd.MultiIndex.from_arrays([["a", "b"], [1, 2]])), bytes([9]) * 2),
        ],
        ids=["codes", "levels"],
    )
    def test_codes_without_a_category(self, path: Path, value: Any, damage: bytes) -> None:
        self.check(path, value, damage)

    def test_indices_outside_a_sparse_matrix(self, path: Path) -> None:
        sp = pytest.importorskip("scipy.sparse")
        for kind in (sp.csr_array, sp.csc_array, sp.coo_array):
            self.check(path, kind(np.eye(4)), np.full(4, 99, np.int32).tobytes())

    @staticmethod
    def check(path: Path, value: Any, damage: bytes) -> None:
        with freeze({"x": value}) as bundle:
            bundle.save(path, force=True)
            buffers = bundle.reader.entries["x"].buffers
        content = bytearray(path.read_bytes())
        spoiled = 0
        for buffer in buffers:
            if buffer.length == len(damage):
                content[buffer.offset : buffer.end] = damage
                spoiled += 1
        assert spoiled
        path.write_bytes(content)
        with Bundle.open(path, verify=False) as bundle, pytest.raises(BundleError, match="entry 'x' is damaged"):
            bundle["x"]


class TestNoBundle:
    @pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", bytes(10_000), b"FWBNDL\r\n"], ids=repr)
    def test_other_files(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(BundleError, match=r"^'f\.fwb' is (not a fanwise bundle|truncated)"):
            Bundle.open(path)

    def test_a_missing_file_is_named(self, path: Path) -> None:
        with pytest.raises(BundleError, match=r"^'f\.fwb' can't be opened: No such file"):
            Bundle.open(path)

    def test_a_folder(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(BundleError, match=r"^'f\.fwb' is not a fanwise bundle: it is no regular file"):
            Bundle.open(path)

    def test_a_pipe_is_not_waited_for(self, path: Path) -> None:
        os.mkfifo(path)
        with pytest.raises(BundleError, match="it is no regular file"):
            Bundle.open(path)

    def test_a_path_that_cannot_be(self) -> None:
        with pytest.raises(BundleError, match="can't be opened"):
            Bundle.open("a\0b")


class TestSaving:
    def test_an_existing_file_is_kept_unless_forced(self, saved: Path) -> None:
        before = saved.read_bytes()
        with freeze({"x": b"new"}) as bundle:
            with pytest.raises(BundleError, match=r"^'f\.fwb' exists; save\(path, force=True\) replaces it"):
                bundle.save(saved)
            assert saved.read_bytes() == before
            bundle.save(saved, force=True)
        with Bundle.open(saved) as bundle:
            assert dict(bundle) == {"x": b"new"}

    def test_a_replaced_file_can_still_be_read_by_who_opened_it(self, saved: Path) -> None:
        with Bundle.open(saved) as old, freeze({"x": b"new"}) as new:
            new.save(saved, force=True)
            assert old["note"] == b"hello"

    def test_a_bundle_can_be_saved_over_its_own_file(self, saved: Path) -> None:
        with Bundle.open(saved) as bundle:
            bundle.save(saved, force=True)
            assert bundle["note"] == b"hello"
        with Bundle.open(saved, verify="all", trust=True) as bundle:
            assert bundle["model"] == {"k": 1}

    def test_only_the_owner_may_read_it(self, saved: Path) -> None:
        assert stat.S_IMODE(saved.stat().st_mode) == 0o600
        assert os.listdir() == ["f.fwb"]

    def test_a_missing_folder_is_named(self, path: Path) -> None:
        with (
            freeze({"x": b""}) as bundle,
            pytest.raises(BundleError, match=r"^'no/f.fwb' can't be written: No such file"),
        ):
            bundle.save(Path("no") / path)

    def test_a_folder_in_its_place(self, path: Path) -> None:
        path.mkdir()
        with freeze({"x": b""}) as bundle:
            for force in (False, True):
                with pytest.raises(BundleError, match=r"^'f\.fwb' (exists|can't be written)"):
                    bundle.save(path, force=force)
        assert os.listdir() == ["f.fwb"]

    def test_a_full_disk_leaves_nothing(self, path: Path) -> None:
        with freeze({"x": np.zeros(100_000)}) as bundle:
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))  # a write past it fails, as on a full disk
            try:
                with pytest.raises(BundleError, match=r"^'f\.fwb' can't be written: File too large"):
                    bundle.save(path)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert os.listdir() == []

    def test_two_writers_of_one_name_do_not_overwrite_each_other(self, path: Path) -> None:
        class Racer:
            """Makes the file while the bundle that holds it is being written."""

            def __fspath__(self) -> str:
                return "f.fwb"

        from fanwise.bundle import _files

        with freeze({"x": b"slow"}) as slow, freeze({"x": b"fast"}) as fast:
            fast.save("temporary")
            fast.save(Racer())
            with pytest.raises(BundleError, match="exists"):
                _files._publish("temporary", path, "'f.fwb'", force=False)
            del slow
        with Bundle.open(path) as bundle:
            assert bundle["x"] == b"fast"

    def test_a_closed_bundle_is_not_saved(self, path: Path) -> None:
        bundle = freeze({"x": b""}, name="market")
        bundle.close()
        with pytest.raises(BundleError, match=r"^bundle 'market' is closed$"):
            bundle.save(path)


class TestWithoutXxhash:
    def test_a_file_of_blake2b_is_read_by_anyone(self, path: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "xxhash", None)
            with freeze({"x": np.arange(5)}) as bundle:
                bundle.save(path)
                digest = bundle.digest
            with Bundle.open(path, verify="all") as bundle:
                assert (bundle["x"].tolist(), bundle.digest) == ([0, 1, 2, 3, 4], digest)
        assert path.read_bytes()[12] == 2
        with Bundle.open(path, verify="all") as bundle:
            assert bundle["x"].tolist() == [0, 1, 2, 3, 4]
            assert bundle.digest != digest  # the name of the hash is part of it: another host misses, no more
        flip(path, 4096)
        with pytest.raises(BundleError, match="entry 'x' is damaged"):
            Bundle.open(path, verify="all")

    def test_a_file_of_xxh3_needs_it_unless_unverified(self, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "xxhash", None)
        with pytest.raises(BundleError, match=r"^'f\.fwb' needs xxhash to be verified: pip install"):
            Bundle.open(saved)
        with Bundle.open(saved, verify=False) as bundle:
            assert bundle["note"] == b"hello"


class TestTheReferenceFile:
    """Schema 1 stays readable for ever: a file that this code did not write."""

    def test_reads_as_described(self, shared_data: Path) -> None:
        wanted = json.loads((shared_data / "freeze" / "sample.json").read_text("utf-8"))
        with Bundle.open(shared_data / "freeze" / "sample.fwb", verify="all") as bundle:
            assert list(bundle) == list(wanted)
            for name, description in wanted.items():
                check_against(bundle[name], description)

    @pytest.mark.slow
    def test_any_flipped_byte_that_is_no_gap_is_noticed(self, shared_data: Path, path: Path) -> None:
        content = (shared_data / "freeze" / "sample.fwb").read_bytes()
        path.write_bytes(content)
        with Bundle.open(path) as bundle:
            used = {n for e in bundle.reader.entries.values() for b in e.buffers for n in range(b.offset, b.end)}
            used |= set(range(72)) | set(range(bundle.reader.header.directory_at, len(content)))
        for offset in sorted(used):
            changed = bytearray(content)
            changed[offset] ^= 0xFF
            path.write_bytes(changed)
            with pytest.raises(BundleError):
                Bundle.open(path, verify="all")


def check_against(value: Any, description: dict[str, Any]) -> None:
    if description["kind"] == "bytes":
        assert value == bytes.fromhex(description["hex"])
        return
    assert value.dtype.str == description["dtype"]
    assert list(value.shape) == description["shape"]
    assert value.flags.c_contiguous if description["order"] == "C" else value.flags.f_contiguous
    seen = value.astype(str).tolist() if value.dtype.kind in "MU" else value.tolist()
    assert seen == description["values"]


def test_bundle_error_is_the_one_users_catch() -> None:
    assert issubclass(BundleError, errors.FanwiseError)
