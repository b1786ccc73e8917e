"""Which machine an audit file describes: producer, family and details, from lines of the collection scripts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from fanwise.workloads.auditscan._decode import Decoded
from fanwise.workloads.auditscan._lines import Lines
from fanwise.workloads.auditscan._model import System

__all__ = ["UNKNOWN", "identify", "identify_lines"]

UNKNOWN = System("", os_family="Other", producer="Other")


@dataclass(frozen=True, slots=True)
class _Clue:
    """A pattern, and text that each line it matches contains once folded."""

    literal: str
    pattern: re.Pattern[str]


def _clue(literal: str, pattern: str) -> _Clue:
    return _Clue(literal, re.compile(pattern, re.IGNORECASE))


_PRODUCERS = (
    ("KPNIXAUDIT", "Linux", _clue("kpnixversion: ", r"^KPNIXVERSION: ([0-9.]+)")),
    ("KPWINAUDIT", "Windows", _clue("kpwinversion: ", r"^System_PSDetails::KPWINVERSION: ([0-9.]+)")),
    ("KPMACAUDIT", "Darwin", _clue("kpmacversion: ", r"^KPMACVERSION: ([0-9.]+)")),
)
_RELEASE = "System_VersionInformation::/etc/os-release::"
_PRETTY = _clue("::pretty_name=", rf'^{_RELEASE}PRETTY_NAME="(.*)"')
_DISTRIBUTIONS = (
    ("deb", "Debian|Gentoo|Kali|Knoppix|Mint|Raspbian|PopOS|Ubuntu"),
    ("rpm", "Alma|Amazon|CentOS|ClearOS|Fedora|Mandriva|Oracle|Red Hat|Redhat|Rocky|SUSE|openSUSE"),
    ("apk", "Alpine"),
)
_DISTRIBUTION = _clue(
    "::name=", rf'^{_RELEASE}NAME="(?:' + "|".join(f"(?P<{family}>{names})" for family, names in _DISTRIBUTIONS) + ")"
)
_WINDOWS = {
    "product_name": _clue("::productname", r"^System_OSInfo::ProductName\s*:\s*(.*)"),
    "release_id": _clue("::releaseid", r"^System_OSInfo::ReleaseId\s*:\s*(.*)"),
    "current_build": _clue("::currentbuild", r"^System_OSInfo::CurrentBuild\s*:\s*(\d+)"),
    "ubr": _clue("::ubr", r"^System_OSInfo::UBR\s*:\s*(\d+)"),
}
_DARWIN = {
    "name": _clue("::productname", r"^System_VersionInformation::ProductName\s*:\s*(.*)"),
    "version": _clue("::productversion", r"^System_VersionInformation::ProductVersion\s*:\s*([\d.]+)"),
    "build": _clue("::buildversion", r"^System_VersionInformation::BuildVersion\s*:\s*([A-Za-z0-9]+)"),
}


def identify(text: str) -> System | None:
    """The system that a text describes.

    Parameters
    ----------
    text : str
        A whole audit file.

    Returns
    -------
    System or None
        With an empty name; None if no line names a known collection script.

    Examples
    --------
    >>> identify("KPNIXVERSION: 0.6.22").os_family
    'Linux'
    """
    return identify_lines(Lines(Decoded.of(text)))


def identify_lines(lines: Lines) -> System | None:
    """The same for a text that has its lines already."""
    found: tuple[int, str, str, str] | None = None
    for producer, family, clue in _PRODUCERS:
        hit = _first(lines, clue, before=found[0] if found else None)
        if hit is not None:
            found = hit[0], producer, family, hit[1][1]
    if found is None:
        return None
    _, producer, family, version = found
    return _DETAILS[family](System("", family, producer, version), lines)


def _first(
    lines: Lines, clue: _Clue, *, before: int | None = None, stripped: bool = False
) -> tuple[int, re.Match[str]] | None:
    """The first line with a match, hidden lines included."""
    for number in lines.containing(clue.literal):
        if before is not None and number >= before:
            return None
        text = lines.texts[number]
        if match := clue.pattern.search(text.strip() if stripped else text):
            return number, match
    return None


def _value(lines: Lines, clue: _Clue) -> str | None:
    hit = _first(lines, clue, stripped=True)
    return hit[1][1].strip() if hit else None


def _linux(system: System, lines: Lines) -> System:
    pretty = _value(lines, _PRETTY)
    family = _first(lines, _DISTRIBUTION)
    version = re.search(r"[0-9]+(?:\.[0-9]+)*", pretty or "")
    return replace(
        system,
        system_os=pretty,
        os_pretty_name=pretty,
        distro_family=family[1].lastgroup if family else "other",
        os_version=version[0] if version else None,
    )


def _windows(system: System, lines: Lines) -> System:
    values = {name: value for name, clue in _WINDOWS.items() if (value := _value(lines, clue)) is not None}
    if len(values) < len(_WINDOWS):
        return system
    version = f"{values['current_build']}.{values['ubr']}"
    return replace(system, **values, system_os=f"{values['product_name']} (Build {version})", os_version=version)


def _darwin(system: System, lines: Lines) -> System:
    values = {name: value for name, clue in _DARWIN.items() if (value := _value(lines, clue)) is not None}
    if len(values) < len(_DARWIN):
        return system
    name, version, build = (values[key] for key in ("name", "version", "build"))
    return replace(system, product_name=name, os_version=version, system_os=f"{name} {version} (Build {build})")


_DETAILS = {"Linux": _linux, "Windows": _windows, "Darwin": _darwin}
