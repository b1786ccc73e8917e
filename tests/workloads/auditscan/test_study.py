"""Scans as fanwise runs: files in order, the same bytes for any number of workers, resume, cache, services."""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fanwise
from fanwise.errors import InputError, UsageError
from fanwise.typing import InterruptPolicy
from fanwise.workloads import auditscan
from fanwise.workloads.auditscan import Rule, RuleSet, ScanService

pytest.importorskip("fanwise._api.verbs", reason="the public verbs are not there yet")

FORMATS = ("xlsx", "jsonl", "csv", "sarif")
LINUX = b"KPNIXVERSION: 0.6.22\n"


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return auditscan.load_rules(auditscan.example_rules())


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    auditscan.write_samples(tmp_path / "audit", 6, kilobytes=24)
    return tmp_path / "audit"


def scan(paths: Any, rules: RuleSet, **options: Any) -> auditscan.ScanResult:
    settings = {"workers": 1, "progress": "none", **options}
    return auditscan.scan(paths if isinstance(paths, list) else [paths], rules, **settings)


def digests(folder: Path) -> dict[str, str]:
    """Content of all outputs; of run.json without what may differ between runs."""
    found = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        if path.name == "run.json":
            run = json.loads(data)
            for name in ("resumed", "cached", "timing"):
                del run[name]
            data = json.dumps(run).encode()
        found[path.name] = hashlib.sha256(data).hexdigest()
    return found


def statuses(result: auditscan.ScanResult) -> dict[str, str]:
    return {file.path: f"{file.status}: {file.reason}" if file.reason else file.status for file in result.files}


