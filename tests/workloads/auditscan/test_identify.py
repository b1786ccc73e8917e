"""Which machine a file describes, from the lines of the collection scripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.auditscan import identify

LINUX = "KPNIXVERSION: 0.6.22\n"
RELEASE = "System_VersionInformation::/etc/os-release::"
WINDOWS = """System_PSDetails::KPWINVERSION: 0.4.8
System_OSInfo::ProductName               : Windows Server 2022 Standard
System_OSInfo::ReleaseId                 : 21H2
System_OSInfo::CurrentBuild              : 20348
System_OSInfo::UBR                       : 2113
"""
DARWIN = """KPMACVERSION: 0.1.0
System_VersionInformation::ProductName:\t\tmacOS
System_VersionInformation::ProductVersion:\t13.6.1
System_VersionInformation::BuildVersion:\t22G313
"""


@pytest.mark.parametrize(
    ("line", "producer", "family", "version"),
    [
        ("KPNIXVERSION: 0.6.22", "KPNIXAUDIT", "Linux", "0.6.22"),
        ("kpnixversion: 1", "KPNIXAUDIT", "Linux", "1"),
        ("System_PSDetails::KPWINVERSION: 0.4.8 beta", "KPWINAUDIT", "Windows", "0.4.8"),
        ("KPMACVERSION: 0.1.0", "KPMACAUDIT", "Darwin", "0.1.0"),
        ("\u212aPNIXVERSION: 0.6", "KPNIXAUDIT", "Linux", "0.6"),
        ("KPNIXVER\u017f\u0130ON: 0.6", "KPNIXAUDIT", "Linux", "0.6"),
    ],
)
def test_a_producer_line_decides(line: str, producer: str, family: str, version: str) -> None:
    system = identify(f"first\n{line}\nlast")
    assert system is not None
    assert (system.producer, system.os_family, system.producer_version) == (producer, family, version)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        " KPNIXVERSION: 1",
        "x::KPNIXVERSION: 1",
        "KPWINVERSION: 1",
        "KPNIXVERSION: beta",
        "KPNIXVERSION:1",
    ],
)
def test_without_such_a_line_nobody_knows(text: str) -> None:
    assert identify(text) is None


def test_the_first_of_several_producers_counts() -> None:
    system = identify(f"x\n{DARWIN}{LINUX}")
    assert system is not None
    assert system.producer == "KPMACAUDIT"
    assert identify(f"{LINUX}{DARWIN}").producer == "KPNIXAUDIT"
    assert identify(f"{WINDOWS}{LINUX}").producer == "KPWINAUDIT"


def test_producers_are_found_on_lines_that_rules_do_not_see() -> None:
    assert identify("KPNIXVERSION: 0.6.1 ### comment").producer_version == "0.6.1"


class TestLinux:
    @pytest.mark.parametrize(
        ("name", "family"),
        [
            ("Debian GNU/Linux", "deb"),
            ("Ubuntu", "deb"),
            ("Kali GNU/Linux", "deb"),
            ("Red Hat Enterprise Linux", "rpm"),
            ("redhat", "rpm"),
            ("openSUSE Leap", "rpm"),
            ("Rocky Linux", "rpm"),
            ("Alpine Linux", "apk"),
            ("Arch Linux", "other"),
        ],
    )
    def test_the_distribution_decides_the_family(self, name: str, family: str) -> None:
        assert identify(f'{LINUX}{RELEASE}NAME="{name}"\n').distro_family == family

    def test_the_first_name_that_is_known_counts(self) -> None:
        text = f'{LINUX}{RELEASE}NAME="Arch"\n{RELEASE}NAME="Alpine"\n{RELEASE}NAME="Debian"\n'
        assert identify(text).distro_family == "apk"

    @pytest.mark.parametrize(
        ("pretty", "version"),
        [
            ("Ubuntu 22.04.4 LTS", "22.04.4"),
            ("Rocky Linux 9.3 (Blue Onyx)", "9.3"),
            ("Debian GNU/Linux 12", "12"),
            ("Arch", None),
        ],
    )
    def test_the_pretty_name_gives_the_version(self, pretty: str, version: str | None) -> None:
        system = identify(f'{LINUX}  {RELEASE}PRETTY_NAME=" {pretty} "  \n')
        assert (system.os_pretty_name, system.system_os, system.os_version) == (pretty, pretty, version)

    def test_without_release_lines_only_the_producer_is_known(self) -> None:
        system = identify(LINUX)
        assert (system.os_pretty_name, system.distro_family, system.os_version) == (None, "other", None)


class TestWindows:
    def test_all_four_details(self) -> None:
        system = identify(WINDOWS)
        assert (system.product_name, system.release_id) == ("Windows Server 2022 Standard", "21H2")
        assert (system.current_build, system.ubr, system.os_version) == ("20348", "2113", "20348.2113")
        assert system.system_os == "Windows Server 2022 Standard (Build 20348.2113)"

    @pytest.mark.parametrize("missing", ["ProductName", "ReleaseId", "CurrentBuild", "UBR"])
    def test_or_none(self, missing: str) -> None:
        system = identify("\n".join(line for line in WINDOWS.split("\n") if missing not in line))
        assert system.producer == "KPWINAUDIT"
        assert (system.product_name, system.release_id, system.current_build, system.ubr, system.system_os) == (
            None,
        ) * 5

    def test_the_first_value_of_each_counts(self) -> None:
        assert identify(WINDOWS + WINDOWS.replace("20348", "1")).current_build == "20348"


class TestDarwin:
    def test_all_three_details(self) -> None:
        system = identify(DARWIN)
        assert (system.product_name, system.os_version, system.system_os) == (
            "macOS",
            "13.6.1",
            "macOS 13.6.1 (Build 22G313)",
        )

    def test_or_none(self) -> None:
        system = identify(DARWIN.replace("BuildVersion", "Build"))
        assert (system.product_name, system.os_version, system.system_os) == (None, None, None)


@given(
    st.lists(st.sampled_from([LINUX, WINDOWS, DARWIN, "###\n", "\u0130\n", f'{RELEASE}NAME="Ubuntu"\n']), max_size=6)
)
def test_what_stands_behind_the_first_producer_does_not_change_it(parts: list[str]) -> None:
    system = identify(DARWIN + "".join(parts))
    assert system is not None
    assert system.os_family == "Darwin"
