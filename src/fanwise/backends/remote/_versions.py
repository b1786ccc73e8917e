"""What a caller and the workers of a cluster must have in common, and which versions of the cluster's package will do."""

from __future__ import annotations

import platform
import re
import warnings
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from fanwise.errors import BackendError, FanwiseWarning, UsageError

__all__ = ["Pins", "check_package", "check_versions", "versions_here"]

_MUST_AGREE = ("python", "fanwise")


class Pins(NamedTuple):
    """A package and the versions of it that are supported: from ``oldest`` to below ``stop``."""

    package: str
    extra: str
    oldest: tuple[int, ...]
    stop: tuple[int, ...]


def check_package(pins: Pins) -> None:
    """Say so if the package is missing or too old; warn if it is newer than what was tried.

    Raises
    ------
    UsageError
        With the command that installs it, or the versions supported.
    """
    found = _version_of(pins.package)
    if found is None:
        raise UsageError(f"backend {pins.extra!r} needs: pip install 'fanwise[{pins.extra}]'")
    numbers = tuple(map(int, re.findall("[0-9]+", found)[:2]))
    oldest, stop = (".".join(map(str, bound)) for bound in (pins.oldest, pins.stop))
    words = f"fanwise supports {pins.package} >= {oldest}, < {stop}; found {found}"
    if numbers < pins.oldest:
        raise UsageError(words)
    if numbers >= pins.stop:
        warnings.warn(words, FanwiseWarning, stacklevel=2)


def versions_here() -> dict[str, str | None]:
    """The versions of this process, as far as caller and workers must agree."""
    from fanwise import __version__

    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "fanwise": __version__,
        "cloudpickle": _major("cloudpickle"),
        "numpy": _major("numpy"),
    }


def check_versions(found: Mapping[str, Any], here: Mapping[str, str | None]) -> None:
    """Compare what workers say of themselves with what the caller has.

    Raises
    ------
    BackendError
        If a worker has another Python or fanwise, or none; as a table.
    """
    rows, others = [], set()
    for worker, facts in sorted(found.items()):
        if not isinstance(facts, Mapping):
            rows.append(f"{worker} | {facts!r} | fanwise {here['fanwise']}")
            continue
        for name, mine in here.items():
            if facts[name] != mine and name in _MUST_AGREE:
                rows.append(f"{worker} | {name} {facts[name]} | {name} {mine}")
            elif facts[name] != mine and mine is not None:
                others.add(f"{name} {facts[name]} there, {mine} here")
    if rows:
        raise BackendError(
            "workers do not have what the caller has:\n" + "\n".join(["worker | has | caller has", *rows])
        )
    if others:
        warnings.warn(f"workers have other versions: {', '.join(sorted(others))}", FanwiseWarning, stacklevel=2)


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _major(package: str) -> str | None:
    found = _version_of(package)
    return found and found.split(".", 1)[0]