class TestScanning:
    def test_files_are_reported_in_order_whatever_their_size(self, samples: Path, rules: RuleSet) -> None:
        (samples / "aaa.txt").write_bytes(LINUX)
        result = scan(samples, rules)
        assert [file.path for file in result.files] == sorted(path.name for path in samples.iterdir())
        assert {file.status for file in result.files} == {"done"}
        assert not result.partial
        assert result.report is not None

    def test_results_are_those_of_the_text(self, samples: Path, rules: RuleSet) -> None:
        for file in scan(samples, rules).files:
            data = (samples / file.path).read_bytes()
            plain = auditscan.scan_text(data.decode(), rules)
            assert [(h.rule.name, list(h.matches)) for h in file.hits] == [
                (h.rule.name, list(h.matches)) for h in plain
            ]
            assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())

    def test_what_cannot_be_searched_says_why_and_costs_nobody_else(self, samples: Path, rules: RuleSet) -> None:
        (samples / "a-empty.txt").touch()
        (samples / "b-binary.txt").write_bytes(b"several bytes and \0 one of them")
        (samples / "c-zip.txt").write_bytes(b"PK\x03\x04")
        (samples / "d-readme.txt").write_text("Read me.")
        os.symlink("nowhere", samples / "e-link.txt")
        os.mkfifo(samples / "f-fifo.txt")
        result = scan(samples, rules)
        told = statuses(result)
        assert told["a-empty.txt"] == "skipped: empty file"
        assert told["b-binary.txt"] == "skipped: binary file"
        assert told["c-zip.txt"] == "skipped: archive; unpack it first"
        assert told["d-readme.txt"].startswith("skipped: no KPNIXVERSION")
        assert told["e-link.txt"] == "failed: no such file or directory"
        assert told["f-fifo.txt"] == "skipped: not a regular file (named pipe)"
        assert [file.path for file in result.files if file.excused] == ["d-readme.txt"]
        assert list(told.values()).count("done") == 6

    def test_a_text_that_is_named_is_not_excused(self, tmp_path: Path, rules: RuleSet) -> None:
        (tmp_path / "readme").write_text("Read me.")
        [file] = scan(tmp_path / "readme", rules).files
        assert (file.status, file.excused, file.path) == ("skipped", False, "readme")

    def test_unknown_files_can_be_searched(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("root")
        rules = RuleSet((Rule("r", "root"),))
        [file] = scan(tmp_path, rules, unknown="scan").files
        assert (file.system.name, file.system.os_family, file.system.producer) == ("a", "Other", "Other")
        assert len(file.hits[0].matches) == 1

    def test_a_named_encoding_holds_for_all(self, tmp_path: Path, rules: RuleSet) -> None:
        (tmp_path / "a.txt").write_bytes(LINUX + b"caf\xe9")
        assert statuses(scan(tmp_path, rules, encoding="utf-8")) == {
            "a.txt": "failed: not utf-8: unexpected end of data at byte 24"
        }
        assert scan(tmp_path, rules, encoding="latin-1").files[0].encoding == "latin-1"

    def test_a_pattern_without_end_costs_its_rule_in_that_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(LINUX + b"x" * 40)
        (tmp_path / "b.txt").write_bytes(LINUX + b"xxy")
        result = scan(tmp_path, RuleSet((Rule("evil", "(x+x+)+y"), Rule("good", "xx"))), rule_timeout=0.2)
        assert [[h.status for h in file.hits] for file in result.files] == [["timeout", "ok"], ["ok", "ok"]]
        assert [len(file.hits[1].matches) for file in result.files] == [1, 1]

    def test_systems_with_one_stem_are_called_by_their_paths(self, tmp_path: Path, rules: RuleSet) -> None:
        for name in ("p/web1.txt", "q/web1.txt"):
            path = tmp_path / name
            path.parent.mkdir()
            path.write_bytes(LINUX)
        assert [file.system.name for file in scan(tmp_path, rules).files] == ["p/web1", "q/web1"]
        assert [file.system.name for file in scan(tmp_path, rules, compat="kpat").files] == ["web1", "web1"]

    def test_errors_come_before_any_work(self, tmp_path: Path, rules: RuleSet) -> None:
        with pytest.raises(InputError, match="no such file"):
            scan(tmp_path / "gone", rules)
        for options in ({"compat": "x"}, {"unknown": "x"}, {"encoding": "x"}, {"rule_timeout": -1}, {"progress": "x"}):
            (tmp_path / "a.txt").touch()
            with pytest.raises(UsageError):
                scan(tmp_path, rules, **options)


class TestWorkers:
    @pytest.mark.process
    @pytest.mark.parametrize("workers", [2, 4])
    def test_outputs_have_the_same_bytes(self, samples: Path, rules: RuleSet, tmp_path: Path, workers: int) -> None:
        (samples / "empty.txt").touch()
        for name, count in (("one", 1), ("many", workers)):
            result = scan(samples, rules, workers=count)
            auditscan.write(result, tmp_path / name, formats=FORMATS, workers=count, progress="none")
        assert digests(tmp_path / "one") == digests(tmp_path / "many")

    @pytest.mark.process
    def test_worker_processes_are_the_same_too(self, samples: Path, rules: RuleSet, tmp_path: Path) -> None:
        for name, options in (("one", {}), ("process", {"workers": 2, "backend": "process"})):
            result = scan(samples, rules, **options)
            auditscan.write(result, tmp_path / name, formats=FORMATS, progress="none", **(options or {"workers": 1}))
        assert digests(tmp_path / "one") == digests(tmp_path / "process")

    @pytest.mark.process
    def test_a_warm_executor_is_used_and_left_alone(self, samples: Path, rules: RuleSet, tmp_path: Path) -> None:
        with fanwise.Executor(2) as executor:
            result = scan(samples, rules, workers=None, executor=executor)
            auditscan.write(result, tmp_path / "out", formats=["jsonl", "xlsx"], executor=executor, progress="none")
            assert executor.submit(abs, -1).result() == 1
        assert statuses(result) == statuses(scan(samples, rules))

    @pytest.mark.process
    def test_from_a_thread_rules_are_stopped_all_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(LINUX + b"x" * 40)
        found: list[auditscan.ScanResult] = []
        rules = RuleSet((Rule("evil", "(x+x+)+y"), Rule("good", "xx")))
        thread = threading.Thread(target=lambda: found.append(scan(tmp_path, rules, rule_timeout=0.2)))
        thread.start()
        thread.join()
        assert [hits.status for hits in found[0].files[0].hits] == ["timeout", "ok"]


class TestWriting:
    def test_a_family_each(self, samples: Path, rules: RuleSet, tmp_path: Path) -> None:
        paths = auditscan.write(scan(samples, rules), tmp_path / "out", formats=FORMATS, workers=1, progress="none")
        assert [path.name for path in paths] == [
            "Linux.xlsx", "Windows.xlsx", "Darwin.xlsx", "results.jsonl", "results.csv", "results.sarif", "run.json",
        ]  # fmt: skip
        assert all(path.is_file() for path in paths)

    def test_earlier_outputs_are_refused_or_replaced(self, samples: Path, rules: RuleSet, tmp_path: Path) -> None:
        result, out = scan(samples, rules), tmp_path / "out"
        auditscan.write(result, out, formats=["xlsx"], workers=1, progress="none")
        with pytest.raises(UsageError, match=r"Linux\.xlsx exists"):
            auditscan.write(result, out, formats=["jsonl"], workers=1, progress="none")
        auditscan.write(result, out, formats=["jsonl"], workers=1, progress="none", force=True)
        assert sorted(path.name for path in out.iterdir()) == ["results.jsonl", "run.json"]

    def test_a_disk_that_is_full_leaves_nothing_half_written(
        self, samples: Path, rules: RuleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result, out = scan(samples, rules), tmp_path / "out"
        out.mkdir()
        os.symlink("/dev/full", out / ".Windows.xlsx.writing")
        with pytest.raises(InputError, match=r"cannot write .*Windows\.xlsx: no space left on device"):
            auditscan.write(result, out, formats=FORMATS, workers=1, progress="none")
        assert list(out.iterdir()) == []

    def test_a_rule_with_too_many_columns_is_told_before_a_name_is_taken(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(LINUX + b"root")
        wide = Rule("wide", "root", field_list=tuple(f"f{n}" for n in range(16_400)))
        result = scan(tmp_path / "a.txt", RuleSet((wide,)))
        with pytest.raises(InputError, match="16,400 columns"):
            auditscan.write(result, tmp_path / "out", workers=1, progress="none")
        assert list((tmp_path / "out").iterdir()) == []


class TestResume:
    def test_only_what_is_new_or_changed_is_searched(self, samples: Path, rules: RuleSet, tmp_path: Path) -> None:
        journal = tmp_path / "journal"
        first = scan(samples, rules, resume=journal)
        auditscan.write(first, tmp_path / "one", formats=FORMATS, workers=1, progress="none")
        del first
        (samples / "linux-001.txt").write_bytes(LINUX)
        second = scan(samples, rules, resume=journal)
        assert (first_again := second.resumed) == 5, first_again
        fresh = scan(samples, rules)
        for name, result in (("resumed", second), ("fresh", fresh)):
            auditscan.write(result, tmp_path / name, formats=FORMATS, workers=1, progress="none")
        assert digests(tmp_path / "resumed") == digests(tmp_path / "fresh")

    @pytest.mark.parametrize("kept", range(7))
    def test_any_part_of_a_journal_gives_the_same_outputs(
        self, samples: Path, rules: RuleSet, tmp_path: Path, kept: int
    ) -> None:
        journal = tmp_path / "journal"
        whole = scan(samples, rules, resume=journal)
        auditscan.write(whole, tmp_path / "whole", formats=["jsonl", "xlsx"], workers=1, progress="none")
        del whole
        for path in sorted(journal.glob("*.scan"))[kept:]:
            path.unlink()
        again = scan(samples, rules, resume=journal)
        assert again.resumed == kept
        auditscan.write(again, tmp_path / "again", formats=["jsonl", "xlsx"], workers=1, progress="none")
        assert digests(tmp_path / "again") == digests(tmp_path / "whole")

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"compat": "kpat"}, "compat mode"),
            ({"encoding": "utf-8"}, "encoding"),
            ({"rule_timeout": 1.0}, "rule timeout"),
            ({"unknown": "scan"}, "treatment of unknown files"),
        ],
    )
    def test_other_settings_are_refused_by_name(
        self, samples: Path, rules: RuleSet, tmp_path: Path, options: dict, named: str
    ) -> None:
        scan(samples, rules, resume=tmp_path / "journal")
        with pytest.raises(UsageError, match=f"another {named}; use --force"):
            scan(samples, rules, resume=tmp_path / "journal", **options)

    def test_other_rules_are_refused(self, samples: Path, rules: RuleSet, tmp_path: Path) -> None:
        scan(samples, rules, resume=tmp_path / "journal")
        with pytest.raises(UsageError, match="another rule set"):
            scan(samples, RuleSet((Rule("r", "x"),)), resume=tmp_path / "journal")


