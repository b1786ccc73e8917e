"""Finding files, reading them, keeping finished ones, writing outputs."""

from __future__ import annotations

import gc
import os
import pickle
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from fanwise.errors import InputError, UsageError
from fanwise.workloads.auditscan import System, io
from fanwise.workloads.auditscan._search import Found
from fanwise.workloads.auditscan._spool import Spooled, spool


def tree(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def shown(*paths: Path, glob: str = "*.txt") -> list[str]:
    return [source.shown for source in io.find_sources(paths, glob)]


class TestFindingFiles:
    def test_a_folder_gives_matching_files_by_code_point(self, tmp_path: Path) -> None:
        tree(tmp_path, "b.txt", "a/z.txt", "a.txt", "B.txt", "é.txt", "x.log", ".h.txt", "a/b/c.txt")
        assert shown(tmp_path) == [".h.txt", "B.txt", "a.txt", "a/b/c.txt", "a/z.txt", "b.txt", "é.txt"]

    def test_a_glob_with_a_slash_looks_at_the_relative_path(self, tmp_path: Path) -> None:
        tree(tmp_path, "a.log", "x/a.log", "x/y/a.log")
        assert shown(tmp_path, glob="*.log") == ["a.log", "x/a.log", "x/y/a.log"]
        assert shown(tmp_path, glob="x/*") == ["x/a.log", "x/y/a.log"]

    def test_a_file_is_taken_whatever_its_name(self, tmp_path: Path) -> None:
        tree(tmp_path, "x/report.log")
        [source] = io.find_sources([tmp_path / "x/report.log"])
        assert (source.shown, source.named, source.size) == ("report.log", True, 12)

    def test_the_order_of_paths_is_kept_and_no_file_comes_twice(self, tmp_path: Path) -> None:
        tree(tmp_path, "a.txt", "b.txt", "sub/c.txt")
        os.symlink(tmp_path / "a.txt", tmp_path / "sub/link.txt")
        assert shown(tmp_path / "b.txt", tmp_path, tmp_path / "sub/../a.txt") == ["b.txt", "a.txt", "sub/c.txt"]

    def test_folders_behind_links_are_left_out(self, tmp_path: Path) -> None:
        tree(tmp_path, "in/a.txt", "out/b.txt")
        os.symlink(tmp_path / "out", tmp_path / "in/link")
        assert shown(tmp_path / "in") == ["a.txt"]
        os.symlink(tmp_path / "in", tmp_path / "named")
        assert shown(tmp_path / "named") == ["a.txt"]

    def test_a_missing_path_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=f"^cannot read {tmp_path}/gone: no such file$"):
            io.find_sources([tmp_path / "gone"])

    def test_a_folder_without_a_match_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=f"^no files match '\\*.txt' under {tmp_path}$"):
            io.find_sources([tmp_path])

    def test_a_link_to_nowhere_is_listed_as_failed(self, tmp_path: Path) -> None:
        os.symlink(tmp_path / "gone", tmp_path / "a.txt")
        for paths in ([tmp_path], [tmp_path / "a.txt"]):
            [source] = io.find_sources(paths)
            assert (source.status, source.reason) == ("failed", "no such file or directory")

    def test_what_is_no_regular_file_is_listed_without_being_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        os.mkfifo(tmp_path / "fifo.txt")
        server = socket.socket(socket.AF_UNIX)
        monkeypatch.chdir(tmp_path)  # the path of a socket is short
        server.bind("sock.txt")
        server.close()
        sources = io.find_sources([tmp_path])
        assert [(s.shown, s.status, s.reason) for s in sources] == [
            ("fifo.txt", "skipped", "not a regular file (named pipe)"),
            ("sock.txt", "skipped", "not a regular file (socket)"),
        ]
        assert io.find_sources(["/dev/null"])[0].reason == "not a regular file (device)"

    def test_a_folder_that_cannot_be_read_is_listed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tree(tmp_path, "a.txt", "locked/b.txt")
        real = os.scandir

        def scandir(path: str) -> object:
            if os.fspath(path).endswith("locked"):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)  # root can read every folder
        assert [(s.shown, s.status, s.reason) for s in io.find_sources([tmp_path])] == [
            ("a.txt", "", ""),
            ("locked", "failed", "permission denied"),
        ]

    def test_a_name_that_is_no_utf8_can_be_shown(self, tmp_path: Path) -> None:
        path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.txt")
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        [source] = io.find_sources([tmp_path])
        assert source.shown == "caf\ufffd.txt"
        assert io.read_bytes(source.path) == b""


