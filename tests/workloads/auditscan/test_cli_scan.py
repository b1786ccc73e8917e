"""``fanwise scan`` as it is typed: results, messages, exit codes."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.programs import plain_environment

from fanwise.cli import main
from fanwise.workloads import auditscan
from fanwise.workloads.auditscan._model import FAMILIES

from .conftest import read_gz

LINUX = b"KPNIXVERSION: 0.6.22\n"
RULES = (
    "ssh: {regex: 'PermitRootLogin (?P<value>\\w+)', field_list: [value]}\nntp: {regex: chrony, show_missing: true}\n"
)
needs_verbs = pytest.mark.skipif(find_spec("fanwise._api.verbs") is None, reason="the public verbs are not there yet")


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


Fanwise = Callable[..., Ended]


@pytest.fixture
def fanwise(capsys: pytest.CaptureFixture[str]) -> Fanwise:
    def run(*words: object) -> Ended:
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two audit files and a rule file; the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit/web1.txt").write_bytes(LINUX + b"PermitRootLogin yes\n")
    (tmp_path / "audit/db1.txt").write_bytes(LINUX + b"PermitRootLogin no\nchrony\n")
    (tmp_path / "rules.yaml").write_text(RULES)
    return tmp_path


MAIN = "import sys; from fanwise.cli import main; sys.exit(main())"
SCAN = ("scan", "audit", "--rules", "rules.yaml", "--out", "out", "-p", "1", "--progress", "none")


@needs_verbs
class TestScan:
    def test_writes_results_and_ends_well(self, fanwise: Fanwise, place: Path) -> None:
        ended = fanwise(*SCAN, "--format", "jsonl,xlsx,csv,sarif")
        assert (ended.code, ended.out) == (0, "")
        assert re.fullmatch(r"fanwise scan: 2 of 2 files, 2 rules, 4 matches in [\d.]+ s: out\n", ended.err)
        assert sorted(os.listdir("out")) == ["Linux.xlsx", "results.csv", "results.jsonl", "results.sarif", "run.json"]
        rows = [json.loads(line) for line in Path("out/results.jsonl").read_text().splitlines()]
        assert [(r["rule"], r["system"], r["text"]) for r in rows] == [
            ("ssh", "db1", "PermitRootLogin no"), ("ssh", "web1", "PermitRootLogin yes"),
            ("ntp", "db1", "chrony"), ("ntp", "web1", "NO RESULTS FOUND"),
        ]  # fmt: skip

    def test_workbooks_are_the_default(self, fanwise: Fanwise, place: Path) -> None:
        assert fanwise(*SCAN).code == 0
        assert sorted(os.listdir("out")) == ["Linux.xlsx", "run.json"]

    def test_says_it_to_machines(self, fanwise: Fanwise, place: Path) -> None:
        ended = fanwise(*SCAN, "--format", "jsonl", "--json", "-q")
        assert ended.err == ""
        told = ended.json
        assert (told["schema"], told["command"], told["exit_code"]) == ("fanwise.summary/1", "scan", 0)
        assert told["counts"]["matches"] == 4
        assert [(Path(o["path"]).name, o.get("rows")) for o in told["outputs"]] == [
            ("results.jsonl", 4),
            ("run.json", None),
        ]
        assert told["timing"]["scan_s"] + told["timing"]["write_s"] == pytest.approx(
            told["timing"]["total_s"], abs=1e-5
        )
        assert (told["resumed"], told["cached"], told["problems"]) == (0, 0, [])

    def test_only_some_rules(self, fanwise: Fanwise, place: Path) -> None:
        assert fanwise(*SCAN, "--format", "jsonl", "--only", "s*").code == 0
        assert len(Path("out/results.jsonl").read_text().splitlines()) == 2
        ended = fanwise(*SCAN, "--only", "x*", "--force")
        assert (ended.code, ended.err) == (2, "fanwise scan: no rule is called 'x*'.\n")

    def test_unmet_expectations_are_told(self, fanwise: Fanwise, place: Path) -> None:
        Path("rules.yaml").write_text("root: {regex: PermitRootLogin yes, expect: none}")
        ended = fanwise(*SCAN)
        assert ended.code == 0
        assert "fanwise scan: not as 'root' expects: web1.txt\n" in ended.err

    def test_warnings_are_told_and_with_strict_they_are_errors(self, fanwise: Fanwise, place: Path) -> None:
        Path("rules.yaml").write_text(RULES + "x: {regex: abc, colour: red}\n")
        assert "rules.yaml:3: rule 'x': 'colour': unknown key" in fanwise(*SCAN).err
        ended = fanwise(*SCAN, "--strict", "--force")
        assert (ended.code, ended.err) == (2, "fanwise scan: rules.yaml:3: rule 'x': 'colour': unknown key.\n")

    def test_texts_that_are_no_audit_reports_are_counted_and_the_option_that_takes_them_is_named(
        self, fanwise: Fanwise, place: Path
    ) -> None:
        Path("audit/readme.txt").write_text("PermitRootLogin is a word\n")
        ended = fanwise(*SCAN)
        assert ended.code == 0
        assert "1 file is no audit report and not searched; --unknown scan searches such files too\n" in ended.err
        assert "no audit report" not in fanwise(*SCAN, "--force", "--unknown", "scan").err

    def test_leaves_no_journal_behind(self, fanwise: Fanwise, place: Path) -> None:
        fanwise(*SCAN)
        assert not Path("out/.fanwise-scan").exists()

    def test_earlier_outputs_need_force(self, fanwise: Fanwise, place: Path) -> None:
        fanwise(*SCAN)
        ended = fanwise(*SCAN)
        assert (ended.code, ended.err) == (2, "fanwise scan: out/Linux.xlsx exists; use --force to overwrite it.\n")
        assert fanwise(*SCAN, "--force").code == 0
        assert fanwise(*SCAN, "--resume").code == 0

    def test_an_unfinished_scan_needs_resume_or_force(self, fanwise: Fanwise, place: Path) -> None:
        rules = auditscan.load_rules("rules.yaml")
        auditscan.scan(["audit"], rules, workers=1, progress="none", resume="out/.fanwise-scan")
        ended = fanwise(*SCAN)
        assert (ended.code, "use --resume to go on" in ended.err) == (2, True)
        ended = fanwise(*SCAN, "--resume", "--json")
        assert (ended.code, ended.json["resumed"]) == (0, 2)

    def test_other_settings_cannot_be_resumed(self, fanwise: Fanwise, place: Path) -> None:
        auditscan.scan(
            ["audit"], auditscan.load_rules("rules.yaml"), workers=1, progress="none", resume="out/.fanwise-scan"
        )
        ended = fanwise(*SCAN, "--resume", "--compat", "kpat")
        assert ended.code == 2
        assert "begun with another compat mode; use --force to start afresh" in ended.err
        ended = fanwise(*SCAN, "--force", "--compat", "kpat", "--json")
        assert (ended.code, ended.json["resumed"]) == (0, 0)

    def test_nothing_is_kept_outside_unless_a_cache_is_named(
        self, fanwise: Fanwise, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FANWISE_CACHE_DIR", str(place / "from-environment"))
        assert fanwise(*SCAN).code == 0
        assert not (place / "from-environment").exists()

    def test_the_reference_results_come_out_of_the_command(
        self, fanwise: Fanwise, place: Path, shared_data: Path
    ) -> None:
        folder = shared_data / "auditscan"
        Path("real").mkdir()
        for path in (folder / "files").glob("*.gz"):
            Path("real", path.name[:-3]).write_bytes(gzip.decompress(path.read_bytes()))
        words = (
            "scan",
            "real",
            "--rules",
            folder / "rules/audit-all.yaml",
            "--compat",
            "kpat",
            "--format",
            "jsonl",
            "--out",
            "o",
        )
        assert fanwise(*words, "-p", "1", "-q").code == 0
        found: dict[str, dict[str, list]] = {}
        for line in Path("o/results.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            found.setdefault(row["file"], {}).setdefault(row["rule"], []).append(
                [row["line"], row["text"], row["fields"]]
            )
        for path in (folder / "reference").glob("*.gz"):
            wanted = read_gz(path)
            results = {name: rows for name, rows in wanted["results"].items() if rows}
            assert json.dumps(found[wanted["file"]], sort_keys=False) == json.dumps(
                {name: results[name] for name in wanted["rules"] if name in results}
            )


@needs_verbs
class TestExitCodes:
    @pytest.mark.parametrize(
        ("name", "data", "message"),
        [
            ("x.txt", b"", "x.txt: skipped: empty file"),
            ("x.txt", b"some bytes and then \0 one", "x.txt: skipped: binary file"),
            ("x.txt", b"\x1f\x8b\x08", "x.txt: skipped: archive; unpack it first"),
        ],
    )
    def test_a_file_in_a_folder_that_is_no_text_is_news(
        self, fanwise: Fanwise, place: Path, name: str, data: bytes, message: str
    ) -> None:
        Path("audit", name).write_bytes(data)
        ended = fanwise(*SCAN)
        assert ended.code == 3
        assert f"fanwise scan: {message}\n" in ended.err
        run = json.loads(Path("out/run.json").read_text())
        assert run["counts"] == {
            "files": 3, "done": 2, "skipped": 1, "failed": 0, "unfinished": 0, "rules": 2, "matches": 4, "timeouts": 0,
        }  # fmt: skip

    def test_a_text_in_a_folder_that_is_no_report_is_none(self, fanwise: Fanwise, place: Path) -> None:
        Path("audit/README.txt").write_text("Read me.")
        assert fanwise(*SCAN).code == 0
        Path("out/run.json").unlink()
        ended = fanwise("scan", "audit/README.txt", *SCAN[2:], "--force")
        assert (ended.code, "README.txt: skipped: no KPNIXVERSION" in ended.err) == (3, True)

    def test_a_pipe_is_skipped_without_waiting_for_a_writer(self, fanwise: Fanwise, place: Path) -> None:
        os.mkfifo("audit/x.txt")
        ended = fanwise(*SCAN)
        assert (ended.code, "x.txt: skipped: not a regular file (named pipe)" in ended.err) == (3, True)

    def test_a_link_to_nowhere_fails_alone(self, fanwise: Fanwise, place: Path) -> None:
        os.symlink("nowhere", "audit/x.txt")
        ended = fanwise(*SCAN, "--json")
        assert ended.code == 3
        assert ended.json["problems"] == [{"where": "x.txt", "message": "failed: no such file or directory"}]
        assert ended.json["counts"]["done"] == 2

    def test_a_file_not_in_the_named_encoding_fails_with_its_place(self, fanwise: Fanwise, place: Path) -> None:
        Path("audit/x.txt").write_bytes(LINUX + b"\xff")
        ended = fanwise(*SCAN, "--encoding", "utf-8")
        assert (ended.code, "x.txt: failed: not utf-8: invalid start byte at byte 21" in ended.err) == (3, True)

    def test_a_rule_without_end_is_listed(self, fanwise: Fanwise, place: Path) -> None:
        Path("audit/x.txt").write_bytes(LINUX + b"x" * 40)
        Path("rules.yaml").write_text(RULES + "evil: {regex: '(x+x+)+y'}\n")
        ended = fanwise(*SCAN, "--rule-timeout", "0.2")
        assert ended.code == 3
        assert "fanwise scan: x.txt: rule 'evil': timeout: took longer than 0.2 s in one file\n" in ended.err
        run = json.loads(Path("out/run.json").read_text())
        assert run["timeouts"] == [{"rule": "evil", "file": "x.txt", "seconds": 0.2}]

    def test_an_output_folder_that_cannot_be_made(self, fanwise: Fanwise, place: Path) -> None:
        ended = fanwise("scan", "audit", "--rules", "rules.yaml", "--out", "rules.yaml/out", "-q")
        assert (ended.code, ended.err.startswith("fanwise scan: cannot write rules.yaml/out")) == (2, True)

    def test_a_full_disk_keeps_the_journal_and_no_half_file(self, fanwise: Fanwise, place: Path) -> None:
        Path("out").mkdir()
        os.symlink("/dev/full", "out/.Linux.xlsx.writing")
        ended = fanwise(*SCAN)
        assert (ended.code, ended.err) == (2, "fanwise scan: cannot write out/Linux.xlsx: no space left on device.\n")
        assert os.listdir("out") == [".fanwise-scan"]
        assert fanwise(*SCAN, "--resume", "--json").json["resumed"] == 2


class TestBadInput:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("scan", "gone", *SCAN[2:]), "fanwise scan: cannot read gone: no such file."),
            (("scan", *SCAN[2:]), "fanwise scan: no PATH; give audit files, or folders of them."),
            (("scan", "audit", "--out", "o"), "fanwise scan: no --rules; give a rule file, or a folder of them."),
            (("scan", "audit", "--rules", "rules.yaml"), "fanwise scan: no --out; give a folder for the results."),
            ((*SCAN, "--glob", "*.log"), "fanwise scan: no files match '*.log' under audit"),
            ((*SCAN, "--format", "pdf"), "fanwise scan: format is 'pdf'; expected xlsx, jsonl, csv, sarif"),
            ((*SCAN, "--encoding", "utf-99"), "fanwise scan: encoding is 'utf-99', which Python does not know"),
            ((*SCAN, "--rule-timeout", "-1"), "fanwise scan: rule_timeout is -1.0; expected seconds"),
            ((*SCAN, "--compat", "nessus"), "'nessus' is not 'kpat'"),
            ((*SCAN, "--unknown", "ask"), "'ask' is not one of 'skip', 'scan'"),
            (("scan", "audit", "-p", "0"), '-p expects a number ≥ 1 or "auto", not "0".'),
            ((*SCAN, "--rools", "x"), "no option --rools. Did you mean --rules?"),
            (
                ("scan", "audit", "--rules", "none.yaml", "--out", "o"),
                "fanwise scan: none.yaml: cannot be read: no such file",
            ),
            (("scan", "rules"), "fanwise scan: rules is a command here, see --help; a folder of that name is ./rules."),
        ],
    )
    def test_ends_with_2_and_says_what_to_do(self, fanwise: Fanwise, place: Path, words: tuple, message: str) -> None:
        ended = fanwise(*words)
        assert ended.code == 2
        assert message in ended.err
        assert "Traceback" not in ended.err
        assert not Path("out").exists()

    def test_every_problem_of_the_rules_is_told(self, fanwise: Fanwise, place: Path) -> None:
        Path("rules.yaml").write_text("a: {regex: '('}\nssh: {regex: abc, max_results: 0}\n")
        ended = fanwise(*SCAN)
        assert ended.code == 2
        assert ended.err == (
            "fanwise scan: rules.yaml:1: rule 'a': 'regex' is not a regular expression: missing ), unterminated "
            "subpattern at position 0\n"
            "rules.yaml:2: rule 'ssh': 'max_results' is 0; expected -1 or a positive whole number\n"
        )


class TestLists:
    def test_check_lists_the_rules_and_writes_nothing(self, fanwise: Fanwise, place: Path) -> None:
        ended = fanwise("scan", "audit", "--rules", "rules.yaml", "--check")
        assert ended.code == 0
        assert ended.out.splitlines()[0].split() == ["name", "source", "families", "sheet", "literals"]
        assert ended.out.splitlines()[-1] == "2 rules, 0 warnings"
        assert sorted(os.listdir()) == ["audit", "rules.yaml"]

    def test_check_refuses_what_is_wrong(self, fanwise: Fanwise, place: Path) -> None:
        Path("rules.yaml").write_text("a: {}")
        for words in (("scan", "--rules", "rules.yaml", "--check"), ("scan", "rules", "check", "rules.yaml")):
            ended = fanwise(*words)
            assert (ended.code, "rules.yaml:1: rule 'a': 'regex' is missing" in ended.err) == (2, True)

    def test_rules_check_knows_strict(self, fanwise: Fanwise, place: Path) -> None:
        Path("rules.yaml").write_text("a: {regex: abc, b: c}")
        ended = fanwise("scan", "rules", "check", "rules.yaml")
        assert (ended.code, "unknown key" in ended.err) == (0, True)
        assert fanwise("scan", "rules", "check", "rules.yaml", "--strict").code == 2

    def test_rules_list(self, fanwise: Fanwise, place: Path) -> None:
        Path("rules.yaml").write_text(RULES + "all: {regex: '.'}\n")
        told = fanwise("scan", "rules", "list", "rules.yaml", "--only", "[as]*", "--json").json
        assert told["command"] == "scan rules list"
        assert told["rules"] == [
            {
                "name": "ssh", "source": "rules.yaml:1", "families": list(FAMILIES), "sheet": "ssh",
                "literals": ["permitrootlogin "],
            },
            {
                "name": "all", "source": "rules.yaml:3", "families": list(FAMILIES), "sheet": "all",
                "literals": None,
            },
        ]  # fmt: skip
        assert "reads every line" in fanwise("scan", "rules", "list", "rules.yaml").out

    def test_rules_explain(self, fanwise: Fanwise, place: Path) -> None:
        out = fanwise("scan", "rules", "explain", "ssh", "--rules", "rules.yaml", "--file", "audit/web1.txt").out
        for text in ("rule, rules.yaml", '"permitrootlogin "', "audit/web1.txt: 1 results", '2: "PermitRootLogin yes"'):
            assert text in out
        told = fanwise("scan", "rules", "explain", "ntp", "--rules", "rules.yaml", "--json").json
        assert told["rules"][0]["literals"] == ["chrony"]

    def test_rules_explain_says_which_filter_fails(self, fanwise: Fanwise, place: Path) -> None:
        Path("rules.yaml").write_text("w: {regex: abc, sys_filter: [{attr: os_family, comp: eq, value: Windows}]}")
        out = fanwise("scan", "rules", "explain", "w", "--rules", "rules.yaml", "--file", "audit/web1.txt").out
        assert 'FAIL  os_family eq "Windows"; the system has "Linux"' in out
        assert "filter 1 does not hold" in out

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("sssh", "--rules", "rules.yaml"), "no rule is called 'sssh'. Did you mean ssh?"),
            (("ssh", "--rules", "rules.yaml", "--file", "gone"), "cannot read gone: no such file or directory"),
            (("ssh",), "--rules"),
        ],
    )
    def test_rules_explain_of_what_is_not_there(
        self, fanwise: Fanwise, place: Path, words: tuple, message: str
    ) -> None:
        ended = fanwise("scan", "rules", "explain", *words)
        assert (ended.code, message in ended.err) == (2, True)

    def test_list_files(self, fanwise: Fanwise, place: Path) -> None:
        os.mkfifo("audit/x.txt")
        out = fanwise("scan", "audit", "--list", "files").out.splitlines()
        assert [line.split()[:2] for line in out] == [
            ["file", "bytes"],
            ["db1.txt", "47"],
            ["web1.txt", "41"],
            ["x.txt", "0"],
        ]
        assert "named pipe" in out[-1]

    def test_list_systems(self, fanwise: Fanwise, place: Path) -> None:
        Path("audit/README.txt").write_text("Read me.")
        Path("audit/x.txt").touch()
        os.symlink("nowhere", "audit/y.txt")
        told = fanwise("scan", "audit", "--list", "systems", "--json").json["systems"]
        assert [(s["file"], s["os_family"], s["note"]) for s in told] == [
            ("README.txt", None, "not an audit report"), ("db1.txt", "Linux", ""), ("web1.txt", "Linux", ""),
            ("x.txt", None, "empty file"), ("y.txt", None, "failed: no such file or directory"),
        ]  # fmt: skip
        assert "KPNIXAUDIT" in fanwise("scan", "audit", "--list", "systems").out

    def test_list_sections(self, fanwise: Fanwise, place: Path) -> None:
        Path("audit/web1.txt").write_bytes(LINUX + b"Users::a\nUsers::b::c\nNet::x\nplain\n")
        Path("audit/x.txt").touch()
        told = fanwise("scan", "audit", "--list", "sections", "--json").json["sections"]
        assert [(s["file"], s["section"], s["lines"]) for s in told] == [
            ("web1.txt", "Users", 2), ("web1.txt", "Net", 1), ("x.txt", "empty file", 0),
        ]  # fmt: skip


class TestDiff:
    def results(self, folder: str, *rows: tuple[str, str]) -> None:
        Path(folder).mkdir()
        lines = [
            json.dumps({"rule": r, "source": "s", "file": "web1.txt", "line": n, "text": t, "fields": None}) + "\n"
            for n, (r, t) in enumerate(rows)
        ]
        Path(folder, "results.jsonl").write_text("".join(lines))

    def test_tells_what_is_new_and_what_is_gone(self, fanwise: Fanwise, place: Path) -> None:
        self.results("old", ("a", "x"), ("b", "y"))
        self.results("new", ("b", "y"), ("a", "z"), ("a", "z"))
        ended = fanwise("scan", "diff", "old", "new")
        assert ended.code == 0
        assert ended.out.splitlines() == ["- a  web1.txt: x", "+ a  web1.txt (2 times): z", "1 new, 1 gone"]
        assert fanwise("scan", "diff", "old", "new", "--fail").code == 3
        assert fanwise("scan", "diff", "old", "old", "--fail").code == 0
        assert [c["sign"] for c in fanwise("scan", "diff", "old", "new", "--json").json["changes"]] == ["-", "+"]

    def test_needs_results(self, fanwise: Fanwise, place: Path) -> None:
        ended = fanwise("scan", "diff", "audit", "audit")
        assert (ended.code, "cannot read audit/results.jsonl" in ended.err) == (2, True)


@pytest.mark.parametrize(
    "words",
    [("scan",), ("scan", "rules", "check"), ("scan", "rules", "list"), ("scan", "rules", "explain"), ("scan", "diff")],
)
def test_every_command_has_a_help_page(fanwise: Fanwise, words: tuple) -> None:
    ended = fanwise(*words, "--help")
    assert ended.code == 0
    assert ended.out.startswith("Usage: fanwise scan")


def test_checking_loads_nothing_heavy(place: Path) -> None:
    code = (
        "import sys; from fanwise.cli import main; main(['scan', '--rules', 'rules.yaml', '--check']);"
        "sys.exit(bool({'pandas', 'numpy', 'openpyxl', 'xlsxwriter', 'multiprocessing', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], env=plain_environment(), check=False).returncode == 0
