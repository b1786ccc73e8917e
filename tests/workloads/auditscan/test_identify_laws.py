"""Identification read a second time, line by line as the specification of the collection scripts has it."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.workloads.auditscan import System, identify

from .reference import lines_of

PRODUCERS = {
    "KPNIXAUDIT": (r"^KPNIXVERSION: ([0-9.]+)", "Linux"),
    "KPWINAUDIT": (r"^System_PSDetails::KPWINVERSION: ([0-9.]+)", "Windows"),
    "KPMACAUDIT": (r"^KPMACVERSION: ([0-9.]+)", "Darwin"),
}
WINDOWS = {
    "product_name": r"^System_OSInfo::ProductName\s*:\s*(.*)",
    "release_id": r"^System_OSInfo::ReleaseId\s*:\s*(.*)",
    "current_build": r"^System_OSInfo::CurrentBuild\s*:\s*(\d+)",
    "ubr": r"^System_OSInfo::UBR\s*:\s*(\d+)",
}
DARWIN = {
    "product_name": r"^System_VersionInformation::ProductName\s*:\s*(.*)",
    "version": r"^System_VersionInformation::ProductVersion\s*:\s*([\d.]+)",
    "build": r"^System_VersionInformation::BuildVersion\s*:\s*([A-Za-z0-9]+)",
}
PRETTY = {"pretty": r'^System_VersionInformation::/etc/os-release::PRETTY_NAME="(.*)"'}
RPM = "Alma Amazon CentOS ClearOS Fedora Mandriva Oracle Redhat Rocky SUSE openSUSE"
DEB = "Debian Gentoo Kali Knoppix Mint Raspbian PopOS Ubuntu"
FAMILIES = {"deb": DEB.split(), "rpm": [*RPM.split(), "Red Hat"], "apk": ["Alpine"]}


def producer_of(lines: list[str]) -> tuple[str, str, str] | None:
    for line in lines:
        for name, (pattern, family) in PRODUCERS.items():
            if match := re.search(pattern, line, re.IGNORECASE):
                return name, family, match[1]
    return None


def details_of(lines: list[str], patterns: dict[str, str]) -> dict[str, str]:
    """The first value of each detail, or nothing if one is missing."""
    found: dict[str, str] = {}
    for line in lines:
        text = line.strip()
        for name, pattern in patterns.items():
            match = re.search(pattern, text, re.IGNORECASE) if text and name not in found else None
            if match:
                found[name] = match[1].strip()
    return found if len(found) == len(patterns) else {}


def distribution_of(lines: list[str]) -> str:
    for line in lines:
        for family, names in FAMILIES.items():
            for name in names:
                start = f'System_VersionInformation::/etc/os-release::NAME="{name}'
                if re.match(re.escape(start), line, re.IGNORECASE):
                    return family
    return "other"


def plainly(text: str) -> System | None:
    lines = lines_of(text)
    found = producer_of(lines)
    if found is None:
        return None
    producer, family, version = found
    values: dict[str, str | None] = {}
    if family == "Windows" and (got := details_of(lines, WINDOWS)):
        number = f"{got['current_build']}.{got['ubr']}"
        values = {**got, "system_os": f"{got['product_name']} (Build {number})", "os_version": number}
    if family == "Darwin" and (got := details_of(lines, DARWIN)):
        name, number = got["product_name"], got["version"]
        values = {"product_name": name, "os_version": number, "system_os": f"{name} {number} (Build {got['build']})"}
    if family == "Linux":
        pretty = details_of(lines, PRETTY).get("pretty")
        number = re.search(r"\d+(\.\d+)*", pretty) if pretty else None
        values = {"os_pretty_name": pretty, "system_os": pretty, "distro_family": distribution_of(lines)}
        values["os_version"] = number[0] if number else None
    return System("", family, producer, version, **values)


LINES = st.sampled_from(
    [
        "KPNIXVERSION: 0.6.22", "kpnixversion: 1.2 x", " KPNIXVERSION: 9", "\u212apnixver\u017fion: 3.1", "KPMACVERSION: 0.1.0",
        "System_PSDetails::KPWINVERSION: 0.4.8", "System_PSDetails::KPWINVERSION: beta", "### KPNIXVERSION: 1", "",
        'System_VersionInformation::/etc/os-release::NAME="Ubuntu"',
        'System_VersionInformation::/etc/os-release::NAME="Arch"',
        'System_VersionInformation::/etc/os-release::NAME="red hat"',
        'system_versioninformation::/etc/os-release::name="ALPINE"',
        'System_VersionInformation::/etc/os-release::PRETTY_NAME="Ubuntu 22.04.4 LTS"',
        '  System_VersionInformation::/etc/os-release::PRETTY_NAME="Rocky 9"  ',
        'System_VersionInformation::/etc/os-release::PRETTY_NAME=""',
        "System_OSInfo::ProductName : Windows X ", "System_OSInfo::ReleaseId: 2009", "System_OSInfo::CurrentBuild:17763",
        "System_OSInfo::CurrentBuild: none", " System_OSInfo::UBR : 12 ", "System_OSInfo::UBR: 13",
        "System_VersionInformation::ProductName:\tmacOS", "System_VersionInformation::ProductVersion: 13.6.1",
        "System_VersionInformation::BuildVersion: 22G3!", "System_Ver\u0131ion", "noise \u2028 more",
    ]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\r", "\n"])), max_size=14))
def test_any_order_of_lines_is_read_the_same(rows: list[tuple[str, str]]) -> None:
    text = "".join(line + end for line, end in rows)
    assert identify(text) == plainly(text)
