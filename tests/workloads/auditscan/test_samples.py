"""Made-up audit files: what the templates say, and that a scan of them is a scan of their texts."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.workloads import auditscan
from fanwise.workloads.auditscan import _samples
from fanwise.workloads.auditscan._samples import FAMILIES_IN_TURN, sample

from .reference import lines_of, results_of


def lines(family: str, seed: int = 0, kilobytes: int = 8) -> list[str]:
    return [line.rstrip("\n") for line in lines_of(sample(family, "host", kilobytes, seed).decode())]


def sections(family: str) -> list[str]:
    return [name for name, _ in _samples._sections(_samples._SECTIONS[family])]


class TestTemplates:
    @pytest.mark.parametrize(
        ("template", "possible"),
        [
            ("plain", {"plain"}),
            ("{a|b}", {"a", "b"}),
            ("x{1..3}", {"x1", "x2", "x3"}),
            ("{|no }match", {"match", "no match"}),
            ("{a|b}{a|b}", {"aa", "ab", "ba", "bb"}),
            ("100% {x}", {"100% {x}", "x"}),
        ],
    )
    def test_a_line_is_one_of_what_it_may_be(self, template: str, possible: set[str]) -> None:
        rng = random.Random(1)
        made = {line for _ in range(200) for line in _samples._expanded(template, rng)}
        assert made <= possible
        assert len(made) == len(possible) or "%" in template

    def test_a_share_is_kept_to(self) -> None:
        rng = random.Random(1)
        count = sum(len(list(_samples._expanded("30% x", rng))) for _ in range(2000))
        assert 500 < count < 700

    def test_blank_lines_stay(self) -> None:
        assert list(_samples._expanded("a\n\nb\n", random.Random(1))) == ["a", "", "b"]


@pytest.mark.parametrize("family", FAMILIES_IN_TURN)
class TestFiles:
    def test_say_which_system_they_describe(self, family: str) -> None:
        for seed in range(5):
            system = auditscan.identify("\n".join(lines(family, seed)))
            assert system is not None
            assert system.os_family == family
            assert system.system_os

    def test_have_each_section_in_a_frame(self, family: str) -> None:
        text = lines(family)
        begun = [line.removeprefix("#[BEGIN]: ") for line in text if line.startswith("#[BEGIN]")]
        ended = [line.removeprefix("#[END]: ") for line in text if line.startswith("#[END]")]
        assert begun == ended == [*sections(family), _samples._LOGS[family][0]]
        heads = {line.partition("::")[0] for line in text if "::" in line}
        assert set(begun) - {"Script_Errors", "Users_Sudoers", "Logging_Rsyslog", "System_SoftwareUpdate"} <= heads

    def test_have_comments_that_no_rule_sees(self, family: str) -> None:
        assert sum("###" in line for line in lines(family)) == len(sections(family)) + 1

    def test_grow_by_their_log(self, family: str) -> None:
        small, large = (Counter(line.partition("::")[0] for line in lines(family, 0, size)) for size in (8, 64))
        log = _samples._LOGS[family][0]
        assert large[log] > 5 * small[log]
        assert small - Counter({log: small[log]}) == large - Counter({log: large[log]})

    def test_differ_by_name_and_seed_and_by_nothing_else(self, family: str) -> None:
        assert sample(family, "a") == sample(family, "a")
        assert sample(family, "a") != sample(family, "b")
        assert sample(family, "a", seed=1) != sample(family, "a", seed=2)


@settings(max_examples=15)
@given(st.sampled_from(FAMILIES_IN_TURN), st.integers(0, 10**6))
def test_example_rules_find_in_them_what_the_plain_reading_finds(family: str, seed: int) -> None:
    rules = auditscan.load_rules(auditscan.example_rules())
    text = sample(family, f"host{seed}", 4, seed).decode()
    for hits in auditscan.scan_text(text, rules):
        found = [(m.line, m.text, m.fields if m.fields is None else dict(m.fields)) for m in hits.matches]
        assert found == results_of(hits.rule, text), hits.rule.name