class Shelf(dict):
    """A cache that remembers everything."""

    def put(self, key: object, value: bytes) -> bool:
        self[key] = value
        return True


class TestCache:
    def test_unchanged_files_are_not_searched_again(self, samples: Path, rules: RuleSet, tmp_path: Path) -> None:
        shelf = Shelf()
        first, second = (scan(samples, rules, cache=shelf) for _ in range(2))
        assert (first.cached, second.cached) == (0, 6)
        for name, result in (("first", first), ("second", second)):
            auditscan.write(result, tmp_path / name, formats=FORMATS, workers=1, progress="none")
        assert digests(tmp_path / "first") == digests(tmp_path / "second")
        (samples / "linux-001.txt").write_bytes(LINUX)
        assert scan(samples, rules, cache=shelf).cached == 5
        assert scan(samples, rules, cache=shelf, rule_timeout=1.0).cached == 0

    def test_a_file_in_which_a_rule_ran_out_of_time_is_not_kept(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(LINUX + b"x" * 40)
        shelf = Shelf()
        scan(tmp_path, RuleSet((Rule("evil", "(x+x+)+y"),)), cache=shelf, rule_timeout=0.1)
        assert shelf == {}

    def test_damaged_entries_are_misses(self, samples: Path, rules: RuleSet) -> None:
        shelf = Shelf()
        scan(samples, rules, cache=shelf)
        for key in shelf:
            shelf[key] = shelf[key][:-3]
        assert scan(samples, rules, cache=shelf).cached == 0

    def test_nothing_is_kept_unless_asked_for(
        self, samples: Path, rules: RuleSet, tmp_path: Path, monkeypatch: Any
    ) -> None:
        monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "cache"))
        scan(samples, rules)
        assert not (tmp_path / "cache").exists()


