"""Which machine an audit file describes: producer, family and details, from lines of the collection scripts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from fanwise.workloads.auditscan._decode import Decoded
from fanwise.workloads.auditscan._lines import Lines, finder_for
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
    decoded = Decoded.of(text)
    return identify_lines(decoded, Lines(decoded))


def identify_lines(decoded: Decoded, lines: Lines) -> System | None:
    """The same for a text that has its lines already."""
    search = _Search(decoded, lines)
    found = [(hit[0], number, hit[1]) for number, (_, _, clue) in enumerate(_PRODUCERS) if (hit := search.first(clue))]
    if not found:
        return None
    _, number, match = min(found, key=lambda hit: hit[:2])
    producer, family, _ = _PRODUCERS[number]
    return _DETAILS[family](System("", family, producer, match[1]), search)


class _Search:
    """Looks for clues in the lines that can hold them."""

    def __init__(self, decoded: Decoded, lines: Lines) -> None:
        self._folded = decoded.folded
        self._lines = lines

    def first(self, clue: _Clue, *, stripped: bool = False) -> tuple[int, re.Match[str]] | None:
        """The first line with a match, hidden lines included."""
        (offsets,) = finder_for([clue.literal], automaton=False)(self._folded)
        for number in self._lines.containing([offsets]):
            text = self._lines.texts[number]
            if match := clue.pattern.search(text.strip() if stripped else text):
                return number, match
        return None

    def value(self, clue: _Clue) -> str | None:
        hit = self.first(clue, stripped=True)
        return hit[1][1].strip() if hit else None


def _linux(system: System, search: _Search) -> System:
    pretty = search.value(_PRETTY)
    family = search.first(_DISTRIBUTION)
    version = re.search(r"[0-9]+(?:\.[0-9]+)*", pretty or "")
    return replace(
        system,
        system_os=pretty,
        os_pretty_name=pretty,
        distro_family=family[1].lastgroup if family else "other",
        os_version=version[0] if version else None,
    )


def _windows(system: System, search: _Search) -> System:
    values = {name: value for name, clue in _WINDOWS.items() if (value := search.value(clue)) is not None}
    if len(values) < len(_WINDOWS):
        return system
    version = f"{values['current_build']}.{values['ubr']}"
    return replace(system, **values, system_os=f"{values['product_name']} (Build {version})", os_version=version)


def _darwin(system: System, search: _Search) -> System:
    values = {name: value for name, clue in _DARWIN.items() if (value := search.value(clue)) is not None}
    if len(values) < len(_DARWIN):
        return system
    name, version, build = (values[key] for key in ("name", "version", "build"))
    return replace(system, product_name=name, os_version=version, system_os=f"{name} {version} (Build {build})")


_DETAILS = {"Linux": _linux, "Windows": _windows, "Darwin": _darwin}