class TestReading:
    def test_a_pipe_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "p")
        with pytest.raises(OSError, match="not a regular file"):
            io.read_bytes(str(tmp_path / "p"))

    def test_digest_of_what_cannot_be_read_is_none(self, tmp_path: Path) -> None:
        assert io.sha256_of(str(tmp_path / "gone")) is None
        tree(tmp_path, "a")
        assert io.sha256_of(str(tmp_path / "a")) == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"

    def test_one_audit_file(self, tmp_path: Path) -> None:
        tree(tmp_path, "a.txt")
        assert io.read_audit(str(tmp_path / "a.txt"), None, None).text == "a.txt"
        (tmp_path / "e").write_bytes(b"")
        for name, message in (("e", "e: empty file"), ("gone", "cannot read .*gone: no such file")):
            with pytest.raises(InputError, match=message):
                io.read_audit(str(tmp_path / name), None, None)


IDENTITY = {"rule set": "abc", "compat mode": None, "rule timeout": 5.0}


def spooled(text: str = "x", sha256: str = "a" * 64) -> Spooled:
    blocks, body = spool([Found(0, [(1, text, None)])])
    return Spooled(sha256, 3, "ascii", System("", "Linux", "KPNIXAUDIT"), blocks=blocks, body=body)


class TestJournal:
    def test_gives_back_what_was_put(self, tmp_path: Path) -> None:
        folder = str(tmp_path / "j")
        journal = io.Journal(folder, IDENTITY)
        whole = spooled()
        read = journal.put(whole)
        assert read(whole.blocks[0].offset, whole.blocks[0].length) == whole.body
        del journal, read
        gc.collect()
        kept, again = io.Journal(folder, IDENTITY).get("a" * 64)
        assert kept == replace(whole, body=b"")
        assert again(0, len(whole.body)) == whole.body

    def test_is_for_the_owner_only(self, tmp_path: Path) -> None:
        folder = tmp_path / "j"
        journal = io.Journal(str(folder), IDENTITY)
        journal.put(spooled())
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}

    def test_refuses_a_folder_that_others_can_read(self, tmp_path: Path) -> None:
        (tmp_path / "j").mkdir(mode=0o755)
        with pytest.raises(UsageError, match="can be read or written by others"):
            io.Journal(str(tmp_path / "j"), IDENTITY)

    def test_refuses_what_was_begun_otherwise_and_says_what(self, tmp_path: Path) -> None:
        folder = str(tmp_path / "j")
        io.Journal(folder, IDENTITY)
        gc.collect()
        with pytest.raises(UsageError, match="another compat mode, rule timeout; use --force"):
            io.Journal(folder, {**IDENTITY, "compat mode": "kpat", "rule timeout": 1.0})

    def test_refuses_one_that_is_damaged(self, tmp_path: Path) -> None:
        folder = tmp_path / "j"
        folder.mkdir(mode=0o700)
        for content in ("{", "[]"):
            (folder / "journal.json").write_text(content)
            with pytest.raises(UsageError, match="is damaged"):
                io.Journal(str(folder), IDENTITY)
            gc.collect()

    @pytest.mark.usefixtures("impatient")
    def test_serves_one_scan_at_a_time(self, tmp_path: Path) -> None:
        folder = str(tmp_path / "j")
        journal = io.Journal(folder, IDENTITY)
        with pytest.raises(UsageError, match="in use by another scan"):
            io.Journal(folder, IDENTITY)
        with pytest.raises(UsageError, match="in use by another scan"):
            io.remove_journal(folder, unless_in_use=True)
        assert os.path.isdir(folder)
        del journal
        gc.collect()
        io.remove_journal(folder, unless_in_use=True)
        assert not os.path.isdir(folder)
        io.remove_journal(folder)

    @pytest.mark.parametrize("cut", [0, 1, 50, -1])
    def test_a_torn_file_counts_as_none(self, tmp_path: Path, cut: int) -> None:
        journal = io.Journal(str(tmp_path / "j"), IDENTITY)
        journal.put(spooled())
        path = tmp_path / "j" / f"{'a' * 64}.scan"
        path.write_bytes(path.read_bytes()[:cut])
        assert journal.get("a" * 64) is None
        assert journal.get("b" * 64) is None
        assert journal.get(None) is None

    def test_what_another_journal_kept_can_be_taken_in(self, tmp_path: Path) -> None:
        first = io.Journal(str(tmp_path / "1"), IDENTITY)
        first.put(spooled("text"))
        second = io.Journal(None, IDENTITY)
        kept, read = second.restore("a" * 64, first.entry("a" * 64))
        assert read(kept.blocks[0].offset, kept.blocks[0].length) == spooled("text").body
        assert second.restore("b" * 64, first.entry("a" * 64)) is None
        assert second.restore("b" * 64, None) is None
        assert second.restore("b" * 64, b"nonsense") is None

    def test_a_temporary_one_goes_with_the_last_that_refers_to_it(self) -> None:
        journal = io.Journal(None, IDENTITY)
        folder = journal.folder
        read = journal.put(spooled())
        del journal
        gc.collect()
        assert os.path.isdir(folder)
        copy = pickle.loads(pickle.dumps(read))
        assert copy(0, 5) == read(0, 5)
        del read
        gc.collect()
        assert not os.path.exists(folder)

    def test_a_full_disk_leaves_no_half_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = io.Journal(str(tmp_path / "j"), IDENTITY)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(InputError, match=r"cannot write .*: no space left on device"):
            journal.put(spooled())
        assert sorted(path.name for path in (tmp_path / "j").iterdir()) == ["journal.json"]

    def test_a_folder_that_cannot_be_made_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(InputError, match="cannot write"):
            io.Journal(str(tmp_path / "file/j"), IDENTITY)


