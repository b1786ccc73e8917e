"""That the prefilter does what it is for: how many lines are read, counted and not timed; and how much memory is taken."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tests.programs import COMMAND, peak_bytes

from fanwise.workloads import auditscan
from fanwise.workloads.auditscan import Rule, RuleSet
from fanwise.workloads.auditscan._decode import decode
from fanwise.workloads.auditscan._identify import identify_lines
from fanwise.workloads.auditscan._lines import Lines, finder_for
from fanwise.workloads.auditscan._match import Matcher
from fanwise.workloads.auditscan._search import Searcher, further_literals, narrowed, needed_literals


def lines_read(rules: RuleSet, data: bytes) -> tuple[int, int]:
    """Lines that patterns are run on, and lines that they would be run on without literals."""
    decoded = decode(data)
    lines = Lines(decoded)
    system = identify_lines(lines)
    searcher = Searcher(rules)
    chosen = [rules.rules[number] for number in searcher.applicable(system)]
    read = 0
    for rule in chosen:
        needed = needed_literals(rule)
        assert needed is not None, rule.name
        candidates = lines.candidates(finder_for(sorted(needed))(decoded.folded))
        read += len(narrowed(lines.texts, candidates, further_literals(rule)))
    return read, len(lines.visible) * len(chosen)


def test_real_rules_read_one_line_in_a_hundred(shared_data: Path) -> None:
    folder = shared_data / "auditscan"
    rules = auditscan.load_rules(folder / "rules/audit-all.yaml")
    read, whole = 0, 0
    for path in sorted((folder / "files").glob("*.gz")):
        with gzip.open(path) as file:
            mine, all_of_them = lines_read(rules, file.read())
        read, whole = read + mine, whole + all_of_them
    assert read < 30_000
    assert whole > 100 * read


def test_example_rules_read_few_lines_too(tmp_path: Path) -> None:
    rules = auditscan.load_rules(auditscan.example_rules())
    for path in auditscan.write_samples(tmp_path, 3, kilobytes=200):
        read, whole = lines_read(rules, path.read_bytes())
        assert whole > 20 * read


def test_a_pattern_is_compiled_only_where_a_line_may_match(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    build = Matcher.__init__

    def count(self: Matcher, rule: Rule, compat: str | None = None) -> None:
        made.append(rule.name)
        build(self, rule, compat)

    monkeypatch.setattr(Matcher, "__init__", count)
    rules = RuleSet((Rule("here", "Users::root"), Rule("nowhere", "Patch::KB"), Rule("every", r"\d")))
    auditscan.scan_text("KPNIXVERSION: 1\nUsers::root\n", rules)
    assert made == ["here", "every"]


def test_one_searcher_compiles_once_for_all_files() -> None:
    searcher = Searcher(RuleSet((Rule("r", "root"),)))
    for text in (b"KPNIXVERSION: 1\nroot", b"KPNIXVERSION: 2\nroot root"):
        decoded = decode(text)
        lines = Lines(decoded)
        [found] = searcher.search(decoded, lines, identify_lines(lines))
        assert len(found.rows) == 1
    assert len(searcher._matchers) == 1


@pytest.mark.slow
@pytest.mark.process
def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    """Matches go to disk as they come: many files take hardly more than a few."""
    pytest.importorskip("fanwise._api.verbs")
    rules = tmp_path / "rules.yaml"
    rules.write_text("all: {regex: 'Logging_\\w+::(?P<rest>.*)', field_list: [rest]}\n")
    peaks = []
    for count in (3, 24):
        folder = tmp_path / str(count)
        auditscan.write_samples(folder, count, kilobytes=300)
        options = ["--rules", str(rules), "--out", f"out{count}", "--format", "jsonl,xlsx", "-p", "1", "-q"]
        peaks.append(peak_bytes([*COMMAND, "scan", str(folder), *options], tmp_path) / 1e6)
    assert peaks[1] < peaks[0] + 40, peaks
    assert max(peaks) < 300
