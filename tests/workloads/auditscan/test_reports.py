"""JSONL, CSV, SARIF and run.json as other programs read them."""

from __future__ import annotations

import csv
import io
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.auditscan import FileResult, Match, Rule, RuleHits, ScanResult
from fanwise.workloads.auditscan._checks import as_expected, verdict
from fanwise.workloads.auditscan._reports import counts, rule_ids
from fanwise.workloads.auditscan._writing import Writer, all_names

from .made import LINUX, WINDOWS, hits, result, several

SSH = Rule("ssh", "x", topic="Network", comment="About ssh.", sheet="05 SSH", source="net.yaml", line=3)
NTP = Rule("ntp", "y", source="time.yaml")


@dataclass
class InMemory:
    """Files that are never written."""

    content: dict[str, bytes] = field(default_factory=dict)

    @contextmanager
    def file(self, name: str) -> Any:
        out = io.BytesIO()
        yield out
        self.content[name] = out.getvalue()


def written(scan: ScanResult, *formats: str) -> dict[str, bytes]:
    files = InMemory()
    names = Writer(scan, files, lambda sheets: (sheet.render() for sheet in sheets), "1.2.3").write(formats)
    assert list(files.content) == list(names.values())
    return files.content


class TestJsonl:
    def test_one_object_a_match_with_keys_in_order(self) -> None:
        scan = result(hits(SSH, ("root yes", {"value": "yes"}), 'é "q"'), hits(NTP))
        assert written(scan, "jsonl")["results.jsonl"].decode() == (
            '{"rule":"ssh","source":"net.yaml","topic":"Network","system":"web1","os_family":"Linux","file":"web1.txt",'
            '"line":1,"text":"root yes","fields":{"value":"yes"},"missing":false}\n'
            '{"rule":"ssh","source":"net.yaml","topic":"Network","system":"web1","os_family":"Linux","file":"web1.txt",'
            '"line":2,"text":"é \\"q\\"","fields":null,"missing":false}\n'
        )

    def test_rules_in_order_then_files_in_order(self) -> None:
        files = [FileResult(f"{s.name}.txt", system=s, hits=(hits(SSH, "a"), hits(NTP, "b"))) for s in (WINDOWS, LINUX)]
        lines = written(several(files, (SSH, NTP)), "jsonl")["results.jsonl"].decode().splitlines()
        assert [(row["rule"], row["system"]) for row in map(json.loads, lines)] == [
            ("ssh", "dc1"), ("ssh", "web1"), ("ntp", "dc1"), ("ntp", "web1"),
        ]  # fmt: skip

    def test_missing_rows_say_so(self) -> None:
        line = written(result(hits(SSH, Match(1, "NO RESULTS FOUND", None, missing=True))), "jsonl")["results.jsonl"]
        assert json.loads(line)["missing"] is True


class TestCsv:
    def test_reads_back(self) -> None:
        scan = result(
            hits(SSH, ('a,"b"\nc', {"k": "é"}), "plain"), hits(NTP, Match(1, "NO RESULTS FOUND", None, missing=True))
        )
        data = written(scan, "csv")["results.csv"].decode()
        rows = list(csv.DictReader(io.StringIO(data, newline="")))
        assert [row["text"] for row in rows] == ['a,"b"\nc', "plain", "NO RESULTS FOUND"]
        assert [json.loads(row["fields"]) for row in rows] == [{"k": "é"}, None, None]
        assert [row["missing"] for row in rows] == ["false", "false", "true"]
        assert (rows[2]["topic"], rows[2]["rule"], rows[2]["line"]) == ("", "ntp", "1")

    def test_rows_end_as_rfc_4180_says(self) -> None:
        data = written(result(hits(SSH, "a")), "csv")["results.csv"]
        assert data.startswith(b"rule,source,topic,system,os_family,file,line,text,fields,missing\r\n")
        assert data.endswith(b"\r\n")

    @pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\ta", "\ra"])
    def test_what_a_spreadsheet_would_run_is_quoted(self, text: str) -> None:
        data = written(result(hits(SSH, text)), "csv")["results.csv"].decode()
        [row] = csv.DictReader(io.StringIO(data, newline=""))
        assert row["text"] == f"'{text}"

    def test_names_are_quoted_too(self) -> None:
        data = written(result(hits(Rule("=cmd", "x", source="@s"), "a")), "csv")["results.csv"].decode()
        [row] = csv.DictReader(io.StringIO(data, newline=""))
        assert (row["rule"], row["source"]) == ("'=cmd", "'@s")

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=3))
    def test_any_text_reads_back(self, texts: list[str]) -> None:
        data = written(result(hits(SSH, *texts)), "csv")["results.csv"].decode()
        rows = list(csv.DictReader(io.StringIO(data, newline="")))
        assert [row["text"].removeprefix("'") for row in rows] == [text.removeprefix("'") for text in texts]