class Heard:
    """A display that remembers what it was told."""

    def __init__(self) -> None:
        self.parts: list[tuple[int | None, str]] = []
        self.finished = 0

    def start(self, total: int | None, label: str) -> None:
        self.parts.append((total, label))

    def on(self, event: Any) -> None: ...

    def finish(self, report: Any) -> None:
        self.finished += 1


class TestService:
    def container(self, made: list[fanwise.Executor]) -> Iterator[Callable[..., fanwise.Executor]]:
        def factory(workers: int | None, *, interrupts: InterruptPolicy | None = None) -> fanwise.Executor:
            made.append(fanwise.Executor(workers, interrupts=interrupts))
            return made[-1]

        yield factory

    def is_closed(self, executor: fanwise.Executor) -> bool:
        try:
            executor.submit(abs, 1).result()
        except RuntimeError:
            return True
        return False

    @pytest.mark.process
    def test_one_warm_executor_serves_both_parts_and_is_closed(
        self, samples: Path, rules: RuleSet, tmp_path: Path
    ) -> None:
        made: list[fanwise.Executor] = []
        [factory] = self.container(made)
        heard, output = Heard(), io.StringIO()
        os.symlink("nowhere", samples / "link.txt")
        service = ScanService(factory, heard, InterruptPolicy(grace=0.1), output)
        result = service.search([samples], rules, workers=2)
        books = service.export(result, tmp_path / "out")
        assert set(books) == {"Linux", "Windows", "Darwin"}
        assert all(path.is_file() for path in books.values())
        assert len(made) == 1
        assert self.is_closed(made[0])
        sizes = sum(path.stat().st_size for path in samples.glob("*-0*.txt"))
        assert heard.parts[0] == (sizes, "Searching")
        assert heard.parts[1][1] == "Writing"
        assert heard.finished == 2
        assert output.getvalue() == "link.txt: failed: no such file or directory\n"

    def test_is_closed_by_an_error_and_by_a_with_block(self, samples: Path, rules: RuleSet, tmp_path: Path) -> None:
        made: list[fanwise.Executor] = []
        [factory] = self.container(made)
        with ScanService(factory, "none") as service:
            result = service.search([samples], rules, workers=1)
        assert self.is_closed(made[0])
        (tmp_path / "file").touch()
        with pytest.raises(InputError):
            ScanService(factory, "none").export(result, tmp_path / "file")
        service = ScanService(factory, "none")
        service.search([samples], rules, workers=1)
        with pytest.raises(InputError):
            service.export(result, tmp_path / "file/out")
        assert self.is_closed(made[-1])

    def test_can_be_wired_by_plain_factories(self, samples: Path, rules: RuleSet, tmp_path: Path) -> None:
        """As a dependency-injection container does: each collaborator from a provider of its own."""
        output = io.StringIO()
        providers: dict[str, Callable[[], Any]] = {
            "executor_factory": lambda: (
                lambda workers, interrupts=None: fanwise.Executor(workers, interrupts=interrupts)
            ),
            "progress": Heard,
            "interrupts": lambda: InterruptPolicy(grace=0.0),
            "output": lambda: output,
        }
        service = ScanService(**{name: provide() for name, provide in providers.items()})
        result = service.search([samples], rules, workers=1, rule_timeout=0)
        assert service.export(result, tmp_path / "out", ["jsonl"]) == {}
        assert output.getvalue() == ""

    def test_time_outs_are_told_by_the_calling_process(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(LINUX + b"x" * 40)
        output = io.StringIO()
        with ScanService(progress="none", output=output) as service:
            service.search([tmp_path], RuleSet((Rule("evil", "(x+x+)+y"),)), rule_timeout=0.1, workers=1)
        assert output.getvalue() == "a.txt: rule 'evil': timeout: took longer than 0.1 s in one file\n"
