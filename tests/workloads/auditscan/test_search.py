"""A rule set over one text: which rules apply, rows that say nothing was found, names used twice, time limits."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from fanwise.errors import UsageError
from fanwise.workloads.auditscan import Match, Rule, RuleSet, SysFilter, System, scan_text
from fanwise.workloads.auditscan._alarm import Alarm, RuleTimeout, can_be_set

LINUX = "KPNIXVERSION: 0.6.22\n"
EVIL = Rule("evil", "(x+x+)+y")
EVIL_TEXT = "x" * 40 + "\n"


def rule_set(*rules: Rule, compat: str | None = None) -> RuleSet:
    return RuleSet(rules, compat=compat)


def test_rules_whose_filters_fail_are_not_there() -> None:
    rules = rule_set(Rule("a", "root"), Rule("w", "root", sys_filter=(SysFilter("os_family", "eq", "Windows"),)))
    assert [hits.rule.name for hits in scan_text(f"{LINUX}root", rules)] == ["a"]


def test_an_unknown_text_gets_the_rules_without_filters() -> None:
    rules = rule_set(Rule("a", "root"), Rule("w", "root", sys_filter=(SysFilter("os_family", "eq", "Linux"),)))
    assert [hits.rule.name for hits in scan_text("root", rules)] == ["a"]


def test_a_system_that_is_given_counts() -> None:
    rules = rule_set(Rule("w", "root", sys_filter=(SysFilter("os_family", "eq", "Windows"),)))
    windows = System("x", "Windows", "KPWINAUDIT")
    assert len(scan_text(f"{LINUX}root", rules, system=windows)) == 1


def test_line_ends_of_any_kind_are_read() -> None:
    [hits] = scan_text("a\r\nroot\rroot\n", rule_set(Rule("r", "root")))
    assert hits.matches == (Match(2, "root"), Match(3, "root"))


def test_show_missing_gives_one_row_that_says_so() -> None:
    rules = rule_set(Rule("a", "never", show_missing=True), Rule("b", "never"), Rule("c", "root", show_missing=True))
    first, second, third = scan_text("root", rules)
    assert first.matches == (Match(1, "NO RESULTS FOUND", None, missing=True),)
    assert second.matches == ()
    assert third.matches == (Match(1, "root"),)


class TestOneNameTwice:
    RULES = (Rule("same", "aaa", source="x"), Rule("other", "bbb"), Rule("same", "ccc", source="y", show_missing=True))

    def test_stays_apart_natively(self) -> None:
        found = scan_text("ccc\naaa", rule_set(*self.RULES))
        assert [[m.line for m in hits.matches] for hits in found] == [[2], [], [1]]

    def test_each_reports_the_union_under_compat(self) -> None:
        found = scan_text("ccc\naaa", rule_set(*self.RULES, compat="kpat"))
        assert [[m.line for m in hits.matches] for hits in found] == [[2, 1], [], [2, 1]]

    def test_nothing_is_missing_if_the_other_found_something(self) -> None:
        found = scan_text("aaa", rule_set(*self.RULES, compat="kpat"))
        assert [m.text for m in found[2].matches] == ["aaa"]

    def test_a_rule_that_does_not_apply_reports_the_other_ones_results(self) -> None:
        windows = (SysFilter("os_family", "eq", "Windows"),)
        rules = rule_set(Rule("same", "aaa"), Rule("same", "zzz", sys_filter=windows), compat="kpat")
        assert [[m.line for m in hits.matches] for hits in scan_text("aaa", rules)] == [[1], [1]]
        assert [[m.line for m in hits.matches] for hits in scan_text("nothing", rules)] == [[]]


class TestTimeLimit:
    def test_ends_one_rule_and_no_other(self) -> None:
        rules = rule_set(Rule("a", "xx"), EVIL, Rule("b", "xx"))
        began = time.monotonic()
        first, evil, last = scan_text(EVIL_TEXT, rules, rule_timeout=0.2)
        assert time.monotonic() - began < 5
        assert (evil.status, evil.matches) == ("timeout", ())
        assert "longer" in evil.reason
        assert len(first.matches) == len(last.matches) == 1

    def test_a_rule_that_ran_out_of_time_is_not_missing(self) -> None:
        [hits] = scan_text(EVIL_TEXT, rule_set(Rule("e", "(x+x+)+y", show_missing=True)), rule_timeout=0.1)
        assert (hits.status, hits.matches) == ("timeout", ())

    def test_under_compat_the_other_rule_of_the_name_is_complete(self) -> None:
        rules = rule_set(Rule("e", "(x+x+)+y"), Rule("e", "xx"), compat="kpat")
        first, second = scan_text(EVIL_TEXT, rules, rule_timeout=0.1)
        assert (first.status, second.status) == ("timeout", "ok")
        assert len(second.matches) == 1

    def test_holds_for_all_lines_together(self) -> None:
        with Alarm(0.05) as alarm, pytest.raises(RuleTimeout):
            alarm.limit(lambda: [sum(range(10**5)) for _ in range(10**6)])

    def test_puts_handler_and_timer_back(self) -> None:
        heard = []
        before = signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
        signal.setitimer(signal.ITIMER_REAL, 60)
        try:
            scan_text(EVIL_TEXT, rule_set(EVIL), rule_timeout=0.1)
            left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
            assert 50 < left < 60
            assert signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL
            signal.raise_signal(signal.SIGALRM)
            assert heard == [1]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def test_an_alarm_that_comes_late_hurts_nobody(self) -> None:
        with Alarm(60) as alarm:
            assert alarm.limit(lambda: 7) == 7
            signal.raise_signal(signal.SIGALRM)

    def test_needs_the_main_thread(self) -> None:
        told = []

        def work() -> None:
            told.append(can_be_set())
            with pytest.raises(UsageError, match="main thread"):
                scan_text("x", rule_set(EVIL), rule_timeout=1)
            told.append(len(scan_text("x", rule_set(EVIL))))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert told == [False, 1]


def test_a_search_that_fails_costs_only_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader refuses patterns that cannot be compiled; memory for a nested one may still run out later."""

    def refuse(pattern: str, *_: object) -> None:
        raise RecursionError(f"too deep: {pattern}")

    monkeypatch.setattr("fanwise.workloads.auditscan._match.compiled", refuse)
    [hits] = scan_text("abab", rule_set(Rule("deep", "abab")))
    assert (hits.status, hits.reason, hits.matches) == ("error", "RecursionError: too deep: abab", ())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compat": "nessus"}, "expected kpat"),
        ({"rule_timeout": -1}, "rule_timeout"),
        ({"rule_timeout": float("nan")}, "nan"),
    ],
)
def test_wrong_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        scan_text("x", rule_set(Rule("a", "b")), **options)
