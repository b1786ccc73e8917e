"""Filters: what holds for which system, natively and as kpat compares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.auditscan import Rule, SysFilter, System
from fanwise.workloads.auditscan._filters import applies, holds, value_of

LINUX = System("web1", "Linux", "KPNIXAUDIT", "0.10.2", distro_family="deb", os_version="22.04")


@pytest.mark.parametrize(
    ("comp", "value", "wanted", "native", "kpat"),
    [
        ("eq", "Linux", "LINUX", True, True),
        ("eq", "2009", 2009, True, True),
        ("eq", "1.10", 1.1, False, False),
        ("in", "Deb", ("deb", "rpm"), True, True),
        ("in", "2009", (2009, 2019), True, True),
        ("in", "apk", ("deb", "rpm"), False, False),
        ("in", "x", (), False, False),
        ("gt", "0.10.2", "0.6.18", True, False),
        ("ge", "0.10", "0.9", True, False),
        ("ge", "13.0", "13", True, True),
        ("gt", "13.0", "13", False, False),
        ("lt", "13", "13.0.1", True, True),
        ("gt", "22631", 9600, True, True),
        ("lt", "9600", "10240", True, True),
        ("gt", "1e3", "999", True, True),
        ("gt", "21H2", "1809", True, True),
        ("gt", "a", "B", False, True),
        ("ge", "Server", "server", True, False),
        ("le", "007", "7", True, True),
        ("gt", "9" * 5000, "1", True, True),
        ("gt", "9" * 5000 + ".1", "9" * 5000, True, False),
    ],
)
def test_comparisons(comp: str, value: str, wanted: object, native: bool, kpat: bool) -> None:
    condition = SysFilter("producer_version", comp, wanted)
    assert holds(condition, value) is native
    assert holds(condition, value, "kpat") is kpat


@pytest.mark.parametrize("comp", ["eq", "gt", "ge", "lt", "le"])
def test_an_attribute_that_a_system_lacks_fails_every_comparison(comp: str) -> None:
    assert not holds(SysFilter("ubr", comp, "0"), None)
    assert not holds(SysFilter("ubr", "in", ("0",)), None)


def test_all_filters_must_hold() -> None:
    family, deb, rpm = (
        SysFilter("os_family", "eq", "linux"),
        *(SysFilter("distro_family", "eq", d) for d in ("deb", "rpm")),
    )
    assert applies(Rule("r", "x"), LINUX)
    assert applies(Rule("r", "x", sys_filter=(family, deb)), LINUX)
    assert not applies(Rule("r", "x", sys_filter=(family, rpm)), LINUX)


def test_kpat_never_knows_the_version_of_the_system() -> None:
    rule = Rule("r", "x", sys_filter=(SysFilter("os_version", "ge", "1"),))
    assert applies(rule, LINUX)
    assert not applies(rule, LINUX, "kpat")
    assert value_of(LINUX, "os_version", "kpat") is None


versions = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@given(versions, versions)
def test_dotted_numbers_are_ordered_by_component(one: str, other: str) -> None:
    left, right = ([*map(int, text.split(".")), 0, 0, 0, 0][:4] for text in (one, other))
    assert holds(SysFilter("ubr", "gt", other), one) is (left > right)
    assert holds(SysFilter("ubr", "le", other), one) is (left <= right)


@given(st.text(max_size=6), st.text(max_size=6))
def test_orderings_never_fail_and_are_total(one: str, other: str) -> None:
    for compat in (None, "kpat"):
        greater = holds(SysFilter("ubr", "gt", other), one, compat)
        at_most = holds(SysFilter("ubr", "le", other), one, compat)
        assert greater != at_most or "nan" in (one.strip().lower().lstrip("+-"), other.strip().lower().lstrip("+-"))