class TestOutputs:
    def test_get_their_names_together_at_the_end(self, tmp_path: Path) -> None:
        with io.Outputs(tmp_path / "deep/out") as outputs:
            for name in ("b", "a"):
                with outputs.file(name) as file:
                    file.write(name.encode())
            assert {path.name for path in outputs.folder.iterdir()} == {".a.writing", ".b.writing"}
        assert [path.name for path in outputs.names()] == ["b", "a"]
        assert (tmp_path / "deep/out/a").read_text() == "a"
        assert len(list(outputs.folder.iterdir())) == 2

    def test_after_an_error_there_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(KeyError), io.Outputs(tmp_path) as outputs, outputs.file("a") as file:
            file.write(b"half")
            raise KeyError
        assert list(tmp_path.iterdir()) == []

    def test_a_full_disk_is_told_with_the_final_name(self, tmp_path: Path) -> None:
        full = Path("/dev/full")
        if not full.exists():
            pytest.skip("no /dev/full")
        os.symlink(full, tmp_path / ".a.writing")
        with (
            pytest.raises(InputError, match=f"cannot write {tmp_path}/a: no space left"),
            io.Outputs(tmp_path) as outputs,
            outputs.file("a") as file,
        ):
            file.write(b"x" * 10)
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_made_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(InputError, match=r"cannot write .*file/out: not a directory"):
            io.Outputs(tmp_path / "file/out")

    def test_those_of_an_earlier_scan_are_refused_by_name(self, tmp_path: Path) -> None:
        io.refuse_earlier(tmp_path)
        io.refuse_earlier(tmp_path / "gone")
        (tmp_path / "Linux.partial.xlsx").touch()
        with pytest.raises(
            UsageError, match=r"Linux\.partial\.xlsx exists; use --force to overwrite it, or --resume to finish"
        ):
            io.refuse_earlier(tmp_path)
        (tmp_path / "run.json").touch()
        with pytest.raises(UsageError, match=r"run\.json exists; use --force to overwrite it\.$"):
            io.refuse_earlier(tmp_path)

    def test_stale_ones_are_removed_and_nothing_else(self, tmp_path: Path) -> None:
        for name in ("Windows.xlsx", "results.jsonl", "results.partial.jsonl", "notes.txt"):
            (tmp_path / name).touch()
        io.remove_stale(tmp_path, keep=[tmp_path / "results.jsonl"])
        assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "results.jsonl"]


class TestSamples:
    def test_the_same_seed_gives_the_same_bytes(self, tmp_path: Path) -> None:
        first, second, other = (
            io.write_samples(tmp_path / d, 4, kilobytes=8, seed=s) for d, s in (("a", 1), ("b", 1), ("c", 2))
        )
        assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
        assert [p.read_bytes() for p in first] != [p.read_bytes() for p in other]
        assert [p.name for p in first] == ["linux-001.txt", "windows-002.txt", "darwin-003.txt", "linux-004.txt"]

    def test_are_as_large_as_wanted_and_have_the_line_ends_of_their_systems(self, tmp_path: Path) -> None:
        linux, windows, darwin = io.write_samples(tmp_path, 3, kilobytes=40)
        assert all(40 * 1024 <= p.stat().st_size < 45 * 1024 for p in (linux, windows, darwin))
        assert b"\r" not in linux.read_bytes()
        assert windows.read_bytes().count(b"\r\n") == windows.read_bytes().count(b"\n")