SARIF = {  # the properties that the SARIF 2.1.0 schema requires, and the values that it fixes
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "properties": {
                    "tool": {
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "required": ["name"],
                                "properties": {
                                    "rules": {"items": {"type": "object", "required": ["id"]}, "uniqueItems": True}
                                },
                            }
                        },
                    },
                    "invocations": {"items": {"required": ["executionSuccessful"]}},
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "results": {
                        "items": {
                            "required": ["message"],
                            "properties": {
                                "kind": {"enum": ["notApplicable", "pass", "fail", "review", "open", "informational"]},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "message": {"anyOf": [{"required": ["text"]}, {"required": ["id"]}]},
                                "locations": {
                                    "items": {
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "properties": {"uri": {"pattern": "^[!-~]*$"}}
                                                    },
                                                    "region": {
                                                        "properties": {"startLine": {"type": "integer", "minimum": 1}}
                                                    },
                                                },
                                            }
                                        }
                                    }
                                },
                            },
                        }
                    },
                },
            },
        },
    },
}


class TestSarif:
    def log(self, scan: ScanResult) -> dict:
        log = json.loads(written(scan, "sarif")["results.sarif"])
        jsonschema.validate(log, SARIF)
        return log["runs"][0]

    def test_rules_and_results(self) -> None:
        run = self.log(result(hits(SSH, ("root yes", {"v": "yes"})), hits(NTP)))
        driver = run["tool"]["driver"]
        assert (driver["name"], driver["version"]) == ("fanwise", "1.2.3")
        assert [rule["id"] for rule in driver["rules"]] == ["ssh", "ntp"]
        assert driver["rules"][0]["fullDescription"] == {"text": "About ssh."}
        [found] = run["results"]
        assert (found["ruleId"], found["ruleIndex"], found["level"], found["kind"]) == ("ssh", 0, "note", "fail")
        place = found["locations"][0]["physicalLocation"]
        assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("web1.txt", 1)

    def test_missing_rows_are_open_and_without_level(self) -> None:
        [found] = self.log(result(hits(SSH, Match(1, "NO RESULTS FOUND", None, missing=True))))["results"]
        assert (found["kind"], found["level"]) == ("open", "none")

    def test_severity_is_the_level(self) -> None:
        [found] = self.log(result(hits(Rule("r", "x", severity="error"), "a")))["results"]
        assert found["level"] == "error"

    def test_what_was_not_searched_is_a_notification(self) -> None:
        slow = RuleHits(SSH, (), "timeout", "took longer")
        files = [
            FileResult("a b#é.txt", system=LINUX, hits=(slow,)),
            FileResult("x.txt", status="failed", reason="permission denied"),
            FileResult("y.txt", status="skipped", reason="empty file"),
        ]
        [invocation] = self.log(several(files, (SSH,)))["invocations"]
        assert invocation["executionSuccessful"] is False
        told = invocation["toolExecutionNotifications"]
        assert [n["level"] for n in told] == ["error", "error", "warning"]
        assert told[0]["message"]["text"] == "rule ssh: timeout: took longer"
        assert told[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b%23%C3%A9.txt"

    def test_a_clean_run_is_a_success(self) -> None:
        run = self.log(result(hits(SSH)))
        assert run["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]

    def test_ids_of_rules_are_unique(self) -> None:
        rules = [Rule("a", "x", source="1"), Rule("a", "y", source="2"), Rule("a", "z", source="2"), Rule("b", "w")]
        assert rule_ids(rules) == ["a (1)", "a (2)", "a (2) (2)", "b"]


class TestRunJson:
    def test_says_what_became_of_everything(self) -> None:
        slow = RuleHits(NTP, (), "timeout", "took longer")
        files = [
            FileResult("web1.txt", "a" * 64, "ascii", LINUX, (hits(SSH, "a", "b"), slow), size=10),
            FileResult("x.txt", status="skipped", reason="empty file"),
        ]
        scan = several(files, (SSH, NTP), rule_timeout=5.0, resumed=1, seconds=1.5)
        run = json.loads(written(scan)["run.json"])
        assert list(run) == [
            "version", "compat", "rules_digest", "partial", "counts", "files", "rules", "timeouts", "warnings",
            "resumed", "cached", "timing",
        ]  # fmt: skip
        assert run["counts"] == {
            "files": 2, "done": 1, "skipped": 1, "failed": 0, "unfinished": 0, "rules": 2, "matches": 2, "timeouts": 1,
        }  # fmt: skip
        assert run["files"][0]["system"]["name"] == "web1"
        assert {k: v for k, v in run["files"][0].items() if k != "system"} == {
            "path": "web1.txt", "sha256": "a" * 64, "bytes": 10, "encoding": "ascii", "status": "done", "reason": "",
            "matches": 2,
        }  # fmt: skip
        assert run["files"][1]["reason"] == "empty file"
        assert run["rules"] == [
            {"name": "ssh", "source": "net.yaml", "files": 1, "matches": 2, "status": "ok"},
            {"name": "ntp", "source": "time.yaml", "files": 1, "matches": 0, "status": "timeout"},
        ]
        assert run["timeouts"] == [{"rule": "ntp", "file": "web1.txt", "seconds": 5.0}]
        assert (run["resumed"], run["cached"], run["partial"]) == (1, 0, False)
        assert run["timing"]["scan_s"] == 1.5
        assert run["timing"]["workers"] == 1

    def test_says_where_an_expectation_is_not_met(self) -> None:
        none, some = (Rule(name, "x", expect=expect) for name, expect in (("none", "none"), ("some", "some")))
        missing = Match(1, "NO RESULTS FOUND", None, missing=True)
        files = [
            FileResult("good.txt", system=LINUX, hits=(hits(none, missing), hits(some, "a"))),
            FileResult("bad.txt", system=LINUX, hits=(hits(none, "a"), hits(some, missing))),
        ]
        run = json.loads(written(several(files, (none, some)))["run.json"])
        assert [(r["expect"], r["unmet"]) for r in run["rules"]] == [("none", ["bad.txt"]), ("some", ["bad.txt"])]

    def test_a_rule_that_did_not_end_meets_no_expectation(self) -> None:
        assert not as_expected(RuleHits(Rule("r", "x", expect="none"), (), "timeout"))
        assert as_expected(RuleHits(Rule("r", "x"), ()))

    @pytest.mark.parametrize(
        ("expect", "missing", "kind"),
        [
            (None, False, "fail"), (None, True, "open"), ("none", False, "fail"), ("none", True, "pass"),
            ("some", False, "pass"), ("some", True, "fail"),
        ],
    )  # fmt: skip
    def test_a_result_passes_if_it_is_what_a_healthy_system_shows(
        self, expect: str | None, missing: bool, kind: str
    ) -> None:
        assert verdict(Rule("r", "x", expect=expect), missing=missing) == kind

    def test_sarif_has_a_failure_for_each_check_that_is_not_met(self) -> None:
        none = Rule("none", "x", expect="none", severity="error")
        some = Rule("some", "x", expect="some")
        files = [
            FileResult("good.txt", system=LINUX, hits=(hits(none), hits(some, "a"))),
            FileResult("bad.txt", system=LINUX, hits=(hits(none, "b"), hits(some))),
        ]
        [run] = json.loads(written(several(files, (none, some)), "sarif")["results.sarif"])["runs"]
        found = [(r["ruleId"], r["kind"], r["level"], r["message"]["text"]) for r in run["results"]]
        assert found == [
            ("none", "fail", "error", "b"),
            ("some", "pass", "none", "a"),
            ("some", "fail", "warning", "NO RESULTS FOUND"),
        ]
        levels = [rule["defaultConfiguration"]["level"] for rule in run["tool"]["driver"]["rules"]]
        assert levels == ["error", "warning"]


def test_partial_results_have_names_of_their_own() -> None:
    scan = result(hits(SSH, "a"), partial=True)
    assert set(written(scan, "xlsx", "jsonl", "csv", "sarif")) == {
        "Linux.partial.xlsx", "results.partial.jsonl", "results.partial.csv", "results.partial.sarif",
        "run.partial.json",
    }  # fmt: skip
    assert set(written(scan, "jsonl")) < set(all_names())
    assert json.loads(written(scan)["run.partial.json"])["partial"] is True


def test_an_empty_scan_has_empty_outputs() -> None:
    scan = several([], ())
    content = written(scan, "xlsx", "jsonl", "csv", "sarif")
    assert set(content) == {"results.jsonl", "results.csv", "results.sarif", "run.json"}
    assert content["results.jsonl"] == b""
    assert counts(scan)["files"] == 0
