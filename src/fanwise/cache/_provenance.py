"""Where code comes from: the project (its text counts), a distribution (its version counts) or Python itself."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from types import CodeType
from typing import Any

__all__ = ["PROJECT", "code_origin", "file_name", "module_origin", "origin_of"]

PROJECT = "project"
_PYTHON = "python"
_FOLDERS = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib"))


def origin_of(thing: Any) -> str:
    """``project``, ``python``, or name and version of the distribution of a function, class or module."""
    code = getattr(thing, "__code__", None)
    module = getattr(thing, "__module__", None)
    if isinstance(code, CodeType):
        return code_origin(code, module)
    return module_origin(module if isinstance(module, str) else getattr(thing, "__name__", "builtins"))


def code_origin(code: CodeType, module: str | None) -> str:
    """By the file that the code was compiled from: ``functools.wraps`` gives a wrapper the module of what it wraps."""
    path = code.co_filename
    if path.startswith("<frozen"):
        return _PYTHON
    if "site-packages" in path or "dist-packages" in path:
        return distribution(_top_folder(path))
    if path.startswith(_FOLDERS):
        return _PYTHON
    return _own(module or "")


def module_origin(name: str) -> str:
    """By the file of the module; a module that cannot be found counts as the project's."""
    top = name.partition(".")[0]
    if top in {"__main__", "__mp_main__"}:
        return PROJECT
    if top in sys.stdlib_module_names:
        return _PYTHON
    path = _module_file(name)
    if "site-packages" in path or "dist-packages" in path:
        return distribution(top)
    return _own(name)


def _own(name: str) -> str:
    """The library itself is known by its version wherever it lives, apart from the jobs it ships."""
    if name.partition(".")[0] == "fanwise" and not name.startswith("fanwise.workloads"):
        return f"fanwise {_fanwise_version()}"
    return PROJECT


def _fanwise_version() -> str:
    return str(sys.modules["fanwise"].__version__)


def _module_file(name: str) -> str:
    module = sys.modules.get(name)
    path = getattr(module, "__file__", None)
    if path is None and module is not None:
        path = next(iter(getattr(module, "__path__", ())), None)
    if module is None:
        path = _spec_file(name.partition(".")[0])
    return path or ""


@lru_cache(maxsize=256)
def _spec_file(top: str) -> str | None:
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec else None


def _top_folder(path: str) -> str:
    tail = path.replace("dist-packages", "site-packages").rpartition("site-packages/")[2]
    return tail.partition("/")[0].removesuffix(".py")


@lru_cache(maxsize=1024)
def distribution(top: str) -> str:
    """``numpy 2.1.0``: the distribution that a top-level package belongs to."""
    try:
        return f"{top} {metadata.version(top)}"
    except metadata.PackageNotFoundError:
        names = sorted(set(_distributions().get(top, ())))
    if not names:
        return f"{top} {getattr(sys.modules.get(top), '__version__', '?')}"
    return ", ".join(f"{name} {metadata.version(name)}" for name in names)


@lru_cache(maxsize=1)
def _distributions() -> Mapping[str, list[str]]:
    """Reads every installed package's record (about 0.1 s): only for packages named otherwise than their folder."""
    return metadata.packages_distributions()


def file_name(code: CodeType) -> str:
    """How code of the main program is known: its file without the folder; cells of a notebook share one name."""
    path = code.co_filename
    if path.startswith("<"):
        return path[1:].partition("-input")[0].rstrip(">")
    folder, _, name = path.rpartition("/")
    return "ipykernel" if "/ipykernel_" in f"{folder}/" else name
